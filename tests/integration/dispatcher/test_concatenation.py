"""Messages of several parts leave as they were priced, under the reference they were given."""

from __future__ import annotations

from uuid import UUID

import pytest

from shared.db import concatenations
from shared.sms import segmentation
from tests.integration.dispatcher.carrier import ACCEPTED, send
from tests.integration.dispatcher.conftest import Town


async def headers(
    town: Town, *, text: str, numbered: bool, reference_bits: segmentation.ReferenceBits = 16
) -> tuple[UUID, list[segmentation.Concatenation | None]]:
    """A message of two segments, and the headers its parts leave with."""
    (item,) = await town.accept(1, segment_count=2)
    await town.pool.execute("UPDATE messages SET body = $1", text)
    if numbered:
        async with town.pool.acquire() as opened, opened.transaction():
            await concatenations.number(opened, [item.message_id])
    carrier = await send(town, item, [ACCEPTED, ACCEPTED], reference_bits)
    assert await town.states(item.message_id) == ["submitted", "submitted"]
    return item.message_id, [segmentation.parse_udh(each.udh) for each in carrier.submitted]


@pytest.mark.parametrize(
    ("text", "wished", "bits"), [("x" * 304, 16, 16), ("x" * 306, 16, 8), ("x" * 304, 8, 8)]
)
async def test_parts_bear_their_message_s_reference(
    town: Town,
    text: str,
    wished: segmentation.ReferenceBits,
    bits: segmentation.ReferenceBits,
) -> None:
    """306 septets were two segments with the short header only, when they were priced."""
    _, found = await headers(town, text=text, numbered=True, reference_bits=wished)

    assert found == [segmentation.Concatenation(1, bits, 2, part) for part in (1, 2)]


async def test_a_message_of_the_release_before_leaves_as_it_was_priced(town: Town) -> None:
    message_id, found = await headers(town, text="x" * 306, numbered=False)

    reference = message_id.int & 0xFF
    assert found == [segmentation.Concatenation(reference, 8, 2, part) for part in (1, 2)]
