"""Carriers' credentials, sealed: those of before, and those that a key has sealed which is to
go."""

from __future__ import annotations

import asyncpg
import structlog

from shared.access.vault import NotReadable, Vault
from shared.carriers import credentials, registry
from shared.db import carrier_settings, connection
from shared.db.pool import ACQUIRE_SECONDS
from shared.runtime import lifecycle

_log = structlog.get_logger()

SWEEP_SECONDS = 60.0


async def run(database: asyncpg.Pool, vault: Vault) -> None:
    """Seal until cancelled; any number of processes may do it side by side."""

    async def seal() -> None:
        async with database.acquire(timeout=ACQUIRE_SECONDS) as opened:
            if await carrier_settings.are_sealed(opened):
                for stored in await carrier_settings.read(opened):
                    await _seal(opened, stored, vault)

    await lifecycle.every(SWEEP_SECONDS, seal, connection.TRANSIENT)


async def _seal(
    opened: connection.Connection, stored: carrier_settings.StoredSettings, vault: Vault
) -> None:
    try:
        kind = registry.adapter(stored.adapter).settings_type
        settings = credentials.sealed(kind, stored.settings, vault)
    except registry.UnknownAdapter:
        return
    except NotReadable:
        _log.error("credentials_not_readable", carrier=stored.name)
        return
    if settings != stored.settings and await carrier_settings.replace(opened, stored, settings):
        _log.info("credentials_sealed", carrier=stored.name)
