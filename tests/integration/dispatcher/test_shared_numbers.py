"""A number that several accounts have: its limits hold for all of them together, and each has its
part of what it may send."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from services.dispatcher import park
from services.dispatcher.dispatch import dispatch
from services.dispatcher.schedule import Scheduler
from shared.broker.envelopes import WorkItem
from shared.db import apply, configuration, ledger, messages
from shared.limits.limiter import Wait
from tests.drafts import draft
from tests.integration.dispatcher.carrier import desk_of
from tests.integration.dispatcher.conftest import CREDIT_MICRO, PRICE_MICRO, Town

NUMBER = "+33698765432"
LIMIT = 12
NAMES = ("demo", "second", "third")


@dataclass(frozen=True, slots=True)
class _Shop:
    """An account and its line of the number."""

    account_id: int
    line_id: int


@pytest.fixture
async def shops(town: Town) -> list[_Shop]:
    async with town.pool.acquire() as opened, opened.transaction():
        for name in NAMES:
            if name != "demo":
                await apply.put(opened, apply.Account(name, "EUR", 1_000_000, 60), None)
                account_id = await opened.fetchval(
                    "SELECT account_id FROM accounts WHERE name = $1", name
                )
                await ledger.credit(opened, account_id, "EUR", CREDIT_MICRO, "test")
            row = apply.Line(name, NUMBER, "mobile", "FR", False, LIMIT, 1_000, 10_000)
            await apply.put(opened, row, None)
        await configuration.bump(opened)
    await town.configured.refresh()
    lines = town.configured.current.lines.values()
    return [
        _Shop(line.account_id, line.line_id)
        for line in sorted(lines, key=lambda line: line.line_id)
        if line.sender == NUMBER
    ]


async def _accept(
    town: Town, shop: _Shop, count: int, *, message_class: int = 1, segment_count: int = 1
) -> list[WorkItem]:
    async with town.pool.acquire() as opened, opened.transaction():
        purse = (await ledger.lock_purses(opened, [shop.account_id]))[shop.account_id]
        stored = [
            draft(
                purse.wallet_id,
                purse.revenue_wallet_id,
                PRICE_MICRO,
                account_id=shop.account_id,
                line_id=shop.line_id,
                sender=NUMBER,
                message_class=message_class,
                segment_count=segment_count,
            )
            for _ in range(count)
        ]
        await messages.insert(opened, stored)
    return [
        WorkItem(m.message_id, shop.account_id, m.line_id, "FR", m.segment_count, 0) for m in stored
    ]


async def _released(town: Town) -> Counter[int]:
    """line → messages that may go."""
    rows = await town.pool.fetch("SELECT line_id FROM work WHERE state = 'ready' AND bypass_gate")
    return Counter(row["line_id"] for row in rows)


async def _turn(town: Town) -> Counter[int]:
    await town.pool.execute("UPDATE parked_lines SET ready_at = now() - interval '1 s'")
    await Scheduler(town.pool, town.configured, town.limiter).turn()
    return await _released(town)


async def test_a_numbers_limit_holds_for_all_who_share_it(town: Town, shops: list[_Shop]) -> None:
    # Given three accounts that together want twice what their number may send
    items = [item for shop in shops for item in await _accept(town, shop, LIMIT * 2 // 3)]
    # When all of it is dispatched, Then no more than that leaves, and it is charged to the number
    done = await dispatch(desk_of(town), 1, items)
    assert len(done.to_send) == LIMIT
    charged = await town.pool.fetch(
        "SELECT scope, sum(segment_count) AS count FROM limit_usage WHERE scope LIKE 'line:%'"
        " GROUP BY scope"
    )
    assert [tuple(row) for row in charged] == [(f"line:{shops[0].line_id}", LIMIT)]


async def test_each_account_has_its_part_of_what_a_number_may_send(
    town: Town, shops: list[_Shop]
) -> None:
    # Given one account with a long queue, and two that have come after it
    for shop, count in zip(shops, (100, 50, 50), strict=True):
        items = await _accept(town, shop, count)
        await park.park(town.pool, [(item, Wait(1_000)) for item in items])
    # When the number has tokens, Then each account has the same part
    assert await _turn(town) == {shop.line_id: LIMIT // 3 for shop in shops}


async def test_what_is_urgent_goes_first_whose_ever_it_is(town: Town, shops: list[_Shop]) -> None:
    for shop, message_class in zip(shops, (1, 0, 1), strict=True):
        items = await _accept(town, shop, 5, message_class=message_class)
        await park.park(town.pool, [(item, Wait(1_000)) for item in items])
    # Given that one of three accounts has urgent messages, Then they go alone, and then the others
    assert await _turn(town) == {shops[1].line_id: 5}
    released = await _turn(town)
    assert released[shops[0].line_id] == released[shops[2].line_id] == 5
