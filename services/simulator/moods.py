"""What the simulated carrier does with a submit: by magic recipient, else by the options' shares.

The last five digits of a recipient may ask for a fate; all other numbers share the options' lot.

| recipient ends in | the submit | the receipt |
|---|---|---|
| 00001 | accepted | DELIVRD, at once |
| 00002 | accepted | UNDELIV |
| 00003 | accepted | EXPIRED |
| 00004 | accepted | REJECTD |
| 00005 | refused: ESME_RINVDSTADR, HTTP 400 | none |
| 00006 | throttled the first two times, then accepted | DELIVRD |
| 00007 | accepted, never answered | DELIVRD |
| 00008 | accepted, then the link is cut | DELIVRD, over the next link |
| 00009 | accepted, answered once its receipt has been taken | DELIVRD, at once |
| 00010 | accepted | none, ever |
| 00011 | accepted, never answered | none, ever |
| 00012 | accepted; the phone sends the text back to a sender that is no name | DELIVRD |
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate

from services.simulator import hidden_limit, options

RECENTLY_THROTTLED_MAX = 10_000
_THROTTLED_TIMES = 2


class Answer(StrEnum):
    """What the sender of a submit gets to see. BUSY: this phone has no room."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    THROTTLE = "throttle"
    BUSY = "busy"
    SILENCE = "silence"
    CUT = "cut"
    AFTER_RECEIPT = "after_receipt"


class Stat(StrEnum):
    """A receipt's word (SMPP 3.4 appendix B)."""

    DELIVRD = "DELIVRD"
    UNDELIV = "UNDELIV"
    EXPIRED = "EXPIRED"
    REJECTD = "REJECTD"


@dataclass(frozen=True, slots=True)
class Mood:
    """One submit's fate; without `stat` there is no receipt, and `at_once` waives its delay.
    `echoes`: the phone sends back what it gets."""

    answer: Answer = Answer.ACCEPT
    stat: Stat | None = Stat.DELIVRD
    at_once: bool = False
    echoes: bool = False


MAGIC = {
    "00001": Mood(at_once=True),
    "00002": Mood(stat=Stat.UNDELIV),
    "00003": Mood(stat=Stat.EXPIRED),
    "00004": Mood(stat=Stat.REJECTD),
    "00005": Mood(Answer.REFUSE, None),
    "00006": Mood(Answer.THROTTLE),
    "00007": Mood(Answer.SILENCE),
    "00008": Mood(Answer.CUT),
    "00009": Mood(Answer.AFTER_RECEIPT, at_once=True),
    "00010": Mood(stat=None),
    "00011": Mood(Answer.SILENCE, None),
    "00012": Mood(echoes=True),
}
REFUSED = Mood(Answer.REFUSE, None)
THROTTLED = Mood(Answer.THROTTLE, None)
POISONED = Mood(Answer.BUSY, None)


class Moods:
    """The carrier's state of mind; the same seed gives the same sequence of moods."""

    def __init__(self, wanted: options.Options) -> None:
        self._random = random.Random(wanted.seed)  # noqa: S311 - chance to play with, no secret
        answers = (
            (wanted.throttled_share, Answer.THROTTLE),
            (wanted.refused_share, Answer.REFUSE),
            (wanted.unanswered_share, Answer.SILENCE),
            (wanted.cut_share, Answer.CUT),
            (wanted.receipt_first_share, Answer.AFTER_RECEIPT),
        )
        stats = (
            (wanted.delivered_share, Stat.DELIVRD),
            (wanted.undelivered_share, Stat.UNDELIV),
            (wanted.expired_share, Stat.EXPIRED),
            (wanted.rejected_share, Stat.REJECTD),
        )
        self._answers = list(zip(accumulate(a[0] for a in answers), answers, strict=True))
        self._stats = list(zip(accumulate(s[0] for s in stats), stats, strict=True))
        self._steady = Mood() if wanted.delivered_share >= 1 and not self._answers[-1][0] else None
        self._throttled: OrderedDict[str, int] = OrderedDict()
        self._poisoned_below = int(wanted.poisoned_share * 2**32)
        self._limit: hidden_limit.HiddenLimit | None = None
        if wanted.limit_high_per_second:
            self._limit = hidden_limit.HiddenLimit(
                wanted.limit_low_per_second,
                wanted.limit_high_per_second,
                wanted.limit_period_seconds,
            )

    def mood(self, recipient: str) -> Mood:
        """The fate of a submit to this recipient, now."""
        magic = MAGIC.get(recipient[-5:])
        if magic is None:
            if self._poisoned_below and _lot(recipient) < self._poisoned_below:
                return POISONED
            if self._limit is not None and not self._limit.take(time.monotonic()):
                return THROTTLED
            return self._steady or self._draw()
        if magic.answer is Answer.THROTTLE:
            return THROTTLED if self._throttled_again(recipient) else Mood()
        return magic

    def _throttled_again(self, recipient: str) -> bool:
        times = self._throttled.pop(recipient, 0)
        if times == _THROTTLED_TIMES:
            return False
        self._throttled[recipient] = times + 1
        if len(self._throttled) > RECENTLY_THROTTLED_MAX:
            self._throttled.popitem(last=False)
        return True

    def _draw(self) -> Mood:
        drawn = self._random.random()
        answer = next((a for edge, (_, a) in self._answers if drawn < edge), Answer.ACCEPT)
        if answer is Answer.REFUSE:
            return REFUSED
        if answer is Answer.THROTTLE:
            return THROTTLED
        drawn = self._random.random()
        stat = next((s for edge, (_, s) in self._stats if drawn < edge), None)
        if answer is Answer.AFTER_RECEIPT:
            # Without a receipt there is nothing to wait for.
            return Mood(answer, stat, at_once=True) if stat else Mood(stat=None)
        return replace(_ANY, answer=answer, stat=stat)


def _lot(recipient: str) -> int:
    """A number below 2**32 that this phone has for ever, in every run."""
    return int.from_bytes(hashlib.sha256(recipient.encode()).digest()[:4], "big")


_ANY = Mood()
