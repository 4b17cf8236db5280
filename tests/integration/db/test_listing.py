"""Lists of an account with a million messages: what they find, and how much they look at for it."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from deploy.local.servers import Servers
from shared.db import listing
from shared.db.connection import Connection
from shared.db.listing import LOOK_COUNT, Filter
from tests.integration.db.filled import filled
from tests.integration.db.plans import nodes

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROW_COUNT = 1_000_000
PAGE_COUNT = 50
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PHONE, RARE_PHONE = "+33600000000", "+33611111111"
COMMON, RARE = "campaign", "order 7"

# One message a millisecond. Every 300,000th is to another phone, every 250,000th has failed, one in
# a hundred thousand has a reference of its own; the others share one.
_FILL = """
INSERT INTO messages (message_id, account_id, line_id, carrier_id, wallet_id, sender, recipient,
    country, encoding, segment_count, class, at_least_once, segment_price_micro, currency, status,
    reference, created_at, expires_at, updated_at)
SELECT (lpad(to_hex(ms), 12, '0') || '7' || repeat('0', 19))::uuid, 7, 1, 1, 1, 'Sluice',
    CASE n % 300000 WHEN 7 THEN '+33611111111' ELSE '+33600000000' END, 'FR', 'gsm7', 1, 1, false,
    45300, 'EUR', CASE n % 250000 WHEN 9 THEN 'failed' ELSE 'delivered' END,
    CASE n % 100000 WHEN 11 THEN 'order 7' ELSE 'campaign' END, moment, moment, moment
FROM generate_series(0, {count} - 1) AS n,
    LATERAL (SELECT {begin_ms} + n AS ms, to_timestamp(({begin_ms} + n) / 1000.0) AS moment) t
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(servers: Servers) -> AsyncIterator[Connection]:
    """As a service has it, on a database with one account that has sent a lot."""
    fill = _FILL.format(count=ROW_COUNT, begin_ms=int(BEGIN.timestamp() * 1000))
    async with filled(servers, fill, "VACUUM ANALYZE messages") as opened:
        yield opened


FILTERS = {
    "none": Filter(),
    "status of most": Filter(status="delivered"),
    "rare status": Filter(status="failed"),
    "status of none": Filter(status="parked"),
    "rare phone": Filter(recipient=RARE_PHONE),
    "reference of most": Filter(reference=COMMON),
    "rare reference": Filter(reference=RARE),
    "reference of none": Filter(reference="nobody's"),
    "rare status of a reference": Filter(reference=COMMON, status="failed"),
    "a second": Filter(
        created_from=BEGIN + timedelta(seconds=500), created_until=BEGIN + timedelta(seconds=501)
    ),
    "before everything": Filter(created_until=BEGIN),
    "after everything": Filter(created_from=BEGIN + timedelta(days=30)),
    "everything": Filter("failed", PHONE, COMMON, BEGIN, BEGIN + timedelta(days=1)),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_a_page_costs_no_more_than_its_rows_or_a_look(
    connection: Connection, name: str
) -> None:
    # Given the plan that is made once, however many messages there are
    wanted = FILTERS[name]
    # When it is run for a page
    examined = [row_count(scan) for scan in await scans(connection, wanted)]
    # Then it has gone through no more than it may, but for the row by which a look knows its end
    assert examined != []
    assert max(examined) <= LOOK_COUNT + 1
    assert sum(examined) <= 2 * LOOK_COUNT + 1


async def scans(connection: Connection, wanted: Filter) -> list[dict[str, Any]]:
    """The scans of `messages` for a page, with what they found and threw away."""
    given = {
        name: value
        for name in ("created_from", "created_until", "recipient", "reference", "status")
        if (value := getattr(wanted, name)) is not None
    }
    explained = await connection.fetchval(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {listing.statement(frozenset(given))}",
        7,
        *wanted.bounds,
        PAGE_COUNT + 1,
        *given.values(),
    )
    (plan,) = json.loads(explained)
    return [node for node in nodes(plan["Plan"]) if node.get("Relation Name") == "messages"]


def row_count(scan: dict[str, Any]) -> int:
    thrown_away = sum(count for key, count in scan.items() if key.startswith("Rows Removed by"))
    return int(scan["Actual Rows"] + thrown_away) * int(scan["Actual Loops"])


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Filter(status="failed"), 4),
        (Filter(recipient=RARE_PHONE), 4),
        (Filter(reference=RARE), 10),
        (Filter(reference=COMMON, status="failed"), 4),
        (Filter(status="parked", created_from=BEGIN + timedelta(seconds=900)), 0),
        (
            Filter(
                created_from=BEGIN + timedelta(milliseconds=500),
                created_until=BEGIN + timedelta(milliseconds=620),
            ),
            120,
        ),
    ],
    ids=["status", "phone", "reference", "reference and status", "none", "time"],
)
async def test_pages_that_are_followed_hold_all_that_fits_once_and_newest_first(
    connection: Connection, wanted: Filter, count: int
) -> None:
    found: list[uuid.UUID] = []
    for number in itertools.count(1):
        page = await listing.page(connection, 7, wanted, PAGE_COUNT)
        assert len(page.messages) <= PAGE_COUNT
        found += [message.message_id for message in page.messages]
        if page.next_before is None:
            break
        assert number <= ROW_COUNT // LOOK_COUNT + 1
        wanted = replace(wanted, before=page.next_before)
    assert found == sorted(set(found), reverse=True)
    assert len(found) == count


async def test_a_message_that_waited_for_its_transaction_is_found_by_the_time_it_shows(
    connection: Connection,
) -> None:
    # Given the newest message, stored a minute and a half after it was named
    moment = BEGIN + timedelta(seconds=ROW_COUNT // 1000 + 90)
    stored = await connection.fetchval(
        "UPDATE messages SET created_at = $1 WHERE account_id = 7 AND message_id ="
        " (SELECT message_id FROM messages WHERE account_id = 7 ORDER BY message_id DESC LIMIT 1)"
        " RETURNING message_id",
        moment,
    )
    # When its time is asked for, Then it alone is found
    page = await listing.page(connection, 7, Filter(created_from=moment), PAGE_COUNT)
    assert [message.message_id for message in page.messages] == [stored]


async def test_nothing_of_another_account_is_found(connection: Connection) -> None:
    for wanted in FILTERS.values():
        assert await listing.page(connection, 8, wanted, PAGE_COUNT) == ([], None)
