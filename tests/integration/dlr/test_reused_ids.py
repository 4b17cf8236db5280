"""Carriers that use an id again: the recipient and the time say whose receipt it is."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.dlr import interpreters
from shared.db import segments
from shared.sms import states
from tests.integration.dlr import test_doubts, world

Readers = interpreters.Interpreters

PHONE, OTHER_PHONE = test_doubts.PHONE, test_doubts.OTHER_PHONE


async def submitted(town: world.World, phone: str, name: str, carrier: str = "bound") -> UUID:
    """A message the carrier took under this id."""
    [message_id] = await town.hand_over(1, carrier=carrier, to=phone)
    await town.settle(
        [
            segments.Evidence(
                message_id,
                1,
                states.SegmentState.SUBMITTED,
                accepted=True,
                carrier_message_id=name,
            )
        ]
    )
    return message_id


async def test_a_receipt_moves_the_message_of_its_phone_when_the_id_was_used_twice(
    town: world.World, readers: Readers
) -> None:
    first = await submitted(town, PHONE, "7")
    second = await submitted(town, OTHER_PHONE, "7")

    await town.apply(readers, test_doubts.receipt(town, name="7", phone=PHONE))

    assert await test_doubts.by_message(town, [first, second]) == ["delivered", "submitted"]


async def test_the_newest_is_meant_when_an_id_was_used_twice_for_one_phone(
    town: world.World, readers: Readers
) -> None:
    first = await submitted(town, PHONE, "7")
    second = await submitted(town, PHONE, "7")

    await town.apply(readers, test_doubts.receipt(town, name="7", phone=PHONE))

    assert await test_doubts.by_message(town, [first, second]) == ["submitted", "delivered"]


async def test_a_receipt_is_kept_and_moves_nothing_when_it_names_another_phone(
    town: world.World, readers: Readers
) -> None:
    message_id = await submitted(town, PHONE, "7")

    tally = await town.apply(readers, test_doubts.receipt(town, name="7", phone=OTHER_PHONE))

    assert tally.unmatched_count == 1
    assert await town.status(message_id) == "submitted"
    assert await town.count("receipts WHERE message_id IS NULL AND retry_at IS NOT NULL") == 1


@pytest.mark.parametrize("written", ["33612345678", "+33612345678", "0033612345678", "0612345678"])
async def test_a_phone_is_known_however_the_carrier_writes_it(
    town: world.World, readers: Readers, written: str
) -> None:
    message_id = await submitted(town, PHONE, "7")

    await town.apply(readers, test_doubts.receipt(town, name="7", phone=written))

    assert await town.status(message_id) == "delivered"


async def test_a_receipt_is_believed_by_its_id_when_it_names_no_phone(
    town: world.World, readers: Readers
) -> None:
    message_id = await submitted(town, PHONE, "7")

    await town.apply(readers, test_doubts.receipt(town, name="7", phone="33612xxxxxx"))

    assert await town.status(message_id) == "delivered"


@pytest.mark.parametrize("hours", [24 * 7, -1])
async def test_a_receipt_moves_nothing_that_was_submitted_long_before_or_after_it(
    town: world.World, readers: Readers, hours: int
) -> None:
    message_id = await submitted(town, PHONE, "7", carrier="acme")
    await town.age([message_id], hours)
    body = b'{"id":"7","state":"DELIVRD","code":""}'

    await town.apply(readers, town.raw(body, carrier="acme"))

    assert await town.status(message_id) == "submitted"
