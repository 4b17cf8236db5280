"""Caps on what an account spends, and the guard against traffic pumping, as an operator writes
them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from services.commands.configuration.faults import Faults
from services.commands.configuration.values import AccountName, Credit, Destination, Positive
from shared.db import apply
from shared.db.spending import Guarding, OperatorCap
from shared.rules.spending import EVERYWHERE

_FLOOR_COUNT = 100


class _SpendingCap(msgspec.Struct, frozen=True, kw_only=True):
    account: AccountName
    country: Destination = Destination(EVERYWHERE)
    hour: Credit | None = None
    day: Credit | None = None
    month: Credit | None = None
    """Of the wallet's currency; a window that is not named has no cap."""


class _VelocityGuard(msgspec.Struct, frozen=True, kw_only=True):
    account: AccountName
    floor: Positive = _FLOOR_COUNT
    """Segments an hour to a country that always pass."""
    factor: Annotated[int, Meta(ge=0, le=100)] = 3
    """How many times its busiest hour passes beyond them; 0: nothing is held back."""


def read_cap(
    entry: Mapping[str, object], where: str, current: apply.Rows, faults: Faults
) -> Iterator[tuple[str, OperatorCap]]:
    """(place, cap); without any window it lifts the one that stands, and else is nothing."""
    if (found := faults.decode(_SpendingCap, entry, where)) is None:
        return
    limits = (_micro(found.hour), _micro(found.day), _micro(found.month))
    cap = OperatorCap(str(found.account), str(found.country), *limits)
    if limits != (None, None, None) or cap.key in current:
        yield where, cap


def read_guard(
    entry: Mapping[str, object], where: str, current: apply.Rows, faults: Faults
) -> Iterator[tuple[str, Guarding]]:
    """(place, guard); without a factor it ends the one that stands, and else is nothing."""
    if (found := faults.decode(_VelocityGuard, entry, where)) is None:
        return
    guarding = Guarding(str(found.account), found.floor, found.factor)
    if found.factor or guarding.key in current:
        yield where, guarding


def _micro(amount: Credit | None) -> int | None:
    return None if amount is None else int(amount)
