"""Habits of well-known carriers, so that an operator writes only what is the account's own.

A profile is a file of `habits/`: the settings that a carrier has published for everybody, and
where. It is what an operator would have written, so what was agreed for an account goes over it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import msgspec

_FOLDER: Final = resources.files(__package__) / "habits"


class UnknownProfile(LookupError):
    """No profile has this name, or it is of another adapter; the sentence names those there are."""


class CarrierProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one carrier has published. `needs` are settings that only the account knows."""

    adapter: str
    carrier: str
    sources: tuple[str, ...]
    needs: tuple[str, ...]
    settings: dict[str, object]


def names(adapter: str | None = None) -> tuple[str, ...]:
    """Those there are, of one adapter or of all."""
    return tuple(
        name for name, each in sorted(_all().items()) if adapter is None or each.adapter == adapter
    )


def profile(name: str) -> CarrierProfile:
    """The profile of this name. Raises UnknownProfile."""
    found = _all().get(name)
    if found is None:
        raise UnknownProfile(f"there is no profile {name[:40]!r}; there are {', '.join(names())}")
    return found


def settings(adapter: str, name: str | None, given: Mapping[str, object]) -> Mapping[str, object]:
    """What is given, over the profile's settings; of a table in both, each entry that is given.
    Raises UnknownProfile."""
    if name is None:
        return given
    found = profile(name)
    if found.adapter != adapter:
        raise UnknownProfile(
            f"profile {name!r} is of the adapter {found.adapter!r}, not of {adapter[:40]!r}"
        )
    return found.settings | {
        key: _over(found.settings.get(key), each) for key, each in given.items()
    }


def _over(usual: object, given: object) -> object:
    if isinstance(usual, dict) and isinstance(given, dict):
        return usual | given
    return given


@cache
def _all() -> Mapping[str, CarrierProfile]:
    return {
        each.name.removesuffix(".toml"): msgspec.convert(
            tomllib.loads(each.read_text("utf-8")), CarrierProfile
        )
        for each in _FOLDER.iterdir()
        if each.name.endswith(".toml")
    }
