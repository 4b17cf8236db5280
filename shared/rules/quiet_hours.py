"""When marketing must leave people alone, by their country and their clock.

Sources: US 47 CFR 64.1200(c)(1), from 9 p.m. to 8 a.m. where the recipient is; Canada's Unsolicited
Telecommunications Rules, III.23; France, the operators' charter for commercial SMS, also all of
Sunday (its holidays are not in here); India TCCCPR 2018, schedule II. A country that is not in the
table has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo


class OpenHours(NamedTuple):
    """From the first moment to the one that is no longer; the same twice: not at all."""

    begin: time
    end: time


_NEVER: Final = OpenHours(time(0), time(0))
_WEEKDAYS: Final = 5


def _week(
    weekday: OpenHours, saturday: OpenHours | None = None, sunday: OpenHours | None = None
) -> tuple[OpenHours, ...]:
    return (*[weekday] * _WEEKDAYS, saturday or weekday, sunday or saturday or weekday)


OPEN: Final[Mapping[str, tuple[OpenHours, ...]]] = {
    "CA": _week(OpenHours(time(9), time(21, 30)), OpenHours(time(10), time(18))),
    "FR": _week(OpenHours(time(8), time(22)), sunday=_NEVER),
    "IN": _week(OpenHours(time(10), time(21))),
    "US": _week(OpenHours(time(8), time(21))),
}
"""When marketing may be sent, from Monday to Sunday."""
_DAYS_AHEAD: Final = 8


def ends_at(country: str, zones: Iterable[str], moment: datetime) -> datetime | None:
    """The first moment from then on that is open in each of these time zones (IANA names), one of
    which is the phone's; None where `moment` is, or the country has no quiet hours."""
    week = OPEN.get(country)
    if week is None:
        return None
    clocks = [ZoneInfo(zone) for zone in zones]
    opening = moment
    for _ in range(_DAYS_AHEAD * len(clocks) + 1):
        later = max((_opening(week, clock, opening) for clock in clocks), default=opening)
        if later == opening:
            return None if opening == moment else opening
        opening = later
    raise ValueError(f"{country} has no hour that is open in all of its time zones")


def _opening(week: tuple[OpenHours, ...], clock: ZoneInfo, moment: datetime) -> datetime:
    """The moment itself if it is open by this clock, or when it opens next."""
    local = moment.astimezone(clock)
    for days in range(_DAYS_AHEAD):
        day = local.date() + timedelta(days=days)
        hours = week[day.weekday()]
        begin = datetime.combine(day, hours.begin, clock).astimezone(moment.tzinfo)
        end = datetime.combine(day, hours.end, clock).astimezone(moment.tzinfo)
        if moment < end:
            return max(begin, moment)
    raise AssertionError("every week has an open day")
