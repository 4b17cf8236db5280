"""The services as processes that are about to start, and what they say."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.ports import free_port

WITH_DATABASE = ("ingest", "dispatcher", "dlr", "webhooks")
ROLES = (*WITH_DATABASE, "simulator")
SECRET = "hush-hush-hush"
"""Stands in every URL and key: nothing may repeat it."""
READY_SECONDS = 30.0

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Starting:
    """A service that was started, wherever it has got to."""

    role: str
    health_port: int
    log: Path
    process: asyncio.subprocess.Process

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, seconds: float) -> int:
        """The exit status, which must come within so many seconds."""
        return await asyncio.wait_for(self.process.wait(), seconds)

    def said(self) -> str:
        """All that it printed."""
        return self.log.read_text("utf-8")

    def events(self) -> list[Event]:
        """Its log; a line that is no event, such as of a traceback, fails."""
        return [json.loads(line) for line in self.said().splitlines()]

    async def says(self, event: str) -> Event:
        """The first event of that name, as soon as it has been logged."""
        async with asyncio.timeout(READY_SECONDS):
            while not (found := [each for each in self.events() if each["event"] == event]):
                await asyncio.sleep(0.05)
        return found[0]

    async def readiness(self) -> str | None:
        """What is missing, as its health says; "" when it is ready, None while nobody answers."""
        url = f"http://127.0.0.1:{self.health_port}/health/ready"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
            try:
                async with client.get(url) as answer:
                    return str((await answer.json()).get("detail", ""))
            except (aiohttp.ClientError, TimeoutError):
                return None

    async def becomes(self, wanted: str | None) -> None:
        """Wait until its readiness is this."""
        async with asyncio.timeout(READY_SECONDS):
            while await self.readiness() != wanted:
                assert self.process.returncode is None, self.said()
                await asyncio.sleep(0.05)


@asynccontextmanager
async def started(
    role: str, folder: Path, environment: Mapping[str, str]
) -> AsyncIterator[Starting]:
    """A service that starts with nothing but these variables and free ports; it is killed at the
    end, if it still runs."""
    health = free_port()
    ports = {"SLUICE_SIMULATOR_HTTP_PORT": health} if role == "simulator" else {}
    log = folder / f"{role}-{health}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services", role),
            env={
                **{name: text for name, text in os.environ.items() if name[:7] != "SLUICE_"},
                "SLUICE_METRICS_PORT": str(health),
                "SLUICE_INGEST_PORT": "0",
                "SLUICE_DLR_PORT": "0",
                **{name: str(port) for name, port in ports.items()},
                **environment,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Starting(role, health, log, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
