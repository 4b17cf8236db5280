"""What is older than the platform's retention goes, a little all the time."""

from __future__ import annotations

from functools import partial

import asyncpg

from shared.db import cleaning, connection
from shared.runtime import lifecycle

SWEEP_SECONDS = 60.0


async def run(database: asyncpg.Pool) -> None:
    """Sweep until cancelled; of several processes one does it."""
    step = partial(cleaning.forget_old, database)
    await lifecycle.every(SWEEP_SECONDS, step, connection.TRANSIENT)
