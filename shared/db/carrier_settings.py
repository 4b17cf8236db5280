"""Carriers' settings as they are stored, with credentials that are sealed or wait to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from shared.db.connection import Connection

_SEALING = "SELECT EXISTS (SELECT FROM schema_migrations WHERE number = 35)"


async def are_sealed(connection: Connection) -> bool:
    """Whether everybody who may read carriers can open what is sealed (migration 0035)."""
    return bool(await connection.fetchval(_SEALING))


class StoredSettings(NamedTuple):
    """A carrier's row, and its settings as they are written there."""

    carrier_id: int
    name: str
    adapter: str
    settings: Mapping[str, object]


_ALL = "SELECT carrier_id, name, adapter, settings FROM carriers ORDER BY name"


async def read(connection: Connection) -> list[StoredSettings]:
    """Those of all carriers, by their names."""
    return [
        StoredSettings(
            carrier_id, name, adapter, msgspec.json.decode(settings, type=dict[str, object])
        )
        for carrier_id, name, adapter, settings in await connection.fetch(_ALL)
    ]


_REPLACE = """
UPDATE carriers SET settings = $3::jsonb WHERE carrier_id = $1 AND settings = $2::jsonb
RETURNING true"""


async def replace(
    connection: Connection, stored: StoredSettings, settings: Mapping[str, object]
) -> bool:
    """Put the same settings, sealed otherwise, in their place; false if they are not there any
    more. Processes need not be told: they know what is in them."""
    before, after = (msgspec.json.encode(each).decode() for each in (stored.settings, settings))
    return bool(await connection.fetchval(_REPLACE, stored.carrier_id, before, after))
