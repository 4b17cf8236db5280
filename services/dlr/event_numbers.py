"""What has happened is numbered a little behind, also where nobody asks for it."""

from __future__ import annotations

from functools import partial

import asyncpg

from shared.db import connection, events
from shared.runtime import lifecycle

NUMBER_SECONDS = 10.0
"""Whoever follows a log numbers what is new before it looks, so this is about what an account's
page costs and not about when anybody hears of it."""


async def run(database: asyncpg.Pool) -> None:
    """Number until cancelled."""
    step = partial(events.number_all, database)
    await lifecycle.every(NUMBER_SECONDS, step, connection.TRANSIENT)
