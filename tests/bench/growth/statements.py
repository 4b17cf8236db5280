"""Where PostgreSQL's time goes, statement by statement: what growth costs, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import asyncpg

from deploy.local.servers import Servers

_CONNECT_SECONDS = 60.0
_LIBRARY = "pg_stat_statements"
_SHOWN_LENGTH = 64
_CHARACTERISTIC = re.compile(
    r"\b(?:INSERT INTO|UPDATE|DELETE FROM|FROM) (?!unnest|\()(\w+)", re.IGNORECASE
)

_TAKEN = f"""
SELECT query, calls, total_exec_time * 1000 AS micro, wal_bytes::bigint AS wal_bytes
FROM {_LIBRARY} s JOIN pg_roles r ON r.oid = s.userid WHERE calls > 0"""


class Cost(NamedTuple):
    """What one statement took for each message of a load."""

    calls: float
    micro: float
    """Microseconds from its beginning to its end, waits for locks and for a core too."""
    wal_bytes: float


async def watch(servers: Servers) -> None:
    """Have a private PostgreSQL count what statements take, which costs it a few percent."""
    opened = await asyncpg.connect(servers.database_url, timeout=_CONNECT_SECONDS)
    await opened.execute(f"ALTER SYSTEM SET shared_preload_libraries = '{_LIBRARY}'")
    await opened.close(timeout=_CONNECT_SECONDS)
    servers.restart("postgres")
    opened = await asyncpg.connect(servers.database_url, timeout=_CONNECT_SECONDS)
    await opened.execute(f"CREATE EXTENSION {_LIBRARY}")
    await opened.close(timeout=_CONNECT_SECONDS)


async def begin(database: asyncpg.Connection) -> None:
    """What was before does not count."""
    await database.execute(f"SELECT {_LIBRARY}_reset()")


async def take(database: asyncpg.Connection, count: int) -> Mapping[str, Cost]:
    """What each statement has taken since `begin`, a message, of a load of `count`."""
    found: dict[str, Cost] = {}
    for query, calls, micro, wal_bytes in await database.fetch(_TAKEN):
        name = _name(query)
        before = found.get(name, Cost(0, 0, 0))
        each = Cost(calls / count, micro / count, wal_bytes / count)
        found[name] = Cost(*(a + b for a, b in zip(before, each, strict=True)))
    return found


def _name(query: str) -> str:
    """Its first word, and the tables that it writes or reads."""
    text = " ".join(query.split())
    tables = " ".join(dict.fromkeys(_CHARACTERISTIC.findall(text)))
    return f"{text.partition(' ')[0].lower()} {tables or text}"[:_SHOWN_LENGTH]
