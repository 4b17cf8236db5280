"""A carrier as an operator writes it: what is common to all, and what its adapter makes of the
rest."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import msgspec

from services.commands.configuration.faults import Faults
from shared.access.vault import NotReadable, Vault
from shared.carriers import credentials, profiles, registry
from shared.db import apply

_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_PACE: Final = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_COMMON: Final = frozenset({"name", "adapter", "profile", "segments_per_second"})
_OTHERS: Final = 0o077


def read(entry: Mapping[str, object], where: str, faults: Faults) -> apply.Carrier | None:
    """The carrier with the settings of its profile under those of the entry, or None after its
    faults were noted."""
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
    profile = faults.convert(entry.get("profile"), str | None, f"{where}.profile")
    settings: Mapping[str, object] = {
        key: value for key, value in entry.items() if key not in _COMMON
    }
    if "adapter" in entry and adapter is not None:
        try:
            settings = profiles.settings(adapter, profile, settings)
        except profiles.UnknownProfile as error:
            faults.add(f"{where}.profile", str(error))
        else:
            _check(adapter, settings, where, faults)
    if len(faults.sentences) > fault_count:
        return None
    return apply.Carrier(name, adapter, pace, settings)


def _check(adapter: str, settings: Mapping[str, object], where: str, faults: Faults) -> None:
    try:
        registry.reviewed(adapter, settings)
        registry.reviewed(adapter, credentials.filled(_kind(adapter), settings))
        # What TOML can say and the database's JSON cannot: dates.
        msgspec.convert(msgspec.json.decode(msgspec.json.encode(settings)), dict[str, object])
    except registry.UnknownAdapter as error:
        faults.add(f"{where}.adapter", str(error))
    except registry.InvalidSettings as error:
        faults.add(where, str(error))
    else:
        if credentials.has_sealed(settings):
            faults.add(
                where, "expected credentials themselves, not as the database has sealed them"
            )
        for setting, kept_in in credentials.files(_kind(adapter), settings):
            if is_open_to_others(Path(kept_in)):
                mended = (
                    "chmod 600, or 400, and the user that runs `sluice dispatcher` as its owner"
                )
                faults.add(f"{where}.{setting}", f"others may read {kept_in}: {mended}")


def _kind(adapter: str) -> type[msgspec.Struct]:
    return registry.adapter(adapter).settings_type


def is_open_to_others(path: Path) -> bool:
    """Whether it is a file here that its group or anybody may read, write or run."""
    try:
        mode = path.stat().st_mode
    except OSError:
        # It may be where the dispatcher runs, and not here.
        return False
    return stat.S_ISREG(mode) and bool(mode & _OTHERS)


def literals(carrier: apply.Carrier) -> list[str]:
    """The settings that hold a credential in clear."""
    return credentials.literals(_kind(carrier.adapter), carrier.settings)


def opened(carrier: apply.Carrier, vault: Vault) -> apply.Carrier:
    """The carrier with its credentials in clear; as it is if no key opens them."""
    try:
        return replace(carrier, settings=credentials.opened(carrier.settings, vault))
    except NotReadable:
        return carrier


def sealed(carrier: apply.Carrier, vault: Vault) -> apply.Carrier:
    """The carrier as it is to be stored."""
    kind = _kind(carrier.adapter)
    return replace(carrier, settings=credentials.sealed(kind, carrier.settings, vault))


def shown(carrier: apply.Carrier) -> dict[str, str]:
    """The settings as anybody may read them: credentials hidden, all of them if the adapter cannot
    say which they are."""
    try:
        values = credentials.masked(_kind(carrier.adapter), carrier.settings)
    except registry.UnknownAdapter:
        return dict.fromkeys(carrier.settings, credentials.HIDDEN)
    return {key: str(value) for key, value in values.items()}
