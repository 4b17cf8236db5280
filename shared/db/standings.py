"""How carriers stand: what they answered, second by second, and which of them are not well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from shared.db.connection import Connection
from shared.rules.routes import ANYWHERE
from shared.rules.standings import CarrierStanding, Condition, ReceiptCounts

KEPT_SECONDS = 300
SAMPLE_COUNT_MAX = 2_000
IN_TIME_SECONDS = 120.0
"""A receipt that takes longer is late; most take seconds."""
_DECIDER_KEY = 0x51C1CE36


class CarrierSecond(NamedTuple):
    """What a process counted of a carrier and country (`ANYWHERE`: its links) since it last
    said."""

    carrier_id: int
    country: str
    taken: int = 0
    refused: int = 0
    failed: int = 0
    up: int = 0
    down: int = 0


_NOTE = """
INSERT INTO carrier_answers AS a (second, carrier_id, country, taken_count, refused_count,
                                  failed_count, up_count, down_count)
SELECT floor(extract(epoch FROM now()))::bigint, * FROM unnest(
    $1::int[], $2::text[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[])
ORDER BY 2, 3
ON CONFLICT (second, carrier_id, country) DO UPDATE
SET taken_count = a.taken_count + excluded.taken_count,
    refused_count = a.refused_count + excluded.refused_count,
    failed_count = a.failed_count + excluded.failed_count,
    up_count = a.up_count + excluded.up_count, down_count = a.down_count + excluded.down_count"""


async def note(connection: Connection, counted: list[CarrierSecond]) -> None:
    """Add what this process has counted to this second."""
    if counted:
        await connection.execute(_NOTE, *map(list, zip(*counted, strict=True)))


_COUNTS = """
SELECT carrier_id, country, sum(taken_count)::int, sum(refused_count)::int, sum(failed_count)::int,
       sum(up_count)::int, sum(down_count)::int
FROM carrier_answers WHERE second > floor(extract(epoch FROM now()))::bigint - $1
GROUP BY carrier_id, country"""


async def counts(connection: Connection, seconds: int) -> list[CarrierSecond]:
    """What all processes counted in the last so many seconds."""
    return [CarrierSecond(*row) for row in await connection.fetch(_COUNTS, seconds)]


# The newest of those that are due, and the oldest of those that tell what is usual, which are of
# before an illness that has just begun.
_RECEIPTS = """
WITH sent AS (
    (SELECT message_id, carrier_id, submitted_at, finished_at, true AS is_recent FROM segments
     WHERE submitted_at >= now() - interval '15 minutes'
       AND submitted_at < now() - interval '5 minutes' AND accepted_at IS NOT NULL
     ORDER BY submitted_at DESC LIMIT $1)
    UNION ALL
    (SELECT message_id, carrier_id, submitted_at, finished_at, false FROM segments
     WHERE submitted_at >= now() - interval '3 hours'
       AND submitted_at < now() - interval '1 hour' AND accepted_at IS NOT NULL
     ORDER BY submitted_at LIMIT $1)
)
SELECT s.carrier_id, m.country, count(*) FILTER (WHERE is_recent)::int AS due,
       count(*) FILTER (WHERE is_recent AND in_time)::int,
       count(*) FILTER (WHERE NOT is_recent)::int,
       count(*) FILTER (WHERE NOT is_recent AND in_time)::int
FROM sent s JOIN messages m USING (message_id),
     LATERAL (SELECT s.finished_at <= s.submitted_at + $2 * interval '1 second') t (in_time)
GROUP BY s.carrier_id, m.country"""


async def receipts(connection: Connection) -> dict[tuple[int, str], ReceiptCounts]:
    """How many receipts of a sample came in time, by carrier and country."""
    rows = await connection.fetch(_RECEIPTS, SAMPLE_COUNT_MAX, IN_TIME_SECONDS)
    return {(row[0], row[1]): ReceiptCounts(*list(row)[2:]) for row in rows}


_FORGET = "DELETE FROM carrier_answers WHERE second < extract(epoch FROM now()) - $1"


async def forget(connection: Connection) -> None:
    """What is older than anybody asks for goes."""
    await connection.execute(_FORGET, KEPT_SECONDS)


async def may_decide(connection: Connection) -> bool:
    """Whether the caller alone decides, until its transaction ends."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _DECIDER_KEY))


_LOAD = """
SELECT carrier_id, country, condition, share, since_seconds, rest_seconds, cause
FROM carrier_standings"""


async def load(connection: Connection) -> dict[tuple[int, str], CarrierStanding]:
    """Every carrier that is not well, by (carrier, country or `ANYWHERE`)."""
    return {
        (carrier_id, country): CarrierStanding(Condition(condition), *rest)
        for carrier_id, country, condition, *rest in await connection.fetch(_LOAD)
    }


_PUT = """
INSERT INTO carrier_standings (carrier_id, country, condition, share, since_seconds, rest_seconds,
                               cause)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (carrier_id, country) DO UPDATE
SET condition = excluded.condition, share = excluded.share, since_seconds = excluded.since_seconds,
    rest_seconds = excluded.rest_seconds, cause = excluded.cause"""
_DROP = "DELETE FROM carrier_standings WHERE carrier_id = $1 AND country = $2"
_FORGET_ANSWERS = f"""
DELETE FROM carrier_answers WHERE carrier_id = $1 AND (country = $2 OR $2 = '{ANYWHERE}')"""  # noqa: S608 - a word of ours


async def change(
    connection: Connection, changed: Mapping[tuple[int, str], CarrierStanding | None]
) -> None:
    """Write how carriers stand from now on (None: well), for every process to see. What one that is
    well again answered before is not held against it."""
    for (carrier_id, country), standing in changed.items():
        if standing is None:
            await connection.execute(_DROP, carrier_id, country)
            await connection.execute(_FORGET_ANSWERS, carrier_id, country)
        else:
            await connection.execute(
                _PUT,
                carrier_id,
                country,
                standing.condition,
                standing.share,
                standing.since_seconds,
                standing.rest_seconds,
                standing.cause,
            )
    await connection.execute("UPDATE standings_version SET version = version + 1")


_VERSIONS = """
SELECT c.version, s.version FROM configuration_version c, standings_version s"""


async def versions(connection: Connection) -> tuple[int, int]:
    """(the configuration's number, that of the standings)."""
    (row,) = await connection.fetch(_VERSIONS)
    return row[0], row[1]
