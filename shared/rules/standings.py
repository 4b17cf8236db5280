"""How a carrier stands with us, to a country or at all: judged from counts of what it answered.

    well → sick or down → trickle → well

A carrier is sick by what it answers, and down by its links. It comes back with a few messages a
second, and with more each time these fare well; if they do not, it is left alone for longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

SAMPLE_COUNT_MIN: Final = 10
"""Answers without which nothing is said of what a carrier answers."""
REFUSAL_COUNT_MIN: Final = 50
"""The same where it refuses: one customer's bad numbers are no illness."""
FAILED_SHARE: Final = 0.5
"""Of the answers: lost, not to be had, or "not by me"; from here on it is sick."""
REFUSED_SHARE: Final = 0.9
RECEIPT_COUNT_MIN: Final = 100
"""Segments old enough for their receipts, without which nothing is said of these."""
RECEIPT_SHARE: Final = 0.2
USUAL_RECEIPT_SHARE: Final = 0.6
"""Of those: which had their receipt in time. Below the one, where the other is usual, it is sick.
"""
RECEIPT_REST_SECONDS: Final = 900.0
"""So long until the segments that showed it are too old to be asked about."""
REST_SECONDS: Final = 10.0
REST_MAX_SECONDS: Final = 300.0
"""How long a sick carrier is left alone: doubled each time it comes back in vain."""
TRICKLE_PER_SECOND: Final = 5.0
TRICKLE_SECONDS: Final = 5.0
"""A step of coming back: if it went well the next lets four times as many through."""
STEP_FACTOR: Final = 4.0
GOOD_COUNT_MIN: Final = 3
"""Answers that show that a step went well."""
UNTRIED_SECONDS: Final = 15.0
"""How long a step lasts in which too few messages came to show anything."""


class Condition(StrEnum):
    """How it stands; a carrier that is well has no standing."""

    SICK = "sick"
    DOWN = "down"
    TRICKLE = "trickle"


@dataclass(frozen=True, slots=True)
class CarrierStanding:
    """`share`: of the messages, which may go by it all the same. `since_seconds`: since when it is
    so, in Unix time; `rest_seconds`: how long it is, or was, to be left alone."""

    condition: Condition
    share: float
    since_seconds: float
    rest_seconds: float
    cause: str


class AnswerCounts(NamedTuple):
    """What came of segments within a while, and how often links were seen up or down."""

    taken: int = 0
    refused: int = 0
    failed: int = 0
    up: int = 0
    down: int = 0
    per_second: float = 0.0
    """Messages that are accepted for the same country, by whatever carrier."""

    @property
    def answered(self) -> int:
        """All of them."""
        return self.taken + self.refused + self.failed


class ReceiptCounts(NamedTuple):
    """Of segments that a carrier took: those whose receipt was due lately and hours ago, and of
    these the ones that had it in time."""

    due: int = 0
    in_time: int = 0
    usually_due: int = 0
    usually_in_time: int = 0


def judge(
    before: CarrierStanding | None,
    window: AnswerCounts,
    step: AnswerCounts,
    now_seconds: float,
    receipts: ReceiptCounts | None = None,
) -> CarrierStanding | None:
    """How it stands now. `window` counts half a minute, `step` the last few seconds."""
    if step.down and not step.up:
        return _is_down(before, now_seconds)
    if before is None:
        if cause := ailment(window):
            return _ill(cause, REST_SECONDS, now_seconds)
        if receipts is not None and (cause := ailment_of_receipts(receipts)):
            return _ill(cause, RECEIPT_REST_SECONDS, now_seconds)
        return None
    age_seconds = now_seconds - before.since_seconds
    if before.condition is Condition.TRICKLE:
        return _coming_back(before, step, age_seconds, now_seconds)
    if age_seconds < before.rest_seconds:
        return before
    share = min(1.0, TRICKLE_PER_SECOND / max(step.per_second, TRICKLE_PER_SECOND))
    return replace(before, condition=Condition.TRICKLE, share=share, since_seconds=now_seconds)


def ailment(counts: AnswerCounts) -> str | None:
    """What is wrong with these answers; None where nothing is, or they are too few."""
    answered = counts.answered
    if answered >= SAMPLE_COUNT_MIN and counts.failed >= FAILED_SHARE * answered:
        return f"{counts.failed} of {answered} segments failed"
    if answered >= REFUSAL_COUNT_MIN and counts.refused >= REFUSED_SHARE * answered:
        return f"{counts.refused} of {answered} segments were refused"
    return None


def ailment_of_receipts(counts: ReceiptCounts) -> str | None:
    """The same of receipts; a carrier that never sends many is not sick for that."""
    if min(counts.due, counts.usually_due) < RECEIPT_COUNT_MIN:
        return None
    if counts.usually_in_time < USUAL_RECEIPT_SHARE * counts.usually_due:
        return None
    if counts.in_time >= RECEIPT_SHARE * counts.due:
        return None
    return f"{counts.in_time} of {counts.due} segments had their receipt in time"


def _is_down(before: CarrierStanding | None, now_seconds: float) -> CarrierStanding:
    if before is not None and before.condition is Condition.DOWN:
        return before
    rest_seconds = REST_SECONDS if before is None else before.rest_seconds
    if before is not None and before.condition is Condition.TRICKLE:
        rest_seconds = _longer(rest_seconds)
    return CarrierStanding(
        Condition.DOWN, 0.0, now_seconds, rest_seconds, "no link is up, or none is answered"
    )


def _longer(rest_seconds: float) -> float:
    return max(rest_seconds, min(2 * rest_seconds, REST_MAX_SECONDS))


def _ill(cause: str, rest_seconds: float, now_seconds: float) -> CarrierStanding:
    return CarrierStanding(Condition.SICK, 0.0, now_seconds, rest_seconds, cause)


def _coming_back(
    before: CarrierStanding, step: AnswerCounts, age_seconds: float, now_seconds: float
) -> CarrierStanding | None:
    if step.failed and step.failed >= FAILED_SHARE * step.answered:
        cause = f"{step.failed} of {step.answered} segments failed as it came back"
        return _ill(cause, _longer(before.rest_seconds), now_seconds)
    if age_seconds < (TRICKLE_SECONDS if step.taken >= GOOD_COUNT_MIN else UNTRIED_SECONDS):
        return before
    if before.share >= 1.0:
        return None
    return replace(before, share=min(1.0, before.share * STEP_FACTOR), since_seconds=now_seconds)
