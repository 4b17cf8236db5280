"""What has happened to messages is added to the statistics, a little behind and all the time; and,
once, what was stored before there were any."""

from __future__ import annotations

from functools import partial

import asyncpg

from shared.db import connection, message_statistics
from shared.runtime import lifecycle

ADD_SECONDS = 10.0
"""A question reads what is not added up yet as well, so this is about its cost and not about what
it tells."""
FILL_SECONDS = 5.0


async def run(database: asyncpg.Pool) -> None:
    """Add up until cancelled; of several processes one does it."""
    step = partial(message_statistics.add_up, database)
    await lifecycle.every(ADD_SECONDS, step, connection.TRANSIENT)


async def fill(database: asyncpg.Pool) -> None:
    """Count what was stored before, until cancelled; when that is done, a look costs nothing."""
    step = partial(message_statistics.fill, database)
    await lifecycle.every(FILL_SECONDS, step, connection.TRANSIENT)
