"""One message over a link, part after part: what is handed over, and what each part is told."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from services.dispatcher import sending
from shared.carriers import contract, outcomes
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import work
from shared.limits.limiter import PERMIT_AGE_SECONDS, Permit
from shared.runtime import ids
from shared.sms import segmentation
from shared.sms.encoding import Encoding

ACCEPTED = Outcome(OutcomeKind.ACCEPTED, "id")
REJECTED = Outcome(OutcomeKind.REJECTED)
THROTTLED = Outcome(OutcomeKind.THROTTLED)
LOST, UNAVAILABLE = outcomes.LOST, outcomes.UNAVAILABLE


class Link:
    """Answers at once, with what was written down."""

    connected = True

    def __init__(
        self, answers: list[Outcome], room: int = 10, *, whole_messages: bool = False
    ) -> None:
        self.room = room
        self.whole_messages = whole_messages
        self.texts: list[str] = []
        self.encodings: list[Encoding] = []
        self.parts: list[int] = []
        self._answers = iter(answers)

    async def wait_for_room(self) -> None:
        return

    def submit(self, segment: contract.Segment, on_outcome: contract.OnOutcome) -> None:
        self.parts.append(segment.part)
        self.texts.append(segment.text)
        self.encodings.append(segment.encoding)
        on_outcome(next(self._answers))

    async def close(self, drain_seconds: float) -> None:
        return


def message(part_count: int) -> work.Claimed:
    return work.Claimed(
        message_id=ids.uuid7(),
        account_id=1,
        line_id=1,
        country="FR",
        sender="+33612345678",
        recipient="+33612345679",
        body="x" * 153 * part_count,
        segment_count=part_count,
        parts=list(range(1, part_count + 1)),
        valid_seconds=60,
        submitted_at=datetime.now(UTC),
        deferral_count=0,
        concat_reference=7,
        opted_out=False,
    )


async def send(link: Link, part_count: int, age_seconds: float = 0) -> sending.Sending:
    permit = Permit(1, 0, time.monotonic() - age_seconds, ("line:1",), part_count)
    ended: asyncio.Future[sending.Sending] = asyncio.get_running_loop().create_future()
    reserved = sending.Reserved()
    reserved.count = part_count
    sending.Sending(message(part_count), permit, link, reserved, ended.set_result).start()
    assert reserved.count == 0
    return await asyncio.wait_for(ended, 5)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([ACCEPTED, ACCEPTED, ACCEPTED], [ACCEPTED, ACCEPTED, ACCEPTED]),
        ([REJECTED], [REJECTED, None, None]),
        ([ACCEPTED, REJECTED], [ACCEPTED, REJECTED, None]),
        ([THROTTLED], [THROTTLED, UNAVAILABLE, UNAVAILABLE]),
        ([ACCEPTED, LOST], [ACCEPTED, LOST, UNAVAILABLE]),
        ([UNAVAILABLE], [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE]),
    ],
)
async def test_a_part_goes_only_when_the_one_before_it_was_taken(
    answers: list[Outcome], told: list[Outcome | None]
) -> None:
    link = Link(answers)
    ended = await send(link, 3)
    assert link.parts == list(range(1, len(answers) + 1))
    assert [(answered.part, answered.outcome) for answered in ended.answers] == [
        (part, outcome) for part, outcome in enumerate(told, 1)
    ]


async def test_nothing_is_handed_over_with_a_permit_that_is_too_old() -> None:
    link = Link([])
    ended = await send(link, 1, age_seconds=PERMIT_AGE_SECONDS)
    assert link.parts == []
    assert [answered.outcome for answered in ended.answers] == [UNAVAILABLE]


async def test_nothing_is_handed_over_to_a_link_without_room() -> None:
    link = Link([], room=0)
    ended = await send(link, 2)
    assert link.parts == []
    assert [answered.outcome for answered in ended.answers] == [UNAVAILABLE] * 2


@pytest.mark.parametrize("answer", [ACCEPTED, REJECTED, THROTTLED, LOST])
async def test_a_carrier_that_cuts_texts_is_asked_once_and_answers_for_every_part(
    answer: Outcome,
) -> None:
    link = Link([answer], whole_messages=True)
    ended = await send(link, 3)
    assert link.texts == [message(3).body]
    assert [(each.part, each.outcome) for each in ended.answers] == [
        (part, answer) for part in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        (("a", "b", "c"), ["a", "b", "c"]),
        (("a", "b"), ["a", "b", "b"]),
        (("a", "b", "c", "d"), ["a", "b", "c"]),
        (("a",), ["a", "a", "a"]),
        ((), ["id-1", "id-1", "id-1"]),
    ],
)
async def test_each_part_has_the_id_that_the_carrier_gave_it(
    named: tuple[str, ...], kept: list[str]
) -> None:
    answer = Outcome(OutcomeKind.ACCEPTED, "id-1", billed_count=len(named), part_ids=named)
    ended = await send(Link([answer], whole_messages=True), 3)
    assert [each.outcome and each.outcome.carrier_message_id for each in ended.answers] == kept


async def test_a_whole_message_is_not_handed_over_with_a_permit_that_is_too_old() -> None:
    link = Link([], whole_messages=True)
    ended = await send(link, 3, age_seconds=PERMIT_AGE_SECONDS)
    assert [each.outcome for each in ended.answers] == [UNAVAILABLE] * 3


async def test_what_is_left_of_a_message_goes_by_parts_also_where_texts_are_cut() -> None:
    link = Link([ACCEPTED, ACCEPTED], whole_messages=True)
    permit = Permit(1, 0, time.monotonic(), ("line:1",), 2)
    ended: asyncio.Future[sending.Sending] = asyncio.get_running_loop().create_future()
    reserved = sending.Reserved()
    reserved.count = 2
    left = message(3)._replace(parts=[2, 3])
    sending.Sending(left, permit, link, reserved, ended.set_result).start()
    assert link.parts == [2, 3]
    assert [each.part for each in (await ended).answers] == [2, 3]
    assert reserved.count == 0


async def test_a_whole_text_is_in_the_alphabet_that_its_carrier_takes() -> None:
    # Given a text that GSM 03.38 has and Latin-1 has not
    ended: asyncio.Future[sending.Sending] = asyncio.get_running_loop().create_future()
    link = Link([ACCEPTED], whole_messages=True)
    reserved = sending.Reserved()
    reserved.count = 1
    sending.Sending(
        message(1)._replace(body="20\u20ac"),
        Permit(1, 0, time.monotonic(), ("line:1",), 1),
        link,
        reserved,
        ended.set_result,
        cut=segmentation.Cut(repertoire="latin-1"),
    ).start()
    await ended
    assert link.encodings == [Encoding.UCS2]
    assert link.texts == ["20\u20ac"]
