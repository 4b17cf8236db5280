"""A line and what is used of its limits, as its account reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from shared.limits.permits import Used
from shared.limits.usage import LimitOwner, MetLimit, ScopeUse
from shared.rules import lines
from shared.rules.line_kinds import Capability, LineKind, LineMode
from shared.rules.purposes import Purpose
from shared.rules.registrations import RegistrationKind, RegistrationState
from shared.shapes.message import Time

Window = Literal["hour", "day", "month", "second"]
_WINDOWS: Final[tuple[Window, ...]] = ("hour", "day", "month")
Count = Annotated[int, Meta(ge=0)]


class LineRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """How far a line's registration has come; it holds from its first to its last day, in UTC.
    `kind` is where lines such as it are registered; null: nowhere."""

    state: RegistrationState
    kind: RegistrationKind | None
    brand: str | None
    campaign: str | None
    from_: date | None = msgspec.field(name="from")
    until: date | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a message is sent from. `purpose` is what a message counts as that does not say."""

    line_id: int = msgspec.field(name="id")
    sender: str
    name: str
    kind: LineKind
    country: str
    capabilities: list[Capability]
    mode: LineMode
    registration: LineRegistration
    use_case: str | None
    purpose: Purpose | None
    time_zone: str
    second_limit: Count | None
    is_default: bool = msgspec.field(name="default")
    created_at: Time


def shown(line: lines.Line) -> Line:
    """The line as it stands."""
    found = line.registration
    return Line(
        line_id=line.line_id,
        sender=line.sender,
        name=line.name,
        kind=line.kind,
        country=line.country,
        capabilities=[each for each in Capability if each in line.capabilities],
        mode=line.mode,
        registration=LineRegistration(
            state=found.state,
            kind=found.kind,
            brand=found.brand,
            campaign=found.campaign,
            from_=found.from_,
            until=found.until,
        ),
        use_case=line.use_case,
        purpose=line.purpose,
        time_zone=line.time_zone,
        second_limit=line.second_limit,
        is_default=line.is_default,
        created_at=line.created_at.astimezone(UTC),
    )


class WindowUse(msgspec.Struct, frozen=True, kw_only=True):
    """Segments of one window. `limit` null: not limited. `next_return_at`: when the first of those
    used may be used again."""

    window: Window
    limit: Count | None
    used: Count
    left: Count | None
    next_return_at: Time | None


class LimitUse(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of the limits of the line, or of a destination country: for its account, or for
    the whole platform. `source`: the limiter, or, where that knows nothing now, the records of what
    was submitted. Those know hours, days and months; the second, where it is limited, is told by
    the limiter alone."""

    scope: LimitOwner
    country: str | None
    source: Literal["limiter", "records"]
    windows: list[WindowUse]


class LineUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Every limit that messages from a line meet, and what is used of it."""

    line_id: int
    as_of: Time
    limits: list[LimitUse]


def limits_shown(
    line: lines.Line, met: Sequence[MetLimit], used: Mapping[str, ScopeUse], as_of: datetime
) -> LineUsage:
    """The limits `met`, with what is used of each by the limiter's name for it."""
    shown = [
        LimitUse(
            scope=each.scope,
            country=each.country,
            source="limiter" if used[each.name].is_live else "records",
            windows=_windows(each, used[each.name]),
        )
        for each in met
    ]
    return LineUsage(line_id=line.line_id, as_of=as_of, limits=shown)


def _windows(met: MetLimit, used: ScopeUse) -> list[WindowUse]:
    plain, second = used.windows[: len(_WINDOWS)], used.windows[len(_WINDOWS) :]
    shown = [
        _window(window, getattr(met.limits, window), out)
        for window, out in zip(_WINDOWS, plain, strict=True)
    ]
    if met.second_limit is not None and used.is_live:
        # A second that nothing was taken in since it is limited is not counted yet.
        shown.append(_window("second", met.second_limit, second[0] if second else Used(0, 0)))
    return shown


def _window(window: Window, limit: int | None, out: Used) -> WindowUse:
    returns_at = datetime.fromtimestamp(out.returns_at_ms / 1000, UTC) if out.segments else None
    return WindowUse(
        window=window,
        limit=limit,
        used=out.segments,
        left=None if limit is None else max(0, limit - out.segments),
        next_return_at=returns_at,
    )
