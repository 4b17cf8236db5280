"""What is used of limits, for people to see: as the limiter holds it, or else by the records."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from shared.db import limits
from shared.db.connection import Connection
from shared.limits import limiter
from shared.limits.permits import LATE_MS, EpochLost, Permits, Used
from shared.rules.lines import Limits, Line
from shared.rules.snapshot import Configuration
from shared.runtime.redis_link import LimiterUnavailable

# Slot and length of each window, as in permit.lua.
_WINDOWS_MS: Final = ((60_000, 3_600_000), (900_000, 86_400_000), (21_600_000, 2_678_400_000))


LimitOwner = Literal["line", "account_country", "country"]


class MetLimit(NamedTuple):
    """A limit that messages from a line may meet: whose it is, to which country, and the limiter's
    name for it. `second_limit`: segments per second beside `limits`; None: not limited."""

    scope: LimitOwner
    country: str | None
    name: str
    limits: Limits
    second_limit: int | None = None


def met_by(current: Configuration, line: Line, *, of_platform: bool = False) -> Iterator[MetLimit]:
    """The line's limits, those of its account by country, and, for operators only, those of the
    whole platform, whose use is everybody's."""
    charged = current.lines[current.limit_line(line.line_id)]
    name = f"line:{charged.line_id}"
    yield MetLimit("line", None, name, charged.limits, charged.second_limit)
    for (account_id, country), found in current.country_limits.items():
        _, platform_scope, account_scope = limiter.scope_names(
            line.line_id, line.account_id, country
        )
        if account_id == line.account_id:
            yield MetLimit("account_country", country, account_scope, found)
        elif account_id is None and of_platform:
            yield MetLimit("country", country, platform_scope, found)


class ScopeUse(NamedTuple):
    """What is out of a scope, per window: hour, day, month, and the second as far as it is counted.
    `is_live`: the limiter says so; else these are the segments that are recorded as submitted,
    without permits given a moment ago; of seconds there are no records."""

    windows: Sequence[Used]
    is_live: bool


async def live(taking: Permits, epoch: int, scopes: Sequence[str]) -> dict[str, ScopeUse]:
    """Of the scopes that the limiter knows under this epoch; of none while it is away."""
    try:
        found = await taking.look(epoch, scopes)
    except (EpochLost, LimiterUnavailable):
        return {}
    return {scope: ScopeUse(used, is_live=True) for scope, used in found.items()}


async def recorded(connection: Connection, scopes: Sequence[str]) -> dict[str, ScopeUse]:
    """Of every scope, by what is committed."""
    now_ms = time.time_ns() // 1_000_000
    used = await limits.usage(connection, scopes)
    return {
        scope: ScopeUse([_used(minutes, *window, now_ms) for window in _WINDOWS_MS], is_live=False)
        for scope, minutes in used.items()
    }


def _used(minutes: Iterable[tuple[int, int]], slot_ms: int, length_ms: int, now_ms: int) -> Used:
    """What has not returned yet of (minute since 1970, segments) pairs in order of time."""
    out = [
        (returns_at_ms, segments)
        for minute, segments in minutes
        if (returns_at_ms := _returns_at_ms(minute, slot_ms, length_ms)) > now_ms and segments > 0
    ]
    return Used(sum(segments for _, segments in out), out[0][0] if out else 0)


def _returns_at_ms(minute: int, slot_ms: int, length_ms: int) -> int:
    slot = minute * 60_000 // slot_ms
    return (slot + 1) * slot_ms + length_ms + LATE_MS
