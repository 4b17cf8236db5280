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


class Sending:
    """Submits the parts of one message. `on_submit` is called for each part that is handed over,
    `on_end` once, when every part has an answer. `reference_bits` is what the carrier wants."""

    __slots__ = (
        "_link",
        "_next",
        "_on_end",
        "_on_submit",
        "_segments",
        "answers",
        "message",
        "permit",
        "submitted_count",
    )

    def __init__(
        self,
        message: work.Claimed,
        permit: Permit,
        link: contract.Link,
        on_submit: Callable[[], None],
        on_end: Callable[[Sending], None],
        *,
        reference_bits: segmentation.ReferenceBits = 16,
    ) -> None:
        self.message = message
        self.permit = permit
        self.answers: list[Answered] = []
        self.submitted_count = 0
        self._link = link
        self._on_submit = on_submit
        self._on_end = on_end
        self._segments = _segments_of(
            message, permit.taken_monotonic + PERMIT_AGE_SECONDS, reference_bits
        )
        self._next = 0

    def start(self) -> None:
        """Hand over the first part."""
        self._submit()

    def _submit(self) -> None:
        segment = self._segments[self._next]
        if not self.permit.fresh or self._link.room < 1:
            # Proof of not sent: the permit may not be used any more, or the link has just gone.
            self._end(outcomes.UNAVAILABLE)
            return
        self._next += 1
        self.submitted_count += 1
        self._on_submit()
        self._link.submit(segment, self._answered)

    def _answered(self, outcome: outcomes.Outcome) -> None:
        self.answers.append(Answered(self._segments[self._next - 1].part, outcome))
        if self._next == len(self._segments):
            self._on_end(self)
            return
        rest = retry.rest_after(outcome.kind)
        if rest is retry.Rest.SUBMIT:
            self._submit()
        else:
            self._end(None if rest is retry.Rest.CANCEL else outcomes.UNAVAILABLE)

    def _end(self, rest: outcomes.Outcome | None) -> None:
        self.answers.extend(Answered(s.part, rest) for s in self._segments[self._next :])
        self._next = len(self._segments)
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
