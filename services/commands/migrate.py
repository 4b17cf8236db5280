"""`sluice migrate`: the database's schema brought to what this code needs."""

from __future__ import annotations

from services.commands import database, exits
from shared.db import migrate

MIGRATION_SECONDS = 600.0


async def run() -> int:
    """Apply the migrations that are missing; several at once take turns."""
    async with database.connected(
        statement_seconds=MIGRATION_SECONDS, check_schema=False
    ) as connection:
        names = await migrate.migrate(connection)
        await migrate.verify(connection)
    for name in names:
        print(f"applied {name}")
    if not names:
        print("nothing to migrate")
    return exits.OK
