"""Receipts that overtake their submit's answer."""

from __future__ import annotations

import asyncio

import asyncpg

from services.dlr import interpreters, late
from shared.runtime import ids
from tests.integration.dlr import world

Readers = interpreters.Interpreters

ROUNDS = 200


async def _make_due(town: world.World) -> None:
    await town.pool.execute("UPDATE receipts SET retry_at = now() WHERE retry_at IS NOT NULL")


async def test_an_early_receipt_finds_its_segment_when_the_answer_is_stored(
    town: world.World, readers: Readers
) -> None:
    message_ids = await town.hand_over(3)
    await town.apply(readers, *(town.receipt(each, "DELIVRD") for each in message_ids))
    await _make_due(town)
    await late.sweep(town.pool)
    assert await town.statuses(message_ids) == {"queued"}

    await town.answer(message_ids)
    await _make_due(town)
    await late.sweep(town.pool)

    assert await town.statuses(message_ids) == {"delivered"}
    assert await town.count("receipts WHERE message_id IS NULL OR retry_at IS NOT NULL") == 0


async def test_a_receipt_is_tried_at_least_every_five_seconds_while_an_answer_may_still_come(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.hand_over(1)
    await town.apply(readers, town.receipt(message_id, "DELIVRD"))
    waited_seconds = 0.0

    while waited_seconds < 60:
        await _make_due(town)
        await late.sweep(town.pool)
        wait_seconds = await town.pool.fetchval(
            "SELECT extract(epoch FROM retry_at - now())::float8 FROM receipts"
        )
        assert wait_seconds < 5
        waited_seconds += wait_seconds

    assert await town.count("receipts WHERE try_count < 50") == 1


async def test_a_receipt_is_tried_no_more_when_three_days_have_passed(
    town: world.World, readers: Readers
) -> None:
    await town.apply(readers, town.receipt(ids.uuid7(), "DELIVRD"))
    await town.pool.execute("UPDATE receipts SET received_at = now() - interval '73 hours'")

    await _make_due(town)
    await late.sweep(town.pool)

    assert await town.count("receipts WHERE retry_at IS NULL AND message_id IS NULL") == 1


async def test_all_pages_are_swept_at_once_when_more_is_due_than_one_holds(
    town: world.World, readers: Readers
) -> None:
    message_ids = await town.hand_over(2 * late.PAGE_COUNT + 1)
    await town.apply(readers, *(town.receipt(each, "DELIVRD") for each in message_ids))
    await town.answer(message_ids)
    await _make_due(town)

    await late.sweep(town.pool)

    assert await town.statuses(message_ids) == {"delivered"}


async def test_each_receipt_is_matched_once_when_several_processes_sweep(
    town: world.World, readers: Readers
) -> None:
    message_ids = await town.hand_over(600)
    await town.apply(readers, *(town.receipt(each, "UNDELIV") for each in message_ids))
    await town.answer(message_ids)
    await _make_due(town)

    await asyncio.gather(*(late.sweep(town.pool) for _ in range(4)))

    assert await town.statuses(message_ids) == {"undelivered"}
    assert await town.count("all_events WHERE status = 'undelivered'") == 600


async def test_no_receipt_is_missed_when_it_races_its_answer(
    town: world.World, readers: Readers
) -> None:
    message_ids = await town.hand_over(ROUNDS)

    for message_id in message_ids:
        await asyncio.gather(
            town.apply(readers, town.receipt(message_id, "DELIVRD")), town.answer([message_id])
        )
    await _make_due(town)
    await late.sweep(town.pool)

    assert await town.statuses(message_ids) == {"delivered"}
    assert await town.count("receipts WHERE message_id IS NULL") == 0


async def test_an_early_receipt_is_matched_within_five_seconds_when_dlr_runs_by_itself(
    town: world.World, readers: Readers, database: asyncpg.Pool
) -> None:
    [message_id] = await town.hand_over(1)
    sweeping = asyncio.create_task(late.run(database))
    try:
        await town.apply(readers, town.receipt(message_id, "DELIVRD"))
        await world.eventually(lambda: _was_tried(town))
        await town.answer([message_id])

        await world.eventually(lambda: _is_delivered(town), deadline_seconds=5)
    finally:
        sweeping.cancel()
        await asyncio.wait({sweeping})


async def _was_tried(town: world.World) -> bool:
    return await town.count("receipts WHERE try_count > 1") == 1


async def _is_delivered(town: world.World) -> bool:
    return await town.count("messages WHERE status = 'delivered'") == 1
