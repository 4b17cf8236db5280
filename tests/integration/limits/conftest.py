"""A Redis of its own for each test file, ended by its process handle."""

from __future__ import annotations

import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio

from shared.limits import door, pace, permits
from shared.runtime import redis_link
from tests.integration.limits import virtual_clock
from tests.ports import free_port

START_SECONDS = 10.0


def _wait_until_up(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
    command += ["--dir", str(tmp_path_factory.mktemp("redis"))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            url = f"redis://127.0.0.1:{port}/0"
            _wait_until_up(url)
            yield url
        finally:
            server.terminate()


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """An empty Redis that knows no script."""
    async with redis_link.connect(redis_url) as client:
        await client.flushall()
        await client.script_flush()
        yield client


@pytest.fixture
async def clock(link: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch) -> virtual_clock.Clock:
    """Time stands still in all three scripts until the test moves it."""
    for module, name in ((permits, "permit.lua"), (pace, "pace.lua"), (door, "door.lua")):
        path = Path(str(module.__file__)).with_name(name)
        monkeypatch.setattr(module, "_SCRIPT", virtual_clock.clocked(path))
    clock = virtual_clock.Clock(link)
    await clock.set(virtual_clock.START_MS)
    return clock
