"""Lines as processes keep them: there may be 100,000, so they are read a page at a time."""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import Any, Final, NamedTuple

from shared.db.connection import Connection
from shared.rules import line_kinds, registrations
from shared.rules.line_kinds import Capability, LineKind, LineMode
from shared.rules.lines import Columns, Limits, Line, Lines, Row, Traits
from shared.rules.purposes import Purpose
from shared.rules.registrations import Registration, RegistrationState
from shared.sms import time_zones

PAGE_COUNT: Final = 2_000
"""Lines that are made at a stretch: some 15 ms."""

_SELECT = """
SELECT line_id, account_id, sender, coalesce(name, ''), is_default, created_at, kind, country,
       hour_limit, day_limit, month_limit, array_to_string(capabilities, ' '), mode,
       registration, brand, campaign, registered_from, registered_until, use_case,
       purpose, time_zone, second_limit
FROM lines ORDER BY account_id, line_id"""
_OF_ONE_SENDER = """
SELECT array_agg(line_id ORDER BY line_id) FROM lines GROUP BY sender HAVING count(*) > 1"""


class Loaded(NamedTuple):
    """Every line, and what is known of several together."""

    lines: Lines
    sharing: dict[int, tuple[int, ...]]
    """line → all lines of its number, where several accounts have it, in the order of their ids."""
    api_senders: dict[int, frozenset[str]]
    """account → the senders of its lines in API mode, if it has any."""


async def load(connection: Connection) -> Loaded:
    """All of them, in a transaction. It waits for a page to be made, never for all: of a hundred
    thousand that takes most of a second, and many where others are busy."""
    columns = Columns()
    senders: defaultdict[int, set[str]] = defaultdict(set)

    @functools.cache
    def traits_number(*row: Any) -> int:
        return columns.number_of(_traits(*row))

    rows = await connection.cursor(_SELECT)
    while page := await rows.fetch(PAGE_COUNT):
        for row in page:
            line = Row(*row[:6])
            number = traits_number(line_kinds.of_line(row[6], line.sender), *row[7:])
            columns.add(line, number)
            if columns.traits[number].mode is LineMode.API:
                senders[line.account_id].add(line.sender)
    loaded = Lines(columns)
    return Loaded(
        loaded,
        await _sharing(connection, loaded),
        {account_id: frozenset(own) for account_id, own in senders.items()},
    )


async def _sharing(connection: Connection, loaded: Lines) -> dict[int, tuple[int, ...]]:
    """Lines of one number belong together; what has a name only is no line that phones share."""
    return {
        line_id: tuple(together)
        for (together,) in await connection.fetch(_OF_ONE_SENDER)
        if loaded[together[0]].kind is not LineKind.ALPHANUMERIC
        for line_id in together
    }


def _traits(kind: LineKind, country: str, *row: Any) -> Traits:
    hour, day, month, capabilities, mode, state, *registered, use_case, purpose, zone, second = row
    where = registrations.kind_for(kind)
    return Traits(
        kind,
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
