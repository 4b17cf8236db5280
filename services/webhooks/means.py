"""What everybody needs who tells something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from shared.access import seals, vault
from shared.db import watch
from shared.web import egress


@dataclass(frozen=True)
class Means:
    """What every course needs. `requests` bounds those under way, of all courses; `stops` says that
    the process wants to end."""

    database: asyncpg.Pool
    client: egress.GuardedClient
    vault: vault.Vault
    seals: seals.Seals
    configured: watch.Watch
    requests: asyncio.Semaphore
    stops: Callable[[], bool]
