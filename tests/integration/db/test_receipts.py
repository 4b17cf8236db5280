"""Receipts whose segment is known, in pages: which share one, and what is found of a message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from shared.db import matching, receipts
from shared.db.connection import Connection
from shared.runtime import ids
from shared.sms.receipts import Receipt, ReceiptState

NOW = datetime(2026, 11, 26, tzinfo=UTC)
STRETCH_BITS = 96


@pytest.fixture
async def services(services: asyncpg.Pool) -> AsyncIterator[Connection]:
    """One of a service's connections."""
    async with services.acquire(timeout=10) as connection:
        yield connection


def receipt(
    message_id: UUID, raw: bytes = b"", *, carrier_id: int = 1, after_seconds: int = 0
) -> receipts.NewReceipt:
    """One that says that a message's only segment was delivered."""
    return receipts.NewReceipt(
        ids.uuid7(),
        carrier_id,
        NOW + timedelta(seconds=after_seconds),
        raw,
        Receipt("name", ReceiptState.DELIVERED),
        matching.Owner(message_id, 1, alone=True, fits=True),
    )


async def page_sizes(services: Connection) -> list[int]:
    rows = await services.fetch("SELECT cardinality(message_ids) FROM receipt_pages")
    return sorted(size for (size,) in rows)


def neighbours() -> tuple[UUID, UUID]:
    """The last id of a stretch of 2^16 ms, and the first of the next."""
    border = (ids.uuid7().int >> STRETCH_BITS) << STRETCH_BITS
    return UUID(int=border - 1), UUID(int=border)


async def test_a_page_holds_what_one_carrier_tells_of_messages_of_one_stretch(
    services: Connection,
) -> None:
    # Given messages on both sides of a border, and receipts of two carriers
    left, right = neighbours()
    before = [UUID(int=left.int - n) for n in range(20)]
    after = [UUID(int=right.int + n) for n in range(10)]
    new = [receipt(each) for each in (*before, *after)]
    new += [receipt(each, carrier_id=2) for each in before]
    # When they are stored in one transaction
    await receipts.insert(services, new)
    # Then each carrier and each side has one page, in which each message is found
    assert await page_sizes(services) == [10, 20, 20]
    assert [len(await receipts.of_message(services, each)) for each in before] == [2] * 20
    assert [len(await receipts.of_message(services, each)) for each in after] == [1] * 10


async def test_a_message_is_found_whatever_lies_beside_it(services: Connection) -> None:
    # Given pages that hold its neighbours only, and two that hold it among them
    ordered = [ids.uuid7() for _ in range(30)]
    message_id = ordered[15]
    for page in (ordered[:15], ordered[16:], ordered[20:], ordered[14:17], ordered[:14]):
        await receipts.insert(services, [receipt(each) for each in page])
    late = receipt(message_id, b"late", after_seconds=9)
    await receipts.insert(services, [late, *(receipt(each) for each in ordered[:3])])
    early = receipt(message_id, b"early", after_seconds=-9)
    await receipts.insert(services, [*(receipt(each) for each in ordered[20:]), early])
    # Then what was kept of it is found, oldest first, and of a stranger nothing
    kept = await receipts.of_message(services, message_id)
    assert [each.raw for each in kept] == [b"early", b"", b"late"]
    assert {each.message_id for each in kept} == {message_id}
    assert await receipts.of_message(services, ids.uuid7()) == []


async def test_only_what_is_missing_is_stored_where_some_may_be_here(services: Connection) -> None:
    # Given receipts of messages of several stretches
    left, right = neighbours()
    here = [receipt(each, b"here") for each in (left, right, ids.uuid7())]
    await receipts.insert(services, here)
    # When they come again, beside others for the same messages and one for another
    news = [each._replace(receipt_id=ids.uuid7(), raw=b"new") for each in here]
    other = receipt(ids.uuid7(), b"new")
    await receipts.insert(services, [*here, *news, other], some_here=True)
    # Then each is kept once
    for each in here:
        assert each.owner is not None
        kept = await receipts.of_message(services, each.owner.message_id)
        assert [found.raw for found in kept] == [b"here", b"new"]
    assert sum(await page_sizes(services)) == 7


async def test_a_page_takes_all_that_a_transaction_may_bring(services: Connection) -> None:
    # Given more than fits into a block, of words that cannot be made shorter
    new = [receipt(ids.uuid7(), ids.uuid7().bytes * 8) for _ in range(2_000)]
    # When it is stored, Then each is found as it came
    await receipts.insert(services, new)
    for each in new[::100]:
        assert each.owner is not None
        [kept] = await receipts.of_message(services, each.owner.message_id)
        assert kept.raw == each.raw
