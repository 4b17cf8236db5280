"""One claimed message on its way over a carrier's link: its parts in order, one after the other.

What becomes of the parts behind one that was answered is said in `retry`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from services.dispatcher import retry
from shared.carriers import contract, outcomes
from shared.db import work
from shared.limits.limiter import PERMIT_AGE_SECONDS, Permit
from shared.sms import segmentation

CANCELED = "an earlier part of the message was refused"


class Answered(NamedTuple):
    """What became of one part; `outcome` is None when it was never tried because of an earlier
    one."""

    part: int
    outcome: outcomes.Outcome | None


class Reserved:
    """How much of a link's room is promised to parts it does not count yet, in segments."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Sending:
    """Submits the parts of one message. Each is taken from `reserved` when it is handed over, for
    from then on the link counts it, or when that will not happen; `on_end` is called once, when
    every part has an answer. `reference_bits` is what the carrier wants."""

    __slots__ = (
        "_link",
        "_next",
        "_on_end",
        "_reserved",
        "_segments",
        "answers",
        "message",
        "permit",
    )

    def __init__(
        self,
        message: work.Claimed,
        permit: Permit,
        link: contract.Link,
        reserved: Reserved,
        on_end: Callable[[Sending], None],
        *,
        reference_bits: segmentation.ReferenceBits = 16,
    ) -> None:
        self.message = message
        self.permit = permit
        self.answers: list[Answered] = []
        self._link = link
        self._reserved = reserved
        self._on_end = on_end
        self._segments = _segments_of(
            message, permit.taken_monotonic + PERMIT_AGE_SECONDS, reference_bits
        )
        self._next = 0

    def start(self) -> None:
        """Hand over the first part."""
        self._submit()

    @property
    def deferral_count(self) -> int:
        """How often the message was put off since a part of it was last taken."""
        first = self.answers[0].outcome
        went_on = first is not None and first.kind is outcomes.OutcomeKind.ACCEPTED
        return 0 if went_on else self.message.deferral_count

    def _submit(self) -> None:
        segment = self._segments[self._next]
        if not self.permit.fresh or self._link.room < 1:
            # Proof of not sent: the permit may not be used any more, or the link has just gone.
            self._end(outcomes.UNAVAILABLE)
            return
        self._next += 1
        self._reserved.count -= 1
        self._link.submit(segment, self._answered)

    def _answered(self, outcome: outcomes.Outcome) -> None:
        self.answers.append(Answered(self._segments[self._next - 1].part, outcome))
        if self._next == len(self._segments):
            self._finish()
            return
        rest = retry.rest_after(outcome.kind, self.deferral_count)
        if rest is retry.Rest.SUBMIT:
            self._submit()
        else:
            self._end(None if rest is retry.Rest.CANCEL else outcomes.UNAVAILABLE)

    def _end(self, rest: outcomes.Outcome | None) -> None:
        self.answers.extend(Answered(each.part, rest) for each in self._segments[self._next :])
        self._finish()

    def _finish(self) -> None:
        # What was handed over has been taken from it already.
        self._reserved.count -= self.permit.segment_count - self._next
        self._on_end(self)


def _segments_of(
    message: work.Claimed, leave_by: float, reference_bits: segmentation.ReferenceBits
) -> list[contract.Segment]:
    """The parts still to go, cut by the one function that also priced them."""
    return [
        contract.Segment(
            message.message_id,
            part.number,
            part.total,
            message.sender,
            message.recipient,
            part.encoding,
            part.udh,
            part.payload,
            max(1, message.valid_seconds),
            message.submitted_at,
            leave_by,
        )
        for part in _cut(message, reference_bits)
        if part.number in message.parts
    ]


def _cut(
    message: work.Claimed, reference_bits: segmentation.ReferenceBits
) -> tuple[segmentation.Part, ...]:
    reference = message.concat_reference
    if reference is None:
        # One part alone, or a message of the release before, which was priced for 8 bits.
        return segmentation.split(message.body, message.message_id.int & 0xFF, 8)
    return segmentation.split_as_priced(
        message.body, message.segment_count, reference, reference_bits
    )
