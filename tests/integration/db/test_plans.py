"""The plans of the hot statements, as services have them made: by index, in every hot table."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.servers import Servers
from shared.db import (
    idempotency,
    ledger,
    listing,
    matching,
    messages,
    migrate,
    pool,
    receipts,
    segments,
    work,
)
from shared.db.connection import Connection
from tests.integration.db.plans import is_by_index, nodes, plan_of
from tests.servers import as_services, in_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOT = {"messages", "segments", "work", "transfers", "receipts", "events", "idempotency_keys"}
ROW_COUNT = 10_000

# Every message has two segments and is paid for; a tenth waits, a tenth is being submitted.
_FILL = """
INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient,
    country, encoding, segment_count, class, at_least_once, segment_price_micro, currency, status,
    created_at, expires_at, updated_at)
SELECT md5(n::text)::uuid, n % 50, n % 100, 1 + n % 3, n % 50, 'Sluice', '+33600000000', 'FR',
    'gsm7', 2, 1, false, 45300, 'EUR', 'delivered', now(), now(), now()
FROM generate_series(1, {count}) AS n;
INSERT INTO segments (message_id, part, state, carrier_id, submitted_at, carrier_message_id)
SELECT m.message_id, part,
    CASE n % 10 WHEN 0 THEN 'queued' WHEN 1 THEN 'queued' WHEN 2 THEN 'submitted'
                ELSE 'delivered' END,
    m.carrier_id, now() - n * interval '1 second', 'id ' || n || part
FROM (SELECT *, row_number() OVER () AS n FROM messages) m, generate_series(1, 2) AS part;
INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason, message_id, part)
SELECT 1000 + account_id, 1, 45300, 'debit', 'accepted', message_id, part
FROM messages, generate_series(1, 2) AS part;
INSERT INTO work (message_id, account_id, line_id, carrier_id, country, class, segment_count, state,
    ready_at, expires_at)
SELECT message_id, account_id, line_id, carrier_id, 'FR', 1, 2,
    (ARRAY['ready', 'published', 'parked', 'scheduled'])[1 + line_id % 4], now(),
    now() + (row_number() OVER () - 100) * interval '1 second'
FROM messages;
INSERT INTO receipts (receipt_id, carrier_id, carrier_message_id, state, code, raw, received_at,
    message_id, part, retry_at)
SELECT message_id, carrier_id, 'id', 'delivered', '', '', now(), message_id, 1,
    CASE WHEN line_id = 7 THEN now() END
FROM messages;
INSERT INTO event_heads (account_id, last_sequence) SELECT n, 200 FROM generate_series(0, 49) AS n;
INSERT INTO events (account_id, sequence, message_id, status, reason)
SELECT n % 50, n / 50, md5(n::text)::uuid, 'delivered', '' FROM generate_series(1, {count}) AS n;
INSERT INTO idempotency_keys (account_id, key, fingerprint, http_status, answer)
SELECT n % 50, 'key ' || n, '', 202, '' FROM generate_series(1, {count}) AS n;
ANALYZE
"""

STATEMENTS = {
    "accept: store": messages._INSERT,
    "accept: find keys": idempotency._FIND,
    "accept: remember answers": idempotency._INSERT,
    "an account's newest": listing.statement(frozenset()),
    "an account's newest of a status": listing.statement(frozenset({"status"})),
    "an account's newest of a reference": listing.statement(frozenset({"reference"})),
    "an account's newest by everything": listing.statement(
        frozenset({"status", "recipient", "reference", "created_from", "created_until"})
    ),
    "relay: take what is ready": work._TAKE_READY,
    "relay: mark as published": work._MARK_PUBLISHED,
    "claim": work._CLAIM,
    "settle: lock": segments._LOCK,
    "settle: of several parts": segments._SETTLE,
    "settle: of one part": segments._SETTLE_ALONE,
    "settle: refund": ledger._REFUND,
    "settle: back to work": work._REQUEUE,
    "receipts: find the segment": matching._BY_ID,
    "receipts: without an id": matching._NAMELESS,
    "receipts: due again": receipts._TAKE_UNMATCHED,
    "receipts: matched late": receipts._MATCHED,
    "sweep: expired": work._TAKE_EXPIRED,
    "sweep: overdue": segments._OVERDUE,
    "sweep: old keys": idempotency._FORGET,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(servers: Servers) -> AsyncIterator[Connection]:
    """As a service has it, on a database with something in it."""
    name = f"plans_{uuid.uuid4().hex}"
    url = in_database(servers.database_url, name)
    keeper = await asyncpg.connect(servers.database_url, timeout=10)
    try:
        await keeper.execute(f'CREATE DATABASE "{name}"')
        owner = await asyncpg.connect(url, timeout=10)
        await migrate.migrate(owner)
        await owner.execute(_FILL.format(count=ROW_COUNT))
        await owner.close(timeout=10)
        service = await pool.open_pool(as_services(url), "test", 1)
        async with service.acquire(timeout=10) as opened:
            yield opened
        await pool.close_pool(service)
    finally:
        await keeper.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await keeper.close(timeout=10)


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_hot_statement_finds_its_rows_by_index(connection: Connection, name: str) -> None:
    # Given the plan that is made once and for all, whatever the values
    plan = await plan_of(connection, STATEMENTS[name])
    # Then every hot table in it is asked by a condition on an index, and none is read through
    scans = [node for node in nodes(plan) if node.get("Relation Name") in HOT]
    read_through = [
        f"{node['Node Type']} on {node['Relation Name']}"
        for node in scans
        if node["Node Type"].endswith("Scan") and not is_by_index(node)
    ]
    assert read_through == [], plan


async def test_the_look_itself_notices_a_table_that_is_read_through(
    connection: Connection,
) -> None:
    explained = await connection.fetchval(
        "EXPLAIN (FORMAT JSON) SELECT FROM segments WHERE code = ''"
    )
    (plan,) = json.loads(explained)
    assert not any(is_by_index(node) for node in nodes(plan["Plan"]))
