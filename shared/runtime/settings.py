"""Typed settings from environment variables, all faults reported at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

_PREFIX = "SLUICE_"

T = TypeVar("T", bound=msgspec.Struct)


class SettingsError(Exception):
    """What is missing or wrong in the environment; the text names variables, never their values."""


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """Where the three servers are, and the key that tokens and fingerprints are hashed with."""

    database_url: str
    amqp_url: str = ""
    redis_url: str = ""
    secret_key: str = ""
    metrics_port: int = 0


def load(kind: type[T], environment: Mapping[str, str] | None = None) -> T:
    """Read `kind` from SLUICE_<FIELD>, or from the file that SLUICE_<FIELD>_FILE names.

    Raises SettingsError naming every variable that is missing or malformed.
    """
    source = os.environ if environment is None else environment
    values: dict[str, object] = {}
    faults: list[str] = []
    for field in msgspec.structs.fields(kind):
        variable = _PREFIX + field.name.upper()
        text = _text_of(source, variable)
        if text is None:
            if field.required:
                faults.append(f"{variable} is not set")
            continue
        try:
            values[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            faults.append(f"{variable}: {error}")
    if faults:
        raise SettingsError("; ".join(faults))
    return kind(**values)


def _text_of(source: Mapping[str, str], variable: str) -> str | None:
    if variable + "_FILE" in source:
        return Path(source[variable + "_FILE"]).read_text("utf-8").strip()
    return source.get(variable)


def read_file(path: Path) -> dict[str, str]:
    """The variables of a `.run/env` file: lines of `export NAME='value'`; {} if there is none."""
    if not path.is_file():
        return {}
    pairs: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        name, equals, value = line.removeprefix("export ").partition("=")
        if equals and name.startswith(_PREFIX):
            pairs[name.strip()] = value.strip().strip("'\"")
    return pairs
