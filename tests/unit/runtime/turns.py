"""Turns of the loop."""

from __future__ import annotations

import asyncio


async def some_turns() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)
