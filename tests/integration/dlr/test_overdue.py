"""The deadline for receipts: what is said, what is given back, and what comes after it."""

from __future__ import annotations

import asyncio

from services.dlr import interpreters, overdue
from shared.db import messages
from tests.integration.dlr import world

Readers = interpreters.Interpreters

DEADLINE_SECONDS = 72 * 3600


async def test_an_accepted_message_ends_unknown_and_stays_paid_when_no_receipt_comes(
    town: world.World,
) -> None:
    [message_id] = await town.submit(1)
    await town.age([message_id], 73)
    balance_micro = await town.balance_micro()

    await overdue.sweep(town.pool, DEADLINE_SECONDS)

    async with town.pool.acquire() as connection:
        stored = await messages.get(connection, town.account_id, message_id)
    assert stored is not None
    assert (stored.status, stored.reason) == ("unknown", overdue.REASON)
    assert await town.balance_micro() == balance_micro


async def test_a_message_in_doubt_ends_unknown_and_is_refunded_once_when_no_receipt_comes(
    town: world.World,
) -> None:
    [message_id] = await town.hand_over(1)
    await town.lose_answer([message_id])
    await town.age([message_id], 73)

    for _ in range(2):
        await overdue.sweep(town.pool, DEADLINE_SECONDS)

    assert await town.history(message_id) == ["in_doubt", "unknown"]
    assert await town.refund_count() == 1
    assert await town.balance_micro() == world.CREDIT_MICRO


async def test_nothing_ends_before_its_deadline(town: world.World) -> None:
    message_ids = await town.submit(2)
    await town.age(message_ids, 71)

    await overdue.sweep(town.pool, DEADLINE_SECONDS)

    assert await town.statuses(message_ids) == {"submitted"}


async def test_a_late_receipt_corrects_the_status_and_not_the_money(
    town: world.World, readers: Readers
) -> None:
    lost, taken = await town.hand_over(2)
    await town.lose_answer([lost])
    await town.answer([taken])
    await town.age([lost, taken], 73)
    await overdue.sweep(town.pool, DEADLINE_SECONDS)
    balance_micro = await town.balance_micro()

    # The answer that was thought lost comes after all, and with it the id that receipts name.
    await town.answer([lost])
    await town.apply(readers, *(town.receipt(each, "DELIVRD") for each in (lost, taken)))

    assert await town.history(lost) == ["in_doubt", "unknown", "delivered"]
    assert await town.history(taken) == ["submitted", "unknown", "delivered"]
    assert await town.balance_micro() == balance_micro == world.CREDIT_MICRO - world.PRICE_MICRO
    assert await town.refund_count() == 1


async def test_all_pages_are_ended_by_one_sweep_and_once_by_two_at_the_same_time(
    town: world.World,
) -> None:
    message_ids = await town.hand_over(2 * overdue.PAGE_COUNT + 1)
    await town.lose_answer(message_ids)
    await town.age(message_ids, 73)

    await asyncio.gather(*(overdue.sweep(town.pool, DEADLINE_SECONDS) for _ in range(2)))

    assert await town.statuses(message_ids) == {"unknown"}
    assert await town.count("events WHERE status = 'unknown'") == len(message_ids)
    assert await town.balance_micro() == world.CREDIT_MICRO
