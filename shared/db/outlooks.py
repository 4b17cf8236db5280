"""What a forecast is made of: what limits have used, and what waits for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from shared.db.connection import Connection

WAITING_COUNT_MAX = 50_000
"""Messages that are counted, the most urgent and oldest: who comes after as many does not leave in
time."""

# As fine as the windows need it that still see it (see `permits`).
_USAGE = """
SELECT scope, minute - minute % CASE WHEN age < 62 THEN 1 WHEN age < 1470 THEN 15 ELSE 360 END
           AS slot, sum(segment_count)::bigint AS segment_count
FROM (
    SELECT scope, minute, segment_count,
           floor(extract(epoch FROM now()) / 60)::bigint - minute AS age
    FROM limit_usage WHERE scope = ANY ($1::text[])
) u WHERE age < 32 * 24 * 60 GROUP BY scope, slot ORDER BY scope, slot"""


async def usage(connection: Connection, scopes: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """scope → [(start of a slot in ms since 1970, segments)], oldest first; every scope present."""
    found: dict[str, list[tuple[int, int]]] = {scope: [] for scope in scopes}
    for row in await connection.fetch(_USAGE, scopes):
        found[row["scope"]].append((row["slot"] * 60_000, row["segment_count"]))
    return found


_PARKED_OF = "SELECT line_id FROM parked_lines WHERE line_id = ANY ($1::int[])"


async def parked_of(connection: Connection, line_ids: Collection[int]) -> set[int]:
    """Those of these lines on which messages wait."""
    return {row["line_id"] for row in await connection.fetch(_PARKED_OF, line_ids)}


class ParkedSegments(NamedTuple):
    """Segments of one class and country that are parked on a line."""

    line_id: int
    message_class: int
    country: str
    segment_count: int


_ON_LINES = """
SELECT l.line_id, w.class, w.country, sum(w.segment_count)::bigint AS segment_count
FROM unnest($1::int[]) AS l (line_id), LATERAL (
    SELECT class, country, segment_count FROM work
    WHERE line_id = l.line_id AND state = 'parked' ORDER BY class, message_id LIMIT $2
) w GROUP BY l.line_id, w.class, w.country"""


async def on_lines(connection: Connection, line_ids: Sequence[int]) -> list[ParkedSegments]:
    """What is parked on these lines."""
    rows = await connection.fetch(_ON_LINES, line_ids, WAITING_COUNT_MAX)
    return [ParkedSegments(*row) for row in rows]


_TO_COUNTRY = """
SELECT 0, class, country, sum(segment_count)::bigint FROM (
    SELECT class, country, segment_count FROM work
    WHERE state = 'parked' AND country = $1 AND ($2::int IS NULL OR account_id = $2) LIMIT $3
) w GROUP BY class, country"""


async def to_country(
    connection: Connection, country: str, account_id: int | None
) -> list[ParkedSegments]:
    """What is parked for a country, everybody's or one account's, on no line in particular."""
    rows = await connection.fetch(_TO_COUNTRY, country, account_id, WAITING_COUNT_MAX)
    return [ParkedSegments(*row) for row in rows]


# What is in neither table has not been committed yet.
_UNTRIED = """
SELECT asked.message_id FROM unnest($1::uuid[]) AS asked (message_id)
LEFT JOIN LATERAL (
    SELECT state FROM work w WHERE w.message_id = asked.message_id LIMIT 1
) w ON true
LEFT JOIN LATERAL (
    SELECT true AS is_stored FROM messages m WHERE m.message_id = asked.message_id LIMIT 1
) m ON true
WHERE w.state IN ('ready', 'published') OR m.is_stored IS NULL"""


async def untried(connection: Connection, message_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these messages, accepted just now, that no dispatcher has had in hand."""
    rows = await connection.fetch(_UNTRIED, message_ids)
    return {row["message_id"] for row in rows}


class ParkedPlace(NamedTuple):
    """Where a message stands among those that are parked."""

    message_class: int
    message_id: UUID


_AHEAD = """
SELECT coalesce(sum(segment_count), 0)::bigint FROM (
    SELECT segment_count FROM work
    WHERE state = 'parked' AND (class, message_id) < ($1::smallint, $2::uuid) AND {}
    ORDER BY class, message_id LIMIT $3
) w"""
_AHEAD_ON_LINE = _AHEAD.format("line_id = $4")
_AHEAD_TO_COUNTRY = _AHEAD.format("country = $4 AND ($5::int IS NULL OR account_id = $5)")


async def ahead_on_line(connection: Connection, place: ParkedPlace, line_id: int) -> int:
    """Segments parked on a line that leave before this message."""
    return int(await connection.fetchval(_AHEAD_ON_LINE, *place, WAITING_COUNT_MAX, line_id))


async def ahead_to_country(
    connection: Connection, place: ParkedPlace, country: str, account_id: int | None
) -> int:
    """Segments parked for a country, everybody's or one account's, that leave before this."""
    return int(
        await connection.fetchval(_AHEAD_TO_COUNTRY, *place, WAITING_COUNT_MAX, country, account_id)
    )
