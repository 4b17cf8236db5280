"""One claimed message on its way over a carrier's link: its parts in order, one after the other, or
all in one where the carrier cuts texts itself.

What becomes of the parts behind one that was answered is said in `retry`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from services.dispatcher import retry
from shared.carriers import contract, outcomes
from shared.db import work
from shared.limits.limiter import PERMIT_AGE_SECONDS, Permit
from shared.sms import classes, segmentation

_USUAL_CUT = segmentation.Cut()
CANCELED = "an earlier part of the message was refused"


class Answered(msgspec.Struct, frozen=True, gc=False):
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
    every part has an answer. `cut` is what the carrier wants.

    Whoever holds an envelope of it, with `held_count` segments, finds in `keeps_place`, once the
    answers are recorded, that it is to try the message again.

    A carrier that cuts texts itself gets one segment for all parts, and its answer is each one's;
    but a message of which parts were taken before, by themselves, goes on by parts."""

    __slots__ = (
        "_link",
        "_next",
        "_on_end",
        "_places",
        "_reserved",
        "_segments",
        "_whole",
        "answers",
        "held_count",
        "keeps_place",
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
        cut: segmentation.Cut = _USUAL_CUT,
        message_class: classes.ClassName = "normal",
    ) -> None:
        self.message = message
        self.permit = permit
        self.answers: list[Answered] = []
        self.held_count = 0
        self.keeps_place = False
        self._link = link
        self._reserved = reserved
        self._on_end = on_end
        self._whole = link.whole_messages and len(message.parts) == message.segment_count
        leave_by = permit.taken_monotonic + PERMIT_AGE_SECONDS
        self._segments = [
            _segment_of(message, part, leave_by, message_class)
            for part in _cut(message, cut, whole=self._whole)
            if part.number in message.parts
        ]
        self._next = 0
        self._places = permit.segment_count

    def start(self) -> None:
        """Hand over the first part."""
        self._submit()

    @property
    def deferral_count(self) -> int:
        """How often the message was put off since a part of it was last taken."""
        first = self.answers[0].outcome
        went_on = first is not None and first.kind is outcomes.OutcomeKind.ACCEPTED
        return 0 if went_on else self.message.deferral_count

    @property
    def billed_count(self) -> int:
        """How many parts the carrier says it makes of the message; 0 where it does not say."""
        first = self.answers[0].outcome
        return 0 if first is None else first.billed_count

    @property
    def billed_otherwise(self) -> bool:
        """Whether the carrier bills more or less than its producer was charged."""
        return self.billed_count not in (0, self.message.segment_count)

    def _submit(self) -> None:
        segment = self._segments[self._next]
        if not self.permit.fresh or self._link.room < 1:
            # Proof of not sent: the permit may not be used any more, or the link has just gone.
            self._end(outcomes.UNAVAILABLE)
            return
        self._next += 1
        self._release(self._places if self._whole else 1)
        self._link.submit(segment, self._answered)

    def _answered(self, outcome: outcomes.Outcome) -> None:
        if self._whole:
            self.answers += [Answered(part, outcome.of_part(part)) for part in self.message.parts]
        else:
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
        for left in self._segments[self._next :]:
            self.answers.extend(Answered(part, rest) for part in self._parts_of(left))
        self._finish()

    def _parts_of(self, segment: contract.Segment) -> Sequence[int]:
        return self.message.parts if self._whole else (segment.part,)

    def _release(self, count: int) -> None:
        self._places -= count
        self._reserved.count -= count

    def _finish(self) -> None:
        self._release(self._places)
        self._on_end(self)


def _segment_of(
    message: work.Claimed,
    part: segmentation.Part,
    leave_by: float,
    message_class: classes.ClassName,
) -> contract.Segment:
    return contract.Segment(
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
        message_class,
    )


def _cut(
    message: work.Claimed, cut: segmentation.Cut, *, whole: bool
) -> tuple[segmentation.Part, ...]:
    """The parts, cut by the one function that also priced them; or all in one, in the alphabet that
    also priced them."""
    if whole or message.segment_count == 1:
        alphabet, payload = segmentation.encode(message.body, cut.repertoire)
        if whole or segmentation.fits_one(alphabet, payload):
            return (segmentation.Part(1, message.segment_count, alphabet, b"", payload),)
    reference = message.concat_reference
    if reference is None:
        # One part alone, or a message of the release before, which was priced for 8 bits.
        reference, cut = message.message_id.int & 0xFF, segmentation.Cut(8, cut.repertoire)
    return segmentation.split_as_priced(message.body, message.segment_count, reference, cut)
