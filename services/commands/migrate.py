"""`sluice migrate`: the database's schema brought to what this code needs."""

from __future__ import annotations

import asyncio
import time

from services.commands import database, exits
from shared.db import migrate

MIGRATION_SECONDS = 600.0
LOOK_SECONDS = 1.0


async def run(*, wait_seconds: float) -> int:
    """Apply the migrations that are missing; several at once take turns. What must wait for old
    processes is tried again for `wait_seconds`."""
    deadline = time.monotonic() + wait_seconds
    applied_count = 0
    async with database.connected(
        statement_seconds=MIGRATION_SECONDS, to_migrate=True
    ) as connection:
        while True:
            outcome = await migrate.migrate(connection)
            applied_count += len(outcome.applied)
            for name in outcome.applied:
                print(f"applied {name}", flush=True)
            if not outcome.waiting or time.monotonic() >= deadline:
                break
            await asyncio.sleep(LOOK_SECONDS)
        await migrate.verify(connection)
    for name, processes in outcome.waiting.items():
        print(f"{name} waits for older processes to end: {', '.join(processes)}")
    if outcome.waiting:
        print("stop them, then run `sluice migrate` again; everything works meanwhile")
        return exits.FAILED if wait_seconds else exits.OK
    if not applied_count:
        print("nothing to migrate")
    return exits.OK
