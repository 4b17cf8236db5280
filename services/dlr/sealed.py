"""Texts that were not to be kept, and are needed no more; and those that a key has sealed which is
to go."""

from __future__ import annotations

import asyncpg
import structlog

from shared.access.seals import Seals
from shared.db import connection, sealed_texts
from shared.runtime import lifecycle

_log = structlog.get_logger()

SWEEP_SECONDS = 60.0


async def run(database: asyncpg.Pool, seals: Seals) -> None:
    """Erase and renew until cancelled; any number of processes may do it side by side."""

    async def sweep() -> None:
        if renewed_count := await sealed_texts.sweep(database, seals):
            _log.info("texts_sealed_again", count=renewed_count)

    await lifecycle.every(SWEEP_SECONDS, sweep, connection.TRANSIENT)
