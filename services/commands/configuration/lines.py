"""A line as an operator writes it; what is not named stays as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final, Literal

import msgspec

from services.commands.configuration.faults import Faults
from services.commands.configuration.values import (
    AccountName,
    Count,
    Country,
    Keyword,
    LineKind,
    Sender,
    Text,
    TimeZone,
    WindowLimits,
)
from shared.db import apply
from shared.rules import line_kinds, line_limits
from shared.rules.line_kinds import Capability, LineMode
from shared.rules.registrations import RegistrationState
from shared.sms import sender_id


class _Limits(WindowLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    second: Count | None = None


class _Registration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: RegistrationState | None = None
    brand: Text | None = None
    campaign: Text | None = None
    from_: date | None = msgspec.field(default=None, name="from")
    until: date | None = None


class _Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What may be left as it stands. An empty text, a registration's state "none" and the purpose
    "none" take away what stands."""

    name: Text | None = None
    capabilities: list[Capability] | None = None
    mode: LineMode | None = None
    registration: _Registration = _Registration()
    use_case: Text | None = None
    purpose: Literal["none", "conversation", "automated", "marketing"] | None = None
    time_zone: TimeZone | None = None


class _Line(_Traits, frozen=True, kw_only=True):
    account: AccountName
    sender: Sender
    kind: LineKind
    country: Country
    default: bool = False
    keyword: Keyword | None = None
    """First word of what phones send to it, where other accounts have the number too."""
    limits: _Limits = _Limits()


def read(
    entry: Mapping[str, object], where: str, current: apply.Rows, faults: Faults
) -> apply.Line | None:
    """The line, or None after its faults were noted. `current` is what the database holds."""
    if (found := faults.decode(_Line, entry, where)) is None:
        return None
    sender = sender_id.parse(found.sender)
    kind = line_kinds.LineKind(found.kind)
    if not line_kinds.fits(kind, sender):
        faults.add(f"{where}.kind", f"a sender that is {sender.kind} is not of this kind")
    if found.keyword is not None and kind is line_kinds.LineKind.ALPHANUMERIC:
        faults.add(f"{where}.keyword", "phones cannot answer a sender that is alphanumeric")
    usual = line_limits.default_for(found.country, kind)
    limits = found.limits
    line = apply.Line(
        account=str(found.account),
        sender=sender.value,
        kind=kind.value,
        country=str(found.country),
        is_default=found.default,
        hour_limit=usual.hour if limits.hour is None else limits.hour,
        day_limit=usual.day if limits.day is None else limits.day,
        month_limit=usual.month if limits.month is None else limits.month,
        keyword=None if found.keyword is None else str(found.keyword),
        second_limit=limits.second,
    )
    before = current.get(line.key)
    if isinstance(before, apply.Line):
        line = replace(line, **{name: getattr(before, name) for name in _KEPT})
    return _completed(line, found, where, faults)


def changed(
    line: apply.Line, entry: Mapping[str, object], where: str, faults: Faults
) -> apply.Line:
    """The line with what the entry names of it; as it was after faults were noted."""
    found = faults.decode(_Traits, entry, where)
    return line if found is None else _completed(line, found, where, faults)


_KEPT: Final = (
    "name",
    "capabilities",
    "mode",
    "registration",
    "brand",
    "campaign",
    "registered_from",
    "registered_until",
    "use_case",
    "purpose",
    "time_zone",
)


def _completed(line: apply.Line, found: _Traits, where: str, faults: Faults) -> apply.Line:
    named = {
        "name": found.name,
        "mode": found.mode,
        "use_case": found.use_case,
        "purpose": found.purpose,
        "time_zone": found.time_zone,
        "registration": found.registration.state,
        "brand": found.registration.brand,
        "campaign": found.registration.campaign,
        "registered_from": found.registration.from_,
        "registered_until": found.registration.until,
    }
    wanted: dict[str, Any] = {
        name: (str(value) or None) if isinstance(value, str) else value
        for name, value in named.items()
        if value is not None
    }
    if found.registration.state is RegistrationState.NONE:
        wanted |= dict.fromkeys(("brand", "campaign", "registered_from", "registered_until"))
    if found.purpose == "none":
        wanted["purpose"] = None
    if found.capabilities is not None:
        can = {str(each) for each in found.capabilities}
        wanted["capabilities"] = tuple(each.value for each in Capability if each in can)
    completed = replace(line, **wanted)
    _check(completed, where, faults)
    return completed


def _check(line: apply.Line, where: str, faults: Faults) -> None:
    first, last = line.registered_from, line.registered_until
    if first is not None and last is not None and last < first:
        faults.add(f"{where}.registration.until", f"expected no day before {first}")
    if line.mode == LineMode.API and not line.capabilities:
        faults.add(f"{where}.mode", "a line that can neither SMS nor MMS has no API mode")
