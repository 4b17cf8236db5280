"""The deadline for receipts: what is said, what is given back, and what comes after it."""

from __future__ import annotations

import asyncio

import pytest

from services.dlr import interpreters, overdue
from shared.db import apply, audit, messages, receipts
from shared.runtime import ids
from tests.integration.dlr import world

Readers = interpreters.Interpreters


async def test_an_accepted_message_ends_unknown_and_stays_paid_when_no_receipt_comes(
    town: world.World,
) -> None:
    [message_id] = await town.submit(1)
    await town.age([message_id], 73)
    balance_micro = await town.balance_micro()

    await overdue.sweep(town.pool)

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
        await overdue.sweep(town.pool)

    assert await town.history(message_id) == ["in_doubt", "unknown"]
    assert await town.refund_count() == 1
    assert await town.balance_micro() == world.CREDIT_MICRO


async def test_nothing_ends_before_its_deadline(town: world.World) -> None:
    message_ids = await town.submit(2)
    await town.age(message_ids, 71)

    await overdue.sweep(town.pool)

    assert await town.statuses(message_ids) == {"submitted"}


async def test_a_late_receipt_corrects_the_status_and_not_the_money(
    town: world.World, readers: Readers
) -> None:
    lost, taken = await town.hand_over(2)
    await town.lose_answer([lost])
    await town.answer([taken])
    await town.age([lost, taken], 73)
    await overdue.sweep(town.pool)
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

    await asyncio.gather(*(overdue.sweep(town.pool) for _ in range(2)))

    assert await town.statuses(message_ids) == {"unknown"}
    assert await town.count("all_events WHERE status = 'unknown'") == len(message_ids)
    assert await town.balance_micro() == world.CREDIT_MICRO


async def test_a_deadline_that_an_operator_sets_is_everybody_s(town: world.World) -> None:
    # given an operator who gives receipts 96 hours instead of 72
    async with town.pool.acquire() as connection:
        await apply.put(connection, apply.Platform(96, 90), None)
    young, old = await town.submit(1), await town.submit(1)
    await town.age(young, 95)
    await town.age(old, 98)
    # then the audit of another process knows it, and finds the one beyond it
    async with town.pool.acquire() as connection:
        findings = {found.check.name: found for found in await audit.examine(connection)}
    assert findings["no_receipt"].breach_count == 1
    # and the sweep ends that one, and not the other
    await overdue.sweep(town.pool)
    assert await town.history(old[0]) == ["submitted", "unknown"]
    assert await town.history(young[0]) == ["submitted"]


async def test_a_receipt_without_a_segment_is_looked_for_until_the_deadline(
    town: world.World,
) -> None:
    async with town.pool.acquire() as connection:
        await apply.put(connection, apply.Platform(96, 90), None)
        for hours in (95, 97):
            await connection.execute(
                "INSERT INTO receipts (receipt_id, carrier_id, carrier_message_id, state, code,"
                " raw, received_at, retry_at) VALUES ($1, 1, $2, 'delivered', '', '', "
                "now() - $3 * interval '1 hour', now())",
                ids.uuid7(),
                f"nobody-{hours}",
                float(hours),
            )
        receipt_ids = [each.receipt_id for each in await receipts.take_unmatched(connection, 10)]
        await receipts.postpone(connection, receipt_ids)
        waiting = await connection.fetch(
            "SELECT carrier_message_id FROM receipts WHERE retry_at IS NOT NULL"
        )
    assert [row["carrier_message_id"] for row in waiting] == ["nobody-95"]


async def test_a_sweep_passes_nothing_that_is_still_to_be_recorded(town: world.World) -> None:
    # Given a submit under way for longer than the deadline, and one of the same time that is taken
    slow, taken = await town.hand_over(2)
    await town.pool.execute("UPDATE submits SET submitted_at = submitted_at - interval '73 hours'")
    await town.answer([taken])

    # When the sweep comes by before the answer to the first, and once more after it
    await overdue.sweep(town.pool)
    await town.answer([slow])
    await overdue.sweep(town.pool)

    # Then neither is left for ever
    assert await town.statuses([slow, taken]) == {"unknown"}


async def test_a_page_that_ends_within_one_moment_leaves_nobody_behind(
    town: world.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "PAGE_COUNT", 3)
    message_ids = await town.submit(7)
    await town.age(message_ids, 73)

    await overdue.sweep(town.pool)

    assert await town.statuses(message_ids) == {"unknown"}


async def test_what_has_been_looked_at_is_not_looked_at_again(town: world.World) -> None:
    # Given segments that ended long ago, and a sweep after that
    message_ids = await town.submit(5)
    await town.age(message_ids, 80)
    await overdue.sweep(town.pool)

    # When one is submitted meanwhile and another sweep comes
    (fresh,) = await town.submit(1)
    await town.age([fresh], 71)
    await overdue.sweep(town.pool)

    # Then the next begins where the one before has ended
    done_until = await town.pool.fetchval("SELECT done_until FROM sweeps WHERE name = 'overdue'")
    oldest = await town.pool.fetchval("SELECT min(submitted_at) FROM segments")
    newest = await town.pool.fetchval("SELECT max(submitted_at) FROM segments")
    assert oldest < done_until < newest
