"""Batches of receipts against a real database: matched, kept, repeated, contradicting."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

from services.dlr import interpreters, late
from shared.broker import envelopes
from shared.carriers.adapters import smpp
from shared.db import receipts, segments
from shared.sms import states
from tests.integration.dlr import world

Readers = interpreters.Interpreters


async def test_a_message_is_delivered_when_its_receipt_says_so(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.submit(1)
    receipt = town.receipt(message_id, "DELIVRD")

    tally = await town.apply(readers, receipt)

    assert (tally.matched_count, tally.changed_count) == (1, 1)
    assert await town.history(message_id) == ["submitted", "delivered"]
    received_at = datetime.fromtimestamp(receipt.received_at_ms / 1000, UTC)
    [kept] = await town.kept(message_id)
    assert kept == (message_id, 1, "delivered", received_at, receipt.body, receipt.carrier_id)


async def test_a_message_waits_for_all_its_segments_when_one_is_delivered(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.submit(1, segment_count=3)

    await town.apply(readers, *(town.receipt(message_id, "DELIVRD", part=part) for part in (3, 1)))
    before = await town.status(message_id)
    await town.apply(readers, town.receipt(message_id, "UNDELIV", part=2))

    assert before == "submitted"
    assert await town.status(message_id) == "undelivered"
    assert await town.refund_count() == 0


async def test_nothing_happens_when_a_receipt_is_repeated_a_hundred_times(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.submit(1)
    balance_micro = await town.balance_micro()

    for _ in range(10):
        await town.apply(readers, *(town.receipt(message_id, "UNDELIV") for _ in range(10)))

    assert await town.history(message_id) == ["submitted", "undelivered"]
    assert len(await town.kept(message_id)) == 100
    assert await town.balance_micro() == balance_micro


async def test_a_receipt_is_stored_once_when_its_delivery_is_repeated(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.submit(1)
    receipt = town.receipt(message_id, "DELIVRD")

    await town.apply(readers, receipt, receipt)
    again = await town.apply(readers, receipt, some_here=True)

    assert again.changed_count == 0
    assert len(await town.kept(message_id)) == 1
    assert await town.history(message_id) == ["submitted", "delivered"]


async def test_what_is_new_is_stored_when_some_of_its_batch_is_here_already(
    town: world.World, readers: Readers
) -> None:
    first, second = await town.submit(2)
    repeated = town.receipt(first, "DELIVRD")
    await town.apply(readers, repeated)

    tally = await town.apply(readers, repeated, town.receipt(second, "DELIVRD"), some_here=True)

    assert tally.changed_count == 1
    assert [len(await town.kept(each)) for each in (first, second)] == [1, 1]
    assert await town.statuses([first, second]) == {"delivered"}


async def test_a_receipt_that_waits_is_stored_once_when_its_segment_is_known_at_its_repetition(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.hand_over(1)
    receipt = town.receipt(message_id, "DELIVRD")
    await town.apply(readers, receipt)
    await town.answer([message_id])

    for _ in range(2):
        await town.apply(readers, receipt, some_here=True)

    assert await town.kept_count() == 1
    assert await town.history(message_id) == ["submitted", "delivered"]


async def test_receipts_of_a_message_are_found_wherever_they_are_kept_in_the_order_they_came(
    town: world.World, readers: Readers
) -> None:
    [message_id], [other] = await town.hand_over(1, segment_count=2), await town.submit(1)
    await town.apply(readers, town.receipt(message_id, "ENROUTE", part=2))
    await town.answer([message_id], segment_count=2)
    await town.pool.execute("UPDATE receipts SET retry_at = now()")
    await late.sweep(town.pool)
    await town.apply(
        readers,
        town.receipt(message_id, "ENROUTE"),
        town.receipt(other, "DELIVRD"),
        town.receipt(message_id, "DELIVRD"),
    )
    await town.apply(readers, town.receipt(message_id, "UNDELIV", part=2))

    kept = await town.kept(message_id)

    assert [(each.part, each.state) for each in kept] == [
        (2, "enroute"),
        (1, "enroute"),
        (1, "delivered"),
        (2, "undelivered"),
    ]
    assert await town.count("receipts") == 1


async def test_an_id_is_stored_beside_the_raw_receipt_only_while_its_segment_is_looked_for(
    town: world.World, readers: Readers
) -> None:
    [matched], [unmatched] = await town.submit(1), await town.hand_over(1)

    await town.apply(readers, *(town.receipt(each, "DELIVRD") for each in (matched, unmatched)))

    [kept] = await town.kept(matched)
    assert world.carrier_name_of(matched).encode() in kept.raw

    [row] = await town.pool.fetch("SELECT carrier_message_id, code, raw FROM receipts")
    name = world.carrier_name_of(unmatched)
    assert tuple(row)[:2] == (name, "DELIVRD")
    assert name.encode() in row["raw"]


async def test_every_order_ends_the_same_when_receipts_contradict_each_other(
    town: world.World, readers: Readers
) -> None:
    orders = list(permutations(("ENROUTE", "UNDELIV", "REJECTD", "EXPIRED")))
    message_ids = await town.submit(len(orders))
    balance_micro = await town.balance_micro()

    for place in range(4):
        await town.apply(
            readers,
            *(
                town.receipt(message_id, order[place])
                for message_id, order in zip(message_ids, orders, strict=True)
            ),
        )

    assert await town.statuses(message_ids) == {"undelivered"}
    assert await town.refund_count() == 0
    assert await town.balance_micro() == balance_micro


async def test_one_refund_stands_when_a_refused_message_turns_out_delivered(
    town: world.World, readers: Readers
) -> None:
    """Every order of: refused by the submit's answer, an id nevertheless, and two receipts."""
    orders = list(permutations(("refused", "UNDELIV", "DELIVRD")))
    message_ids = await town.hand_over(len(orders))
    for message_id, order in zip(message_ids, orders, strict=True):
        name = world.carrier_name_of(message_id)
        await town.pool.execute(
            "INSERT INTO segments"
            " (message_id, part, state, carrier_id, carrier_message_id, submitted_at)"
            " SELECT $1, 1, 'queued', carrier_id, $2, now() FROM messages WHERE message_id = $1",
            message_id,
            name,
        )
        for step in order * 2:
            if step == "refused":
                await town.settle([segments.Evidence(message_id, 1, states.SegmentState.REJECTED)])
            else:
                await town.apply(readers, town.receipt(message_id, step))

    refused_first = [order for order in orders if order[0] == "refused"]
    assert await town.statuses(message_ids) == {"delivered"}
    assert await town.refund_count() == len(refused_first)
    paid_micro = world.PRICE_MICRO * (len(orders) - len(refused_first))
    assert await town.balance_micro() == world.CREDIT_MICRO - paid_micro


async def test_a_receipt_is_kept_to_be_tried_again_when_its_segment_is_not_known(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.hand_over(1)

    tally = await town.apply(readers, town.receipt(message_id, "DELIVRD"))

    assert tally.unmatched_count == 1
    assert await town.count("receipts WHERE retry_at IS NOT NULL") == 1
    assert await town.status(message_id) == "queued"


async def test_a_receipt_means_nothing_when_it_comes_from_another_carrier(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.submit(1)

    await town.apply(readers, town.receipt(message_id, "DELIVRD", carrier="sealed"))

    assert await town.status(message_id) == "submitted"


async def test_a_receipt_is_kept_and_harms_nobody_when_it_cannot_be_read(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.submit(1)
    garbage = (b"", b"\xff\x00", b"{}", b'{"id":"1","state":"MARTIAN"}', b"[" * 10_000)
    stranger = envelopes.RawReceipt(town.raw(b"").receipt_id, 9_999, 0, b"who am I")

    tally = await town.apply(
        readers,
        *(town.raw(body, carrier=name) for body in garbage for name in world.CARRIERS),
        stranger,
        town.receipt(message_id, "DELIVRD"),
    )

    kept = len(garbage) * len(world.CARRIERS) + 1
    assert (tally.unreadable_count, tally.matched_count) == (kept, 1)
    assert await town.status(message_id) == "delivered"
    rows = await town.pool.fetch(
        "SELECT raw, retry_at FROM receipts WHERE state = $1", receipts.UNREADABLE
    )
    assert {row["raw"] for row in rows} == {*garbage, stranger.body}
    assert {row["retry_at"] for row in rows} == {None}


async def test_a_receipt_is_read_when_its_carrier_is_newer_than_the_configuration_at_hand(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.submit(1)
    town.carrier_ids["newest"] = await world.add_carrier(town.pool, "newest", like="acme")
    receipt = town.receipt(message_id, "DELIVRD", carrier="newest")

    await readers.learn([receipt.carrier_id])
    tally = await town.apply(readers, receipt)

    assert tally.unreadable_count == 0


async def test_an_smpp_receipt_is_read_by_its_own_adapter(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.submit(1)
    await town.pool.execute("UPDATE segments SET carrier_id = $1", town.carrier_ids["bound"])
    name = world.carrier_name_of(message_id)
    body = f'{{"text":"id:{name} stat:EXPIRED err:07f"}}'.encode()

    reader = readers.of_carrier(town.carrier_ids["bound"])
    assert reader is not None
    assert reader.adapter.read_receipt is smpp.read_receipt
    await town.apply(readers, town.raw(body, carrier="bound"))

    assert await town.status(message_id) == "expired"
    assert await town.refund_count() == 0
