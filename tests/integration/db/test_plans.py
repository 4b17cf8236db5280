"""The plans of the hot statements, as services have them made: by index, in every hot table."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.servers import Servers
from shared.db import audit, audit_checks, messages
from shared.db.connection import Connection
from tests.integration.db.filled import filled
from tests.integration.db.hot import HOT, STATEMENTS
from tests.integration.db.plans import is_by_index, nodes, plan_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROW_COUNT = 1_000_000
COMPARED_COUNT_MAX = 100 * ROW_COUNT

# A message a millisecond, each paid for and of one segment; a fifth of them still wait or are being
# submitted. What a message need not have has fewer rows.
_FILL = (
    """
CREATE TABLE fresh AS
SELECT n, least_id('2026-01-01'::timestamptz + n * interval '1 millisecond') AS message_id,
    (n % 50)::int AS account_id, (n % 100)::int AS line_id, (1 + n % 3)::int AS carrier_id
FROM generate_series(1, $count) AS n""",
    """
INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient,
    country, encoding, segment_count, class, at_least_once, segment_price_micro, currency, status,
    reference, created_at, expires_at, updated_at)
SELECT message_id, account_id, line_id, carrier_id, account_id,
    CASE n % 10 WHEN 3 THEN '+33700000001' ELSE 'Sluice' END, '+336' || n, 'FR',
    'gsm7', 1 + (n % 100 = 0)::int, 1, false, 45300, 'EUR', 'delivered',
    CASE n % 10 WHEN 0 THEN 'order ' || n END, now(), now(), now()
FROM fresh""",
    """
INSERT INTO segments (message_id, part, state, carrier_id, submitted_at, carrier_message_id,
    recipient)
SELECT message_id, 1, CASE n % 10 WHEN 2 THEN 'submitted' ELSE 'delivered' END, carrier_id,
    now() - n * interval '1 second', 'id ' || n, CASE n % 1000 WHEN 2 THEN '+336' || n END
FROM fresh WHERE n % 5 > 0""",
    """
INSERT INTO submits (message_id, part, worker_id, submitted_at)
SELECT message_id, 1, message_id, now() FROM fresh WHERE n % 1000 = 0""",
    """
INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason, message_id, part)
SELECT 1000 + account_id, 1, 45300, 'debit', 'accepted', message_id, 1 FROM fresh""",
    """
INSERT INTO work (message_id, account_id, line_id, carrier_id, country, class, segment_count, state,
    ready_at, expires_at)
SELECT message_id, account_id, line_id, carrier_id, 'FR', 1, 1,
    (ARRAY['ready', 'published', 'parked', 'scheduled'])[1 + n / 5 % 4], now(),
    now() + n * interval '1 second'
FROM fresh WHERE n % 5 = 0 AND n % 1000 > 0""",
    """
INSERT INTO receipts (receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at,
    message_id, part, retry_at, phones)
SELECT message_id, carrier_id, 'id', 'delivered', '', '', now(), message_id, 1,
    CASE line_id WHEN 7 THEN now() END, CASE line_id WHEN 7 THEN ARRAY['336' || n] END
FROM fresh WHERE n <= 200000""",
    """
INSERT INTO receipt_pages (last_message_id, first_message_id, carrier_id, message_ids, parts,
    states, received_at, raws)
SELECT message_id, message_id, carrier_id, ARRAY[message_id], '{1}', '{delivered}', ARRAY[now()],
    ARRAY[''::bytea]
FROM fresh WHERE n % 20 = 0""",
    """
INSERT INTO trail_pages (last_message_id, first_message_id, message_ids, parts, steps, begun_at,
    untils, details)
SELECT message_id, message_id, ARRAY[message_id], '{0}', '{waited}', '{NULL}', '{NULL}',
    '{line hour}'
FROM fresh WHERE n % 20 = 0""",
    "INSERT INTO event_heads SELECT account_id, 25000 FROM generate_series(0, 49) AS account_id",
    """
INSERT INTO events (account_id, sequence, message_id, status, reason)
SELECT account_id, n / 50, message_id, 'delivered', '' FROM fresh WHERE n <= 200000""",
    """
INSERT INTO event_pages (account_id, last_sequence, message_ids, statuses, reasons, refs)
SELECT account_id, 20000 + n / 50, ARRAY[message_id], '{delivered}', '{""}', '{shop}'
FROM fresh WHERE n <= 250000""",
    """
INSERT INTO idempotency_keys (account_id, key, fingerprint, http_status, answer)
SELECT account_id, 'key ' || n, '', 202, '' FROM fresh WHERE n <= 200000""",
    """
INSERT INTO accounts (account_id, name, currency) OVERRIDING SYSTEM VALUE
SELECT n, 'account ' || n, 'EUR' FROM generate_series(0, 49) AS n""",
    """
INSERT INTO webhooks (webhook_id, account_id, url, events, sealed_secret, read_until)
SELECT message_id, account_id, '', '{*}', '', 25000 FROM fresh WHERE n <= 500""",
    """
INSERT INTO webhook_retries (webhook_id, sequence, try_count, first_tried_at, due_at)
SELECT message_id, number, 1, now(), now() + number * interval '1 second'
FROM fresh, generate_series(1, 100) AS number WHERE n <= 500""",
    """
INSERT INTO webhook_tries (webhook_id, recorded_at, sequences, statuses, outcomes, tried_at)
SELECT message_id, now() + number * interval '1 second', ARRAY[number], '{204}', '{""}',
    ARRAY[now()]
FROM fresh, generate_series(1, 100) AS number WHERE n <= 500""",
    """
INSERT INTO inbound (inbound_id, account_id, sequence, line_id, carrier_id, sender, recipient, body,
    encoding, part_count, missing, received_at)
SELECT message_id, CASE WHEN line_id < 90 THEN account_id END, CASE WHEN line_id < 90 THEN n END,
    CASE WHEN line_id < 90 THEN line_id END, 1, '+336' || n, '+33700000001', 'yes', 'gsm7', 1, '{}',
    now()
FROM fresh WHERE n <= 100000""",
    """
INSERT INTO inbound_seen SELECT uuid_send(message_id), now() FROM fresh WHERE n <= 100000""",
    """
INSERT INTO inbound_parts (carrier_id, sender, recipient, reference, reference_bits, total, numbers,
    alphabets, udhs, payloads, received_at, first_at, is_due)
SELECT 1, '+336' || n, '+33700000001', 1, 8, 2, '{1}', '{gsm7}', '{""}', '{""}', ARRAY[now()],
    now() + n * interval '1 second', n % 1000 = 0
FROM fresh WHERE n <= 100000""",
    """
INSERT INTO opt_outs (opt_out_id, account_id, recipient, source, reason, is_new)
SELECT message_id, account_id, '+336' || n, 'phone', '', n % 1000 = 0
FROM fresh WHERE n <= 100000""",
    """
INSERT INTO consents (consent_id, account_id, recipient, purpose, given_at, place, wording, source)
SELECT message_id, account_id, '+336' || n, 'automated', now(), 'form', 'yes', 'producer'
FROM fresh WHERE n <= 100000""",
    """
INSERT INTO auto_replies (message_id, account_id, sender, recipient, word, language, created_at,
    answered_at)
SELECT message_id, account_id, '+33700000001', '+336' || n, 'stop', 'fr',
    now() - n * interval '1 second', CASE WHEN n > 100 THEN now() END
FROM fresh WHERE n <= 100000""",
    """
INSERT INTO sealed_texts (subject_id, salt, octets, key_name, until)
SELECT message_id, '', '', '', CASE n % 2 WHEN 0 THEN now() + n * interval '1 second' END
FROM fresh WHERE n <= 100000""",
    """
INSERT INTO limit_usage (scope, minute, worker_id, segment_count)
SELECT 'line:' || n % 20000, n / 20000, message_id, 1 FROM fresh WHERE n <= 200000""",
    """
INSERT INTO daily_usage (account_id, slot, segment_count)
SELECT n / 200, n % 200, 1 FROM fresh WHERE n <= 200000""",
    """
INSERT INTO spending (wallet_id, country, slot, segment_count, amount_micro)
SELECT n / 2000, CASE n % 2 WHEN 0 THEN '*' ELSE 'FR' END, n % 2000 / 2, 1, 45300
FROM fresh WHERE n <= 200000""",
    "DROP TABLE fresh",
    "VACUUM ANALYZE",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(servers: Servers) -> AsyncIterator[Connection]:
    """As a service has it, on a database with something in it."""
    async with filled(servers, *_fill(ROW_COUNT)) as opened:
        yield opened


def _fill(count: int) -> list[str]:
    return [statement.replace("$count", str(count)) for statement in _FILL]


# What was learned of a page from which all rows are gone is that there will be none, however many
# come before it is looked at again.
_LEARN_NOTHING = """
DELETE FROM {table} WHERE message_id NOT IN (SELECT message_id FROM {table} LIMIT 5);
CLUSTER {table} USING {table}_pkey;
DELETE FROM {table};
ANALYZE {table}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def surprised(servers: Servers) -> AsyncIterator[Connection]:
    """A service's connection to a database which believes that nothing ever waits."""
    learn = [_LEARN_NOTHING.format(table=table) for table in ("work", "submits")]
    async with filled(servers, *_fill(20_000), *learn) as opened:
        yield opened


SAME_ROW = {"accounts_account_id_currency_key": "accounts_pkey"}
"""Keys that find an account by its id alike, of which a plan takes either."""


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_hot_statement_finds_its_rows_by_its_indexes(
    connection: Connection, name: str
) -> None:
    # Given the plan that is made once and for all, whatever the values
    statement, indexes = STATEMENTS[name]
    plan = await plan_of(connection, statement)
    # Then every hot table in it is asked by a condition on an index, and none is read through
    assert _read_through(plan) == [], plan
    # And the indexes are those that are kept for it
    assert _asked_indexes(plan) == {*indexes.split()}


def _read_through(plan: dict[str, Any]) -> list[str]:
    """Hot tables of a plan that no condition on an index finds rows of."""
    return [
        f"{node['Node Type']} on {node['Relation Name']}"
        for node in nodes(plan)
        if node.get("Relation Name") in HOT
        and node["Node Type"].endswith("Scan")
        and not is_by_index(node)
    ]


def _asked_indexes(plan: dict[str, Any]) -> set[str]:
    used = {node["Index Name"] for node in nodes(plan) if "Index Name" in node}
    return {SAME_ROW.get(index, index) for index in used}


_INDEXES = {index: name for name, (_, indexes) in STATEMENTS.items() for index in indexes.split()}
"""Every index that is kept for a hot statement, and one that asks it."""

_SEEN = sorted({*_INDEXES} - {*SAME_ROW.values()})
_EVERY = "SLUICE_TEST_EVERY_INDEX" in os.environ
"""Whether all of them are lost in turn, which takes a minute, and not only each fifth."""

_DROP = """
SELECT coalesce(
    (SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname)
     FROM pg_constraint WHERE conindid = $1::text::regclass AND contype IN ('p', 'u') LIMIT 1),
    format('DROP INDEX %s', $1::text::regclass))"""


@pytest.mark.parametrize("index", _SEEN if _EVERY else _SEEN[::5])
async def test_the_look_notices_each_index_that_is_lost(connection: Connection, index: str) -> None:
    # Given a hot statement, and an index of its own
    statement, indexes = STATEMENTS[_INDEXES[index]]

    # When the index is lost
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL ROLE NONE")
        await connection.execute(await connection.fetchval(_DROP, index))

        # Then the statement finds its rows otherwise, or cannot be made at all
        try:
            plan = await plan_of(connection, statement)
        except (asyncpg.InvalidColumnReferenceError, asyncpg.GroupingError):
            return
        assert _read_through(plan) or _asked_indexes(plan) != {*indexes.split()}
    finally:
        await transaction.rollback()


@pytest.mark.parametrize(
    "name", [name for name in STATEMENTS if name != "receipts: who else claims it"]
)
async def test_what_waits_is_found_by_index_also_where_nothing_was_when_it_was_learned(
    surprised: Connection, name: str
) -> None:
    # Given a plan that is made for a table of which no row is expected
    plan = await plan_of(surprised, STATEMENTS[name][0])
    # Then it does not go through all that may be there by then, once for each row of another
    went_through = [
        node["Node Type"]
        for node in nodes(plan)
        if node.get("Relation Name") in {"work", "submits"}
        and node["Node Type"].endswith("Scan")
        and not is_by_index(node)
    ]
    assert went_through == [], plan


@pytest.mark.parametrize("statement", [messages._PARTS, messages._PARTS_OF_MANY])
async def test_whether_a_part_was_refunded_is_asked_of_its_own_transfers(
    surprised: Connection, statement: str
) -> None:
    # Given so few transfers that going through all of them once seems cheaper than a look for each
    # of the thousand parts that are expected of a message
    message_id = await surprised.fetchval("SELECT message_id FROM messages LIMIT 1 OFFSET 10000")
    # When one message is read
    explained = await surprised.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}",
        message_id if statement == messages._PARTS else [message_id],
    )
    # Then it costs a few pages
    (plan,) = json.loads(explained)
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 40


@pytest.mark.parametrize("check", audit_checks.CHECKS, ids=lambda check: check.name)
async def test_the_audit_reads_no_table_once_for_each_row_of_another(
    connection: Connection, check: audit_checks.Check
) -> None:
    # Given a check of which the first rows are named and all are counted, as a command asks it: a
    # planner that may read tables through, and is told how many rows are wanted
    look = audit.LOOK.format(check.sql).replace("$1", str(audit.ROW_COUNT_MAX))
    async with connection.transaction():
        for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
            await connection.execute(f"SET LOCAL {name} = on")
        await connection.execute(audit.SETTINGS)
        (explained,) = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {look}"))
    plan = explained["Plan"]
    # Then what is large is not compared row by row: that would never be done
    again = [
        f"{node['Node Type']} on {node['Relation Name']}"
        for loop in nodes(plan)
        if loop["Node Type"] == "Nested Loop"
        and loop["Plans"][0]["Plan Rows"] * loop["Plans"][1]["Plan Rows"] > COMPARED_COUNT_MAX
        for node in nodes(loop["Plans"][1])
        if node.get("Relation Name") in HOT and not is_by_index(node)
    ]
    assert again == [], plan


async def test_the_look_itself_notices_a_table_that_is_read_through(
    connection: Connection,
) -> None:
    explained = await connection.fetchval(
        "EXPLAIN (FORMAT JSON) SELECT FROM segments WHERE code = ''"
    )
    (plan,) = json.loads(explained)
    assert not any(is_by_index(node) for node in nodes(plan["Plan"]))
