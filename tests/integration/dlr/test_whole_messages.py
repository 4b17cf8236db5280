"""A message that its carrier was given whole: one id, one receipt, and all of its parts."""

from __future__ import annotations

from uuid import UUID

import pytest

from shared.db import segments
from shared.sms import states
from tests.integration.dlr import conftest, world

PATH = f"/carriers/uncut/receipts/{world.SECRET}"
PART_COUNT = 3


async def _answer(town: world.World, message_id: UUID, name: str) -> None:
    """The carrier took it, under this name: an answer that is each part's."""
    await town.settle(
        segments.Evidence(
            message_id,
            part,
            states.SegmentState.SUBMITTED,
            accepted=True,
            carrier_message_id=name,
        )
        for part in range(1, PART_COUNT + 1)
    )


async def _tell(service: conftest.Service, name: str, message_id: UUID, state: str) -> None:
    report = {"id": name, "state": state, "code": "0", "to": world.PHONE}
    report["ref"] = f"{message_id.hex}-{PART_COUNT}"
    async with service.client.post(PATH, json=report) as response:
        assert response.status == 200


async def _parts(town: world.World, message_id: UUID) -> list[str]:
    rows = await town.pool.fetch(
        "SELECT state FROM segments WHERE message_id = $1 ORDER BY part", message_id
    )
    return [row["state"] for row in rows]


@pytest.mark.parametrize("word", ["DELIVRD", "UNDELIV"])
async def test_one_receipt_moves_every_part_when_all_have_its_id(
    town: world.World, service: conftest.Service, word: str
) -> None:
    [message_id] = await town.hand_over(1, PART_COUNT, carrier="uncut")
    await _answer(town, message_id, "w-1")

    await _tell(service, "w-1", message_id, word)

    wanted = [world.STATES[word]] * PART_COUNT

    async def have_moved() -> bool:
        return await _parts(town, message_id) == wanted

    await world.eventually(have_moved)


async def test_a_receipt_that_comes_before_the_answer_moves_every_part_as_well(
    town: world.World, service: conftest.Service
) -> None:
    [message_id] = await town.hand_over(1, PART_COUNT, carrier="uncut")
    await _tell(service, "w-2", message_id, "DELIVRD")
    await _answer(town, message_id, "w-2")

    async def are_delivered() -> bool:
        return await _parts(town, message_id) == ["delivered"] * PART_COUNT

    await world.eventually(are_delivered)


async def test_the_doubt_about_a_whole_message_ends_by_the_name_that_is_given_back(
    town: world.World, service: conftest.Service
) -> None:
    # Given two messages to one phone whose answers were lost
    both = await town.hand_over(2, PART_COUNT, carrier="uncut")
    for message_id in both:
        await town.settle(
            segments.Evidence(message_id, part, states.SegmentState.IN_DOUBT)
            for part in range(1, PART_COUNT + 1)
        )

    # When the carrier reports one of them
    await _tell(service, "w-3", both[0], "DELIVRD")

    # Then it is that one, and all of it
    async def is_delivered() -> bool:
        return await _parts(town, both[0]) == ["delivered"] * PART_COUNT

    await world.eventually(is_delivered)
    assert await _parts(town, both[1]) == ["in_doubt"] * PART_COUNT
