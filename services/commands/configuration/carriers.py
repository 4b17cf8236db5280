"""A carrier as an operator writes it: what is common to all, and what its adapter makes of the
rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from services.commands.configuration.faults import Faults
from shared.carriers import registry, secret
from shared.db import apply

_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_PACE: Final = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_COMMON: Final = frozenset({"name", "adapter", "segments_per_second"})
_HIDDEN: Final = "***"


def read(entry: Mapping[str, object], where: str, faults: Faults) -> apply.Carrier | None:
    """The carrier, or None after its faults were noted."""
    fault_count = len(faults.sentences)
    for required in ("name", "adapter"):
        if required not in entry:
            faults.add(f"{where}.{required}", "is missing")
    name = faults.convert(entry.get("name", "-"), str, f"{where}.name")
    adapter = faults.convert(entry.get("adapter", "-"), str, f"{where}.adapter")
    pace = faults.convert(
        entry.get("segments_per_second", 0), _PACE, f"{where}.segments_per_second"
    )
    if name is not None and not _NAME.fullmatch(name):
        faults.add(f"{where}.name", "expected 1 to 64 of a-z, 0-9, _ and -")
    settings = {key: value for key, value in entry.items() if key not in _COMMON}
    if "adapter" in entry and adapter is not None:
        _check(adapter, settings, where, faults)
    if len(faults.sentences) > fault_count:
        return None
    return apply.Carrier(name, adapter, pace, settings)


def _check(adapter: str, settings: Mapping[str, object], where: str, faults: Faults) -> None:
    try:
        registry.reviewed(adapter, settings)
        # What TOML can say and the database's JSON cannot: dates.
        msgspec.convert(msgspec.json.decode(msgspec.json.encode(settings)), dict[str, object])
    except registry.UnknownAdapter as error:
        faults.add(f"{where}.adapter", str(error))
    except registry.InvalidSettings as error:
        faults.add(where, str(error))


def shown(carrier: apply.Carrier) -> dict[str, str]:
    """The settings as anybody may read them: credentials hidden, all of them if the adapter cannot
    say which they are."""
    try:
        decoded = registry.settings(carrier.adapter, carrier.settings)
    except (registry.UnknownAdapter, registry.InvalidSettings):
        return dict.fromkeys(carrier.settings, _HIDDEN)
    values: dict[str, object] = msgspec.to_builtins(decoded, enc_hook=_hide)
    return {key: str(values.get(key, _HIDDEN)) for key in carrier.settings}


def _hide(value: object) -> str:
    if isinstance(value, secret.Secret):
        return _HIDDEN
    raise NotImplementedError(type(value).__name__)
