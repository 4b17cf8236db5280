"""What an account may spend and has spent, as it and the operator read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from shared.db.spending import StoredLift
from shared.ledger import money
from shared.rules.spending import SpendingCap
from shared.rules.velocity import CountryPace, VelocityGuard
from shared.shapes.message import Amount, Time


class CapStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A cap and what is left of it. `country` null: it is on everything. `returns_at`: when the
    first of what was spent counts no more."""

    country: str | None
    owner: Literal["account", "operator"]
    window: Literal["hour", "day", "month"]
    limit: Amount
    used: Amount
    left: Amount
    returns_at: Time | None


class GuardStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard against traffic pumping lets pass to a country in an hour, in segments:
    `allowed`, of which `used` are gone. `busiest_hour` is the past that it goes by."""

    country: str
    allowed: int
    used: int
    busiest_hour: int
    lifted_until: Time | None


class SpendingStanding(msgspec.Struct, frozen=True, kw_only=True):
    """All caps, and where the account is guarded, the countries it has sent to within a day."""

    currency: str
    caps: list[CapStanding]
    guard: list[GuardStanding] | None


def caps_shown(caps: Iterable[SpendingCap]) -> list[CapStanding]:
    """The caps as they are read."""
    return [
        CapStanding(
            country=None if cap.country == "*" else cap.country,
            owner=cap.owner.value,
            window=cap.window.value,
            limit=money.format_amount(cap.limit_micro),
            used=money.format_amount(cap.used_micro),
            left=money.format_amount(max(0, cap.limit_micro - cap.used_micro)),
            returns_at=cap.returns_at(1) if cap.uses else None,
        )
        for cap in caps
    ]


def guard_shown(
    guard: VelocityGuard, paces: Mapping[str, CountryPace], lifts: Iterable[StoredLift]
) -> list[GuardStanding]:
    """What the guard lets pass, by country."""
    until = {lift.country: lift.until_at for lift in lifts}
    return [
        GuardStanding(
            country=country,
            allowed=guard.allowed_count(pace.busiest_count),
            used=pace.recent_count,
            busiest_hour=pace.busiest_count,
            lifted_until=until.get(country),
        )
        for country, pace in sorted(paces.items())
    ]
