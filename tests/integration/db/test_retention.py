"""What is too old goes, page by page, and nothing else; money stays, and the audit is content."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from shared.db import (
    apply,
    audit,
    cleaning,
    ledger,
    limits,
    matching,
    receipts,
    trail,
    workers,
)
from shared.db.connection import Connection
from shared.runtime import ids
from shared.sms.receipts import Receipt, ReceiptState
from tests.integration.audit import books

AGE = "interval '100 days'"


@pytest.fixture
async def owner(owner: asyncpg.Connection) -> asyncpg.Connection:
    """The schema's owner, who knows how to make things old."""
    await owner.execute(_AGED_ID)
    return owner


_AGED_ID = f"""
CREATE FUNCTION aged(id uuid) RETURNS uuid LANGUAGE sql AS $$
    SELECT (left(least_id(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint
            * interval '1 millisecond' + 'epoch'::timestamptz - {AGE})::text, 13)
            || substr(id::text, 14))::uuid
$$"""


async def age(owner: asyncpg.Connection, *message_ids: UUID) -> list[UUID]:
    """Let messages have come 100 days earlier than they did; their ids by then."""
    await owner.execute("ALTER TABLE transfers DISABLE TRIGGER transfers_are_immutable")
    for table in ("messages", "segments", "transfers", "work"):
        await owner.execute(
            f"UPDATE {table} SET message_id = aged(message_id) WHERE message_id = ANY ($1)",
            message_ids,
        )
    await owner.execute("ALTER TABLE transfers ENABLE TRIGGER transfers_are_immutable")
    await owner.execute(
        "UPDATE event_pages SET message_ids = ARRAY("
        " SELECT CASE WHEN id = ANY ($1) THEN aged(id) ELSE id END"
        " FROM unnest(message_ids) WITH ORDINALITY AS t (id, place) ORDER BY place)",
        message_ids,
    )
    rows = await owner.fetch("SELECT aged(id) AS id FROM unnest($1::uuid[]) AS id", message_ids)
    old = [row["id"] for row in rows]
    await owner.execute(
        f"UPDATE messages SET created_at = created_at - {AGE} WHERE message_id = ANY ($1)",
        old,
    )
    return old


async def receipted(owner: asyncpg.Connection, *message_ids: UUID) -> None:
    """Let a receipt be kept of each of these."""
    said = Receipt("name", ReceiptState.DELIVERED)
    now = datetime.now(UTC)
    async with owner.transaction():
        await receipts.insert(
            owner,
            [
                receipts.NewReceipt(
                    ids.uuid7(), 1, now, b"", said, matching.Owner(each, 1, alone=True, fits=True)
                )
                for each in message_ids
            ],
        )


async def breaches(owner: asyncpg.Connection) -> set[str]:
    return {each.check.name for each in await audit.examine(owner) if each.breach_count}


async def test_what_is_too_old_goes_and_its_money_stays(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given books in which three messages are old, of which one still waits
    written = await books.write(owner)
    delivered, refunded, parked = await age(
        owner, written.delivered, written.refunded, written.parked
    )
    await owner.execute(f"UPDATE accounts SET created_at = created_at - {AGE}")
    await owner.execute(
        f"UPDATE event_pages SET created_at = created_at - {AGE} WHERE last_sequence = 1"
    )
    await owner.execute(
        "INSERT INTO receipts (receipt_id, carrier_id, carrier_message_id, state, code, raw,"
        " received_at) SELECT id, 1, '', 'delivered', '', '', at"
        f" FROM (VALUES (aged($1), now() - {AGE}), ($1, now())) AS t (id, at)",
        (kept := ids.uuid7()),
    )
    await receipted(owner, delivered, written.submitted)
    money = await owner.fetch("SELECT * FROM transfers ORDER BY transfer_id")
    # When services forget what is too old
    await cleaning.forget_old(services)
    # Then that is gone, with all that names a phone
    left = {row["message_id"] for row in await owner.fetch("SELECT message_id FROM messages")}
    assert left == {
        written.queued,
        parked,
        written.scheduled,
        written.submitting,
        written.submitted,
    }
    assert not {delivered, refunded} & {
        row["message_id"] for row in await owner.fetch("SELECT message_id FROM segments")
    }
    assert [row["receipt_id"] for row in await owner.fetch("SELECT receipt_id FROM receipts")] == [
        kept
    ]
    assert await receipts.of_message(owner, delivered) == []
    assert len(await receipts.of_message(owner, written.submitted)) == 1
    assert [row["sequence"] for row in await owner.fetch("SELECT sequence FROM all_events")] == [
        2,
        3,
        4,
        5,
    ]
    # And no movement of money, and the books agree
    assert await owner.fetch("SELECT * FROM transfers ORDER BY transfer_id") == money
    assert await breaches(owner) == set()


async def test_the_audit_still_sees_what_is_lost_of_what_is_kept(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given that the retention has begun
    written = await books.write(owner)
    await cleaning.forget_old(services)
    assert await breaches(owner) == set()
    # When something of what is kept is lost, Then it is missed
    await owner.execute("DELETE FROM event_pages WHERE last_sequence = 1")
    await owner.execute("DELETE FROM messages WHERE message_id = $1", written.queued)
    await owner.execute("DELETE FROM segments WHERE message_id = $1", written.queued)
    assert await breaches(owner) >= {"debits", "event_numbers"}


async def test_pages_take_all_that_is_old_and_look_at_little_else(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given a thousand messages, 25 of them old, as many receipts and events, and a fifth of pages
    await owner.execute(_MANY.format(now="now()", start=26, end=1_000))
    await owner.execute(_MANY.format(now=f"now() - {AGE}", start=1, end=25))
    await owner.execute(_MANY.format(now="now() - interval '80 days'", start=1_001, end=1_010))
    await owner.execute("INSERT INTO event_heads SELECT n, 1000 FROM generate_series(1, 3) n")
    # When they are taken in pages of ten
    gone_count = await cleaning.forget_old(services, 10)
    # Then each of them is gone, and no other
    assert gone_count == 3 * 25 + 5
    for table in ("messages", "segments", "receipts", "events"):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == 985
    assert await owner.fetchval("SELECT count(*) FROM receipt_pages") == 985 // 5
    # And when none is left, a look costs next to nothing
    async with services.acquire() as opened, opened.transaction():
        before = await _looked_at(opened)
        assert await opened.fetchval(_FORGET, 10, _LEAST) == 0
        after = await _looked_at(opened)
    assert max(after[table] - before[table] for table in after) < 10


async def test_what_waits_is_looked_up_however_little_waited_when_that_was_learned(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given much that is old and much that waits, since it was learned that nothing does
    await owner.execute(_MUCH_WORK)
    await owner.execute("DELETE FROM work")
    await owner.execute("ANALYZE work")
    await owner.execute(_MANY.format(now=f"now() - {AGE}", start=1, end=500))
    await owner.execute(_MUCH_WORK)
    # When a page of it is taken
    async with services.acquire() as opened, opened.transaction():
        before = await _looked_at(opened)
        assert await opened.fetchval(_FORGET, 500, _LEAST) >= 500
        after = await _looked_at(opened)
    # Then each message has cost a look at an index, and no row of what waits was gone through
    assert after["work"] == before["work"]


async def test_a_page_begins_where_the_one_before_has_ended(owner: asyncpg.Connection) -> None:
    # Given old messages, of which a page has just been taken
    await owner.execute(_MANY.format(now=f"now() - {AGE}", start=1, end=30))
    first = await owner.fetchval("SELECT end_id FROM forget_old(10, $1)", _LEAST)
    least = await owner.fetchval("SELECT min(message_id::text)::uuid FROM messages")
    # Then the next begins before all that is left, and behind all that has gone
    assert _LEAST < first < least
    # And a round that begins at the front has nothing to find there but what was left
    assert await owner.fetchval("SELECT end_id FROM forget_old(1, $1)", _LEAST) == least


# $1: the account; $2 to $3: numbers of its events, four a page.
_ROWS_OF = """
INSERT INTO events (account_id, sequence, message_id, status, reason, created_at)
SELECT $1::int, n, gen_random_uuid(), 'delivered', '', {at}
FROM generate_series($2::bigint, $3::bigint) AS n"""
_PAGES_OF = """
INSERT INTO event_pages (account_id, last_sequence, message_ids, statuses, reasons, refs,
    created_at)
SELECT $1::int, n + 3, array_fill(gen_random_uuid(), ARRAY[4]),
    array_fill('delivered'::text, ARRAY[4]), array_fill(''::text, ARRAY[4]),
    array_fill(NULL::text, ARRAY[4]), {at}
FROM generate_series($2::bigint, $3::bigint, 4) AS n"""

_TORN = """
SELECT h.account_id FROM event_heads h
JOIN (SELECT account_id, count(*) AS event_count, min(sequence) AS least, max(sequence) AS greatest
      FROM all_events GROUP BY account_id) e USING (account_id)
WHERE e.greatest <> h.last_sequence OR e.event_count <> e.greatest - e.least + 1"""


async def test_of_each_account_the_first_events_go_first_in_rows_and_in_pages(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given an account with old rows that are followed by old pages, one with old rows and young
    # pages, one with pages alone, and one of which nothing is old
    old, young = f"now() - {AGE}", "now()"
    for account_id, statement, start, end, at in (
        (1, _ROWS_OF, 1, 25, old),
        (1, _PAGES_OF, 26, 85, old),
        (1, _PAGES_OF, 86, 89, young),
        (2, _ROWS_OF, 1, 15, old),
        (2, _ROWS_OF, 16, 20, young),
        (2, _PAGES_OF, 21, 28, young),
        (3, _PAGES_OF, 1, 60, old),
        (3, _PAGES_OF, 61, 64, young),
        (4, _ROWS_OF, 1, 5, young),
        (4, _PAGES_OF, 6, 9, young),
    ):
        await owner.execute(statement.format(at=at), account_id, start, end)
    await owner.execute(
        "INSERT INTO event_heads SELECT account_id, max(sequence) FROM all_events GROUP BY 1"
    )
    # When they are taken away, ten rows and ten pages at once
    total_count = 0
    while gone_count := await services.fetchval(_FORGET, 10, _LEAST):
        total_count += gone_count
        assert gone_count <= 20
        # Then what is left of each account is whole at any time
        assert await owner.fetch(_TORN) == []
    # And in the end it is all that is young
    assert total_count == 25 + 15 + 15 + 15
    left = await owner.fetch(
        "SELECT account_id, min(sequence) FROM all_events GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row) for row in left] == [(1, 86), (2, 16), (3, 61), (4, 1)]


async def _looked_at(connection: Connection) -> dict[str, int]:
    """Rows of the large tables that this connection has read so far."""
    rows = await connection.fetch(
        "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
        " WHERE relname IN ('messages', 'segments', 'receipts', 'receipt_pages', 'events',"
        " 'event_pages', 'work')"
    )
    return {row[0]: row[1] for row in rows}


async def test_old_inbound_messages_go_page_by_page_and_young_ones_stay(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given 25 old messages of phones and five young ones, a fifth of them nobody's
    await owner.execute(_INBOUND)
    # When they are taken in pages of ten
    assert await cleaning.forget_old(services, 10) == 25
    # Then those that are left are the young ones
    left = await owner.fetch("SELECT body FROM inbound ORDER BY body")
    assert [row["body"] for row in left] == ["26", "27", "28", "29", "30"]


_INBOUND = f"""
INSERT INTO inbound (inbound_id, account_id, sequence, carrier_id, sender, recipient, body,
    encoding, part_count, missing, received_at, created_at)
SELECT least_id(at), CASE WHEN n % 5 > 0 THEN 1 END, CASE WHEN n % 5 > 0 THEN n END, 1,
    '+33612345678', '36180', n, 'gsm7', 1, '{{}}', at, at
FROM (
    SELECT n, now() - CASE WHEN n <= 25 THEN {AGE} ELSE interval '0' END + n * interval '1 ms' AS at
    FROM generate_series(1, 30) AS n
) aged"""

_LEAST = UUID(int=0)
_FORGET = "SELECT row_count FROM forget_old($1, $2)"
_MUCH_WORK = """
INSERT INTO work (message_id, account_id, line_id, carrier_id, country, class, segment_count, state,
    ready_at, expires_at)
SELECT gen_random_uuid(), 1, 1, 1, 'FR', 1, 1, 'ready', now(), now()
FROM generate_series(1, 20000)"""
_MANY = """
WITH new AS (
    SELECT n, least_id({now} + n * interval '1 millisecond') AS id, {now} AS at
    FROM generate_series({start}, {end}) AS n
), message AS (
    INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient,
        country, encoding, segment_count, class, at_least_once, segment_price_micro, currency,
        status, created_at, expires_at, updated_at)
    SELECT id, 1, 1, 1, 1, 'Sluice', '+33600000000', 'FR', 'gsm7', 1, 1, false, 45300, 'EUR',
        'delivered', at, at, at FROM new
), segment AS (
    INSERT INTO segments (message_id, part, state, carrier_id) SELECT id, 1, 'delivered', 1 FROM new
), receipt AS (
    INSERT INTO receipts (receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at)
    SELECT id, 1, '', 'delivered', '', '', at FROM new
), receipt_page AS (
    INSERT INTO receipt_pages (last_message_id, first_message_id, carrier_id, message_ids, parts,
        states, received_at, raws)
    SELECT least_id({now} + max(n) * interval '1 millisecond'),
        least_id({now} + min(n) * interval '1 millisecond'), 1, array_agg(id),
        array_agg(1), array_agg('delivered'::text), array_agg(at), array_agg(''::bytea)
    FROM new GROUP BY (n - 1) / 5
)
INSERT INTO events (account_id, sequence, message_id, status, reason, created_at)
SELECT 1 + n % 3, n, id, 'delivered', '', at FROM new"""


async def test_a_longer_retention_brings_nothing_back_and_is_kept_from_then_on(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given what was forgotten under a retention of 90 days
    await cleaning.forget_old(services)
    done_until = await owner.fetchval("SELECT done_until FROM sweeps WHERE name = 'retention'")
    # When it becomes 200, Then what is still to be asked for does not grow
    await apply.put(owner, apply.Platform(72, 200), None)
    await owner.execute(_MANY.format(now="now() - interval '95 days'", start=1, end=5))
    await cleaning.forget_old(services)
    asked = await owner.fetchval("SELECT done_until FROM sweeps WHERE name = 'retention'")
    assert asked == done_until


async def test_nothing_goes_that_may_still_move_whatever_is_set(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given a retention below what `sluice apply` lets pass
    await apply.put(owner, apply.Platform(72, 1), None)
    await owner.execute(_MANY.format(now="now() - interval '44 days'", start=1, end=5))
    # When it is kept to, Then what may still be sent and receipted is there
    assert await cleaning.forget_old(services) == 0


async def test_small_rows_go_in_pages_when_their_time_is_over(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given usage and workers, old and new, more than a page of them
    count = cleaning.PAGE_COUNT + 500
    await owner.execute(
        f"""
        INSERT INTO accounts (name, currency) SELECT n, 'EUR' FROM generate_series(1, 40) AS n;
        INSERT INTO limit_usage SELECT 'line:1', floor(extract(epoch FROM now()) / 60) - age,
            gen_random_uuid(), 1 FROM generate_series(46100, 46099 + {count}) AS age;
        INSERT INTO limit_usage SELECT 'line:1', floor(extract(epoch FROM now()) / 60) - 44640,
            gen_random_uuid(), 1;
        INSERT INTO daily_usage SELECT account_id, floor(extract(epoch FROM now()) / 900) - age, 1
            FROM accounts, generate_series(90, 250) AS age;
        INSERT INTO workers SELECT gen_random_uuid(), now(), now() - interval '2 hours'
            FROM generate_series(1, {count});
        INSERT INTO workers VALUES (gen_random_uuid(), now(), now())"""
    )
    # When they are swept
    await limits.forget_old(services)
    await ledger.forget_usage(services)
    await workers.forget_dead(services)
    # Then what some limit reaches, or lives, is left
    assert await owner.fetchval("SELECT count(*) FROM limit_usage") == 1
    assert await owner.fetchval("SELECT count(*) FROM workers") == 1
    assert await owner.fetchval("SELECT count(DISTINCT account_id) FROM daily_usage") == 40
    assert 40 * 97 <= await owner.fetchval("SELECT count(*) FROM daily_usage") <= 40 * 104


async def test_trails_go_with_the_messages_they_are_of(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given the trail of a message of long ago, and that of a young one
    old, young = ids.uuid7(), ids.uuid7()
    async with services.acquire() as opened:
        await trail.mark(opened, [trail.TrailMark(old, trail.TrailStep.DUE)])
        await trail.mark(opened, [trail.TrailMark(young, trail.TrailStep.DUE)])
    await owner.execute(
        "UPDATE trail_pages SET last_message_id = aged(last_message_id),"
        " first_message_id = aged(first_message_id) WHERE last_message_id = $1",
        old,
    )
    # When what is too old is forgotten, Then the young one's is left
    assert await cleaning.forget_old(services) == 1
    left = await owner.fetch("SELECT last_message_id FROM trail_pages")
    assert [row["last_message_id"] for row in left] == [young]
