"""What follows from an answer, or from none: when to try again, when to pause, when to give up.

An event that fails is tried again by itself, after delays that grow from seconds to hours, while
later ones go on. A webhook that fails so many times in a row is probed: one event each pause, and
nothing else is read for it; what it misses stays in the log. So one event that a receiver cannot
take holds up no other, and a receiver that is away costs a request each quarter of an hour.

An event is given up when it has failed for GIVE_UP_SECONDS while the webhook took others. If it
took none, the event is not at fault: it waits until the webhook takes one, or for days has not and
is disabled; and is still there when its owner enables it again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

FIRST_DELAY_SECONDS = 5.0
DELAY_FACTOR = 4.0
DELAY_SECONDS_MAX = 6 * 3600.0
"""5 s, 20 s, 80 s, 5 min, 21 min, 85 min, 6 h and then every 6 h: 19 tries in 76 h."""
GIVE_UP_SECONDS = 76 * 3600.0
PROBE_COUNT = 5
"""Failures in a row after which a webhook is probed."""
FIRST_PAUSE_SECONDS = 5.0
PAUSE_SECONDS_MAX = 900.0
RETRY_AFTER_SECONDS_MAX = 24 * 3600.0
DISABLE_SECONDS = 5 * 24 * 3600.0
JITTER_SHARE = 0.2

GONE = 410
GONE_REASON = "gone"
FAILING_REASON = "failing"

Chance = Callable[[], float]
"""From 0 to 1."""


class Attempt(NamedTuple):
    """One request about one event. `try_count` counts it too; `status` is 0 where none came."""

    sequence: int
    try_count: int
    first_tried_at: datetime
    tried_at: datetime
    status: int
    outcome: str
    retry_after: str = ""

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300


class Standing(NamedTuple):
    """How a webhook fares: failures since it last took an event, and since when."""

    failure_count: int = 0
    failing_since: datetime | None = None
    pause_seconds: float = 0.0
    disabled_for: str = ""

    @property
    def is_probed(self) -> bool:
        return self.failure_count >= PROBE_COUNT


def standing_after(
    before: Standing, attempts: Sequence[Attempt], now: datetime, chance: Chance = random.random
) -> Standing:
    """How the webhook stands after these attempts, in the order in which they ended."""
    count, since = before.failure_count, before.failing_since
    for attempt in attempts:
        if attempt.is_taken:
            count, since = 0, None
        else:
            count, since = count + 1, since or attempt.tried_at
    if not before.is_probed:
        # Those that were under way together are one word: the pauses have yet to begin.
        count = min(count, PROBE_COUNT)
    if any(attempt.status == GONE for attempt in attempts):
        return Standing(count, since, 0.0, GONE_REASON)
    probed = count >= PROBE_COUNT
    if probed and since is not None and (now - since).total_seconds() >= DISABLE_SECONDS:
        return Standing(count, since, 0.0, FAILING_REASON)
    asked_seconds = max((wish_seconds(each, now) for each in attempts), default=0.0)
    return Standing(count, since, max(asked_seconds, _pause_seconds(count, chance)))


def _pause_seconds(failure_count: int, chance: Chance) -> float:
    if failure_count < PROBE_COUNT:
        return 0.0
    grown = FIRST_PAUSE_SECONDS * 2.0 ** min(failure_count - PROBE_COUNT, 16)
    return _jittered(min(PAUSE_SECONDS_MAX, grown), chance)


def delay_seconds(attempt: Attempt, now: datetime, chance: Chance = random.random) -> float:
    """How long after a failed attempt its event is tried again, unless it is given up."""
    grown = FIRST_DELAY_SECONDS * DELAY_FACTOR ** min(attempt.try_count - 1, 16)
    return max(wish_seconds(attempt, now), _jittered(min(DELAY_SECONDS_MAX, grown), chance))


def is_given_up(attempt: Attempt, standing: Standing) -> bool:
    """Whether a failed attempt was its event's last."""
    long_enough = attempt.tried_at - attempt.first_tried_at >= timedelta(seconds=GIVE_UP_SECONDS)
    took_others = standing.failing_since is None or standing.failing_since > attempt.first_tried_at
    return long_enough and took_others


def _jittered(seconds: float, chance: Chance) -> float:
    return seconds * (1 - JITTER_SHARE + 2 * JITTER_SHARE * chance())


def wish_seconds(attempt: Attempt, now: datetime) -> float:
    """How long a receiver that did not take an event asks to be left alone, up to a day."""
    if attempt.is_taken or not attempt.retry_after:
        return 0.0
    text = attempt.retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(RETRY_AFTER_SECONDS_MAX, float(text[:9]))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(RETRY_AFTER_SECONDS_MAX, max(0.0, (moment - now).total_seconds()))
