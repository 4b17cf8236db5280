"""Which segment without an id a receipt means: the only one that fits, or none at all.

| candidate | counts as |
|---|---|
| in doubt, `unknown` after its deadline, or accepted without an id | one the receipt may mean |
| submitted twice, and named by the reference alone | the one it means, whichever submit it is of |
| being submitted again, or submitted twice | a rival: its first submit may own the receipt |
| refused after it had been in doubt | the last it may mean: a carrier may contradict itself |
| known by its id after one submit | nothing: receipts name it |

The text a receipt quotes is not asked: no text may travel to where the receipt is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from shared.db.matching import NAMELESS_COUNT_MAX, Nameless
from shared.sms import states

_OPEN = frozenset(
    {states.SegmentState.IN_DOUBT, states.SegmentState.SUBMITTED, states.SegmentState.UNKNOWN}
)
ZONE_STEP_SECONDS = 15 * 60
"""Every time zone in use is a multiple of this away from UTC."""
ZONE_SECONDS_MAX = 14 * 3600
DATE_SLACK_SECONDS = 5 * 60
"""How far a carrier's clock may be off, its minutes and the way to it included."""


def meant(
    candidates: Sequence[Nameless], submit_date: datetime | None, *, echoed: bool = False
) -> list[Nameless]:
    """The one segment a receipt with this carrier's date can mean, first in the list; empty when it
    fits two or has a rival, since a wrong end is worse than a doubt. `echoed`: the candidates are
    those whose reference it gives back.

    Parts of one submit are no rivals of each other, and all in the list: they are handed over in
    their order, each when the one before was accepted, so the first of those in doubt was taken if
    any was. Which receipt is whose does not matter then: the message's status is of their set.
    """
    if len(candidates) >= NAMELESS_COUNT_MAX:
        return []
    near = [each for each in candidates if is_date_of(each.submitted_at, submit_date)]
    if echoed and len(near) == 1 and near[0].known and near[0].attempt_count > 1:
        return near
    nameless = [each for each in near if not each.known]
    found = [each for each in nameless if each.state in _OPEN] or [
        each for each in nameless if each.state == states.SegmentState.REJECTED
    ]
    submits = {(each.message_id, each.submitted_at) for each in found}
    if len(submits) != 1 or any(_is_rival(each) for each in near):
        return []
    return sorted(found, key=lambda each: each.part)


def _is_rival(each: Nameless) -> bool:
    if each.known:
        return each.attempt_count > 1
    return each.state not in _OPEN and each.state != states.SegmentState.REJECTED


def is_date_of(submitted_at: datetime, submit_date: datetime | None) -> bool:
    """Whether a carrier somewhere on earth may write this date, without a zone, for that moment."""
    if submit_date is None:
        return True
    apart = (submit_date.replace(tzinfo=UTC) - submitted_at).total_seconds()
    zone = ZONE_STEP_SECONDS * round(apart / ZONE_STEP_SECONDS)
    return abs(zone) <= ZONE_SECONDS_MAX and abs(apart - zone) <= DATE_SLACK_SECONDS
