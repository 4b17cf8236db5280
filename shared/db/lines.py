"""Lines as processes keep them: there may be 100,000, and what they have in common is kept once."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg

from shared.db.connection import Connection
from shared.rules import line_kinds, registrations
from shared.rules.line_kinds import Capability, LineKind, LineMode
from shared.rules.purposes import Purpose
from shared.rules.registrations import Registration, RegistrationState
from shared.rules.snapshot import Limits, Line
from shared.sms import time_zones

PAGE_COUNT: Final = 2_000
"""Lines that are made at a stretch: some 15 ms."""

_SELECT = """
SELECT line_id, account_id, sender, name, is_default, created_at, kind, country,
       hour_limit, day_limit, month_limit, array_to_string(capabilities, ' '), mode,
       registration, brand, campaign, registered_from, registered_until,
       use_case, purpose, time_zone, second_limit
FROM lines ORDER BY line_id"""


async def rows(connection: Connection) -> deque[asyncpg.Record]:
    """All of them as they are stored, in the order of their ids."""
    return deque(await connection.fetch(_SELECT))


async def made_of(rows: deque[asyncpg.Record]) -> list[Line]:
    """The lines of these rows, a page at a time, for a process has other work; the rows are used
    up, for they take more memory than the lines. No transaction is to wait for it: of a hundred
    thousand it takes most of a second, and many where others are busy."""
    common_of = functools.cache(_common)
    moments: dict[datetime, datetime] = {}
    lines: list[Line] = []
    while rows:
        page = [rows.popleft() for _ in range(min(PAGE_COUNT, len(rows)))]
        lines += [_line(row, common_of, moments) for row in page]
        await asyncio.sleep(0)
    return lines


def _line(
    row: asyncpg.Record, common_of: Callable[..., _Common], moments: dict[datetime, datetime]
) -> Line:
    line_id, account_id, sender, name, is_default, created_at, word = row[:7]
    kind = line_kinds.of_line(word, sender)
    common = common_of(kind, *row[7:])
    return Line(
        line_id,
        account_id,
        sender,
        kind,
        common.country,
        is_default,
        common.limits,
        name or sender,
        common.capabilities,
        common.mode,
        common.registration,
        common.use_case,
        common.purpose,
        common.time_zone,
        common.second_limit,
        moments.setdefault(created_at, created_at),
    )


class _Common(NamedTuple):
    country: str
    limits: Limits
    capabilities: frozenset[Capability]
    mode: LineMode
    registration: Registration
    use_case: str | None
    purpose: Purpose | None
    time_zone: str
    second_limit: int | None


def _common(kind: LineKind, country: str, *row: Any) -> _Common:
    hour, day, month, capabilities, mode, state, *registered, use_case, purpose, zone, second = row
    where = registrations.kind_for(kind)
    return _Common(
        country,
        Limits(hour, day, month),
        frozenset(map(Capability, capabilities.split())),
        LineMode(mode),
        Registration(RegistrationState(state), where, *registered),
        use_case,
        purpose and Purpose(purpose),
        zone or time_zones.of_country(country),
        second,
    )


_LOCK_ACCOUNT = "SELECT account_id FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE"
_BEGIN_NAME = f"""
INSERT INTO lines (account_id, sender, kind, country, hour_limit, day_limit, month_limit)
SELECT a.account_id, $2, '{LineKind.ALPHANUMERIC}', $3, $4, $5, $6
FROM accounts a JOIN accounts p ON p.account_id = a.payer_account_id
WHERE a.account_id = $1 AND NOT p.senders_restricted AND $7 > (
    SELECT count(*) FROM lines WHERE account_id = $1 AND kind = '{LineKind.ALPHANUMERIC}')
ON CONFLICT (account_id, sender) DO NOTHING"""  # noqa: S608 - words of our own


async def begin_name(connection: Connection, line: Line, count_max: int) -> bool:
    """Make the account a line of this name, unless it has that, as many names as `count_max`, or
    may only have what an operator makes: whether the line was made. In a transaction, which keeps
    the account's other names from being made until it ends."""
    await connection.execute(_LOCK_ACCOUNT, line.account_id)
    limits = line.limits
    done = await connection.execute(
        _BEGIN_NAME,
        line.account_id,
        line.sender,
        line.country,
        limits.hour,
        limits.day,
        limits.month,
        count_max,
    )
    return bool(done == "INSERT 0 1")
