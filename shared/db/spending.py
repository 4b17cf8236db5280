"""What accounts spend, by country and quarter of an hour; the caps on it, and the guard against
traffic pumping."""

# ruff: noqa: S608 - what is put into the queries are constants of our own

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import asyncpg

from shared.db import cleaning
from shared.db.connection import Connection
from shared.db.ledger import NOW_SLOT
from shared.rules.spending import EVERYWHERE, SLOT_COUNTS, CapOwner, SpendingCap, SpendWindow
from shared.rules.usage_slots import SlotUse
from shared.rules.velocity import PAST_DAYS, YOUNG_DAYS, CountryPace, VelocityGuard

PAGE_COUNT = 2_000
"""Statements whose spending is added up in one transaction."""
KEPT_SLOT_COUNT = max(SLOT_COUNTS[SpendWindow.MONTH], (PAST_DAYS + YOUNG_DAYS) * 96) + 2 * 96

# Parts of the statement that stores messages: they read the parts `accepted` and `wallet`, and
# begin when all of the latter are locked. Nobody asks about a wallet that is not watched: what is
# spent from those is one row of `spending_pages`, until it is added up. Whoever asks reads both, so
# it does no harm where a wallet has just become watched.
RECORD = f"""
spent_on AS MATERIALIZED (
    SELECT s.*, (SELECT {NOW_SLOT}) AS slot,
           some_watched AND (SELECT spending_watched FROM wallets w WHERE w.wallet_id = s.wallet_id)
               AS is_watched
    FROM (SELECT bool_or(spending_watched) AS some_watched FROM wallet) locked CROSS JOIN (
        SELECT wallet_id, country, sum(segment_count) AS segment_count,
               sum(segment_count * segment_price_micro)::bigint AS amount_micro
        FROM accepted GROUP BY wallet_id, country
    ) s
), spending_page AS (
    INSERT INTO spending_pages (slot, wallet_ids, countries, segment_counts, amounts_micro)
    SELECT slot, array_agg(wallet_id), array_agg(country), array_agg(segment_count),
           array_agg(amount_micro)
    FROM spent_on WHERE NOT is_watched GROUP BY slot
), watched AS (
    INSERT INTO spending AS s (wallet_id, country, slot, segment_count, amount_micro)
    SELECT wallet_id, coalesce(country, '{EVERYWHERE}'), slot, sum(segment_count),
           sum(amount_micro)
    FROM spent_on WHERE is_watched
    GROUP BY GROUPING SETS ((wallet_id, country, slot), (wallet_id, slot)) ORDER BY 1, 2
    ON CONFLICT (wallet_id, country, slot)
    DO UPDATE SET segment_count = s.segment_count + excluded.segment_count,
                  amount_micro = s.amount_micro + excluded.amount_micro
)"""
"""What was spent, by country, and in all."""


def _spent(wallet_ids: str) -> str:
    """Parts of a statement that is about these wallets, an array: `known` is what they have spent,
    added up or not, by country and in all."""
    return f"""
late AS MATERIALIZED (
    SELECT e.wallet_id, e.country, p.slot, e.segment_count, e.amount_micro FROM spending_pages p
    CROSS JOIN LATERAL unnest(p.wallet_ids, p.countries, p.segment_counts, p.amounts_micro)
        AS e (wallet_id, country, segment_count, amount_micro)
    WHERE p.wallet_ids && {wallet_ids} AND e.wallet_id = ANY ({wallet_ids})
), known AS NOT MATERIALIZED (
    SELECT wallet_id, country, slot, segment_count, amount_micro FROM spending
    UNION ALL
    SELECT l.wallet_id, place.country, l.slot, l.segment_count, l.amount_micro
    FROM late l CROSS JOIN LATERAL (VALUES (l.country), ('{EVERYWHERE}')) AS place (country)
)"""


DISAGREEING = f"""
SELECT wallet_id, slot,
       sum(amount_micro) FILTER (WHERE country = '{EVERYWHERE}') AS in_all_micro,
       sum(amount_micro) FILTER (WHERE country <> '{EVERYWHERE}') AS by_country_micro
FROM spending GROUP BY wallet_id, slot
HAVING sum(CASE WHEN country = '{EVERYWHERE}' THEN amount_micro ELSE -amount_micro END) <> 0
    OR sum(CASE WHEN country = '{EVERYWHERE}' THEN segment_count ELSE -segment_count END) <> 0"""
"""Quarters of an hour whose sums do not fit each other."""

_WINDOWS = ", ".join(
    f"('{window}', c.{window}_micro, {count}, {96 if window is SpendWindow.MONTH else 1})"
    for window, count in SLOT_COUNTS.items()
)
# What was spent in a month is told by the day: then nobody has thousands of rows to add up here.
_CAPS = f"""
WITH {_spent("$1::integer[]")}
SELECT w.wallet_id, c.country, c.owner, v.word, v.limit_micro, u.slots, u.amounts
FROM wallets w
JOIN spending_caps c USING (account_id)
CROSS JOIN LATERAL (VALUES {_WINDOWS}) AS v (word, limit_micro, slot_count, grain)
CROSS JOIN LATERAL (
    SELECT array_agg(d.slot ORDER BY d.slot) AS slots,
           array_agg(d.amount_micro ORDER BY d.slot) AS amounts
    FROM (
        SELECT max(s.slot) AS slot, sum(s.amount_micro)::bigint AS amount_micro FROM known s
        WHERE s.wallet_id = w.wallet_id AND s.country = c.country
          AND s.slot >= (SELECT {NOW_SLOT}) - v.slot_count
        GROUP BY s.slot / v.grain
    ) d
) u
WHERE w.wallet_id = ANY ($1::integer[]) AND v.limit_micro IS NOT NULL
  AND ($2::text[] IS NULL OR c.country = '{EVERYWHERE}' OR c.country = ANY ($2))
ORDER BY w.wallet_id, c.country, c.owner, v.slot_count"""


async def caps(
    connection: Connection, wallet_ids: Sequence[int], countries: Iterable[str] | None = None
) -> dict[int, list[SpendingCap]]:
    """wallet → the caps of its account on these countries, or on all; exact once the wallets are
    locked."""
    found: defaultdict[int, list[SpendingCap]] = defaultdict(list)
    named = None if countries is None else sorted(countries)
    for row in await connection.fetch(_CAPS, wallet_ids, named):
        wallet_id, country, owner, word, limit_micro, slots, amounts = row
        cap = SpendingCap(
            country, CapOwner(owner), SpendWindow(word), limit_micro, _uses(slots, amounts)
        )
        found[wallet_id].append(cap)
    return dict(found)


def _uses(slots: Sequence[int] | None, amounts: Sequence[int] | None) -> tuple[SlotUse, ...]:
    return tuple(map(SlotUse, slots or (), amounts or ()))


_PACES = f"""
WITH {_spent("$1::integer[]")}
SELECT w.wallet_id, g.floor_count, g.factor, p.country, r.slots, r.counts, b.busiest_count,
       EXISTS (SELECT FROM velocity_lifts l WHERE l.account_id = w.account_id
               AND l.country = p.country AND l.until_at > clock_timestamp()) AS is_lifted
FROM wallets w
JOIN velocity_guards g USING (account_id)
CROSS JOIN unnest($2::text[]) AS p (country)
CROSS JOIN LATERAL (
    SELECT array_agg(s.slot ORDER BY s.slot) AS slots,
           array_agg(s.segment_count ORDER BY s.slot) AS counts
    FROM known s WHERE s.wallet_id = w.wallet_id AND s.country = p.country
      AND s.slot >= (SELECT {NOW_SLOT}) - {SLOT_COUNTS[SpendWindow.HOUR]}
) r
CROSS JOIN LATERAL (
    SELECT coalesce(max(h.segment_count), 0)::bigint AS busiest_count FROM (
        SELECT sum(s.segment_count) AS segment_count FROM spending s
        JOIN wallets o USING (wallet_id)
        WHERE o.account_id = w.account_id AND s.country = p.country
          AND s.slot >= (SELECT {NOW_SLOT}) - {(PAST_DAYS + YOUNG_DAYS) * 96}
          AND s.slot < (SELECT {NOW_SLOT}) - {YOUNG_DAYS * 96}
        GROUP BY s.slot / {SLOT_COUNTS[SpendWindow.HOUR]}
    ) h
) b
WHERE w.wallet_id = ANY ($1::integer[])"""

Paces = tuple[VelocityGuard, dict[str, CountryPace]]


async def paces(
    connection: Connection, wallet_ids: Sequence[int], countries: Iterable[str]
) -> dict[int, Paces]:
    """wallet → how its account is guarded, and what it sends to these countries; exact once the
    wallets are locked. Others' wallets are missing."""
    found: dict[int, Paces] = {}
    for row in await connection.fetch(_PACES, wallet_ids, sorted(countries)):
        wallet_id, floor_count, factor, country, slots, counts, busiest_count, is_lifted = row
        guard = VelocityGuard(floor_count, factor)
        _, of_country = found.setdefault(wallet_id, (guard, {}))
        of_country[country] = CountryPace(_uses(slots, counts), busiest_count, is_lifted)
    return found


_LATELY = f"""
WITH {_spent("ARRAY(SELECT wallet_id FROM wallets WHERE account_id = $1)")}
SELECT DISTINCT s.country FROM known s JOIN wallets w USING (wallet_id)
WHERE w.account_id = $1 AND s.country <> '{EVERYWHERE}'
  AND s.slot >= (SELECT {NOW_SLOT}) - {SLOT_COUNTS[SpendWindow.DAY]}"""


async def countries_of_today(connection: Connection, account_id: int) -> list[str]:
    """Where an account has sent within a day."""
    return sorted(row[0] for row in await connection.fetch(_LATELY, account_id))


@dataclass(frozen=True, slots=True)
class OperatorCap:
    """How much an account may spend, as the operator sets it; a window that is None has no cap."""

    account: str
    country: str
    hour_micro: int | None
    day_micro: int | None
    month_micro: int | None

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from other caps."""
        return ("spending_cap", self.account, self.country)


@dataclass(frozen=True, slots=True)
class Guarding:
    """That an account is watched for a sudden rise to one country. A factor of 0: it is not."""

    account: str
    floor: int
    factor: int

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from other accounts' guards."""
        return ("velocity_guard", self.account)


_READ_CAPS = f"""
SELECT a.name, c.country, c.hour_micro, c.day_micro, c.month_micro
FROM spending_caps c JOIN accounts a USING (account_id) WHERE c.owner = '{CapOwner.OPERATOR}'"""
_READ_GUARDS = """
SELECT a.name, g.floor_count, g.factor FROM velocity_guards g JOIN accounts a USING (account_id)"""


async def read(connection: Connection) -> list[OperatorCap | Guarding]:
    """What the operator has set."""
    found: list[OperatorCap | Guarding] = [
        OperatorCap(*row) for row in await connection.fetch(_READ_CAPS)
    ]
    found += [Guarding(*row) for row in await connection.fetch(_READ_GUARDS)]
    return found


_PUT_CAP = """
INSERT INTO spending_caps (account_id, country, owner, hour_micro, day_micro, month_micro)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (account_id, country, owner) DO UPDATE SET hour_micro = excluded.hour_micro,
    day_micro = excluded.day_micro, month_micro = excluded.month_micro"""
_LIFT_CAPS = "DELETE FROM spending_caps WHERE account_id = $1 AND country = ANY ($2) AND owner = $3"
_PUT_GUARD = """
INSERT INTO velocity_guards (account_id, floor_count, factor) VALUES ($1, $2, $3)
ON CONFLICT (account_id) DO UPDATE SET floor_count = excluded.floor_count,
    factor = excluded.factor"""
_END_GUARD = "DELETE FROM velocity_guards WHERE account_id = $1"
_ACCOUNT = "SELECT account_id FROM accounts WHERE name = $1"


async def put(connection: Connection, row: OperatorCap | Guarding) -> None:
    """Write what the operator sets; a cap without any window, and a guard without a factor, are
    none."""
    account_id = await connection.fetchval(_ACCOUNT, row.account)
    if isinstance(row, OperatorCap):
        limits = row.hour_micro, row.day_micro, row.month_micro
        await put_caps(connection, account_id, CapOwner.OPERATOR, {row.country: limits})
    elif row.factor:
        await connection.execute(_PUT_GUARD, account_id, row.floor, row.factor)
    else:
        await connection.execute(_END_GUARD, account_id)


CapLimits = tuple[int | None, int | None, int | None]
"""Micro-units in an hour, a day and a month."""


async def put_caps(
    connection: Connection, account_id: int, owner: CapOwner, wanted: Mapping[str, CapLimits]
) -> None:
    """Set the owner's caps by country; one without any window is lifted. Others stay."""
    gone = [country for country, limits in wanted.items() if limits == (None, None, None)]
    await connection.execute(_LIFT_CAPS, account_id, gone, owner.value)
    for country, limits in sorted(wanted.items()):
        if country not in gone:
            await connection.execute(_PUT_CAP, account_id, country, owner.value, *limits)


_TURN = "SELECT pg_advisory_xact_lock(hashtext('spending_caps'), $1)"


async def take_turn(connection: Connection, account_id: int) -> None:
    """Until the transaction ends, let nobody else change all caps of this account."""
    await connection.execute(_TURN, account_id)


_OWN = "SELECT country FROM spending_caps WHERE account_id = $1 AND owner = $2"


async def capped_countries(
    connection: Connection, account_id: int, owner: CapOwner
) -> frozenset[str]:
    """Where the owner has set a cap."""
    rows = await connection.fetch(_OWN, account_id, owner.value)
    return frozenset(row[0] for row in rows)


_LIFT = """
INSERT INTO velocity_lifts (account_id, country, until_at, reason)
VALUES ($1, $2, $3, $4)
ON CONFLICT (account_id, country) DO UPDATE SET until_at = excluded.until_at,
    reason = excluded.reason, created_at = clock_timestamp()"""


async def lift_guard(
    connection: Connection, account_id: int, country: str, until_at: datetime, reason: str
) -> None:
    """Let everything to this country pass until then."""
    await connection.execute(_LIFT, account_id, country, until_at, reason)


class StoredLift(NamedTuple):
    """That the guard lets pass what goes to a country, and why."""

    country: str
    until_at: datetime
    reason: str


_LIFTS = """
SELECT country, until_at, reason FROM velocity_lifts
WHERE account_id = $1 AND until_at > clock_timestamp() ORDER BY country"""


async def lifts(connection: Connection, account_id: int) -> list[StoredLift]:
    """What the guard lets pass of an account now."""
    return [StoredLift(*row) for row in await connection.fetch(_LIFTS, account_id)]


_FORGET = f"""
DELETE FROM spending s USING (
    SELECT o.wallet_id, o.country, o.slot FROM wallets w CROSS JOIN LATERAL (
        SELECT wallet_id, country, slot FROM spending
        WHERE wallet_id = w.wallet_id AND slot < (SELECT {NOW_SLOT}) - {KEPT_SLOT_COUNT}
        LIMIT $1 FOR UPDATE SKIP LOCKED
    ) o WHERE w.account_id IS NOT NULL LIMIT $1
) old WHERE s.wallet_id = old.wallet_id AND s.country = old.country AND s.slot = old.slot"""


async def add_up(database: asyncpg.Pool, page_count: int = PAGE_COUNT) -> None:
    """Add what was spent to what is told apart by wallet, until little is left. Of several callers
    one does it."""
    await cleaning.by_calls(database, "SELECT add_up_spending($1)", page_count)


async def forget(database: asyncpg.Pool) -> None:
    """Delete what no cap and no guard looks at any more."""
    await cleaning.by_pages(database, _FORGET)
