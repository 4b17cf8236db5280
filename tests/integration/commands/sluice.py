"""Runs `sluice` and tells what it said."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

SECRET_KEY = "a key for tests that is long enough"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str
    errors: str


class Command:
    """`sluice` with an environment of its own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        self._environment = {**inherited, **environment}

    def without(self, variable: str) -> Command:
        """The same, where this variable is empty: one that is missing would be read from what
        `./run` has kept in this checkout."""
        return Command({**self._environment, variable: ""})

    async def __call__(self, *arguments: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services", *arguments),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await asyncio.wait_for(process.communicate(), _SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        return Ended(process.returncode or 0, output.decode(), errors.decode())
