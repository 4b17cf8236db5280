"""`sluice migrate`: the database's schema brought to what this code needs."""

from __future__ import annotations

import asyncio
import time

from services.commands import database
from shared.db import migrate
from shared.runtime import exits

MIGRATION_SECONDS = 600.0
LOOK_SECONDS = 1.0


async def run(*, wait: float = 0.0) -> int:
    """Bring the database to the newest schema, while services run. Running it twice does no harm.

    A roll-out: run `sluice migrate` of the new version, start new processes, stop the old ones, run
    it again. What the new version adds is applied at once, and old processes live on; what would
    take something from them waits, is named, and is applied when the last of them is gone.

    Connects by SLUICE_MIGRATION_DATABASE_URL, if that is set, as the schema's owner.

    Example: sluice migrate

    Parameters
    ----------
    wait
        Seconds to wait for old processes to end; then exit status 1 if some still run.
    """
    deadline = time.monotonic() + wait
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
        return exits.FAILED if wait else exits.OK
    if not applied_count:
        print("nothing to migrate")
    return exits.OK
