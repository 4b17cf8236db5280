"""Typed settings from environment variables, all faults reported at once.

A class of settings derives from `Variables`; each field is the variable SLUICE_<FIELD>, and says in
`Annotated[..., Meta(...)]` what it means, its range, its unit and an example. `docs/settings.md`,
`--help` and the sentences about faults are made from that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from shared.runtime import variables


class SettingsError(Exception):
    """What is missing or wrong in the environment, one sentence a line; the text names variables,
    never their values."""


class Variables(msgspec.Struct, frozen=True, kw_only=True):
    """What all classes of settings derive from."""


DatabaseUrl = Annotated[
    str,
    Meta(
        description="Where PostgreSQL is, and as whom to come.",
        pattern="^postgres(ql)?://",
        examples=["postgresql://sluice:password@127.0.0.1:5432/sluice"],
    ),
]
AmqpUrl = Annotated[
    str,
    Meta(
        description="Where RabbitMQ is, and as whom to come.",
        pattern="^amqps?://",
        examples=["amqp://sluice:password@127.0.0.1:5672/"],
    ),
]
RedisUrl = Annotated[
    str,
    Meta(
        description="Where Redis is.",
        pattern="^(rediss?|unix)://",
        examples=["redis://:password@127.0.0.1:6379/0"],
    ),
]
SecretKey = Annotated[
    str,
    Meta(
        description="What tokens and the fingerprints of requests are hashed with, and webhooks'"
        " secrets, carriers' credentials and texts that are not to be kept encrypted: a key of 32"
        " characters or more, or several with commas between. The first signs, all are believed.",
        min_length=1,
        examples=["put-64-random-hexadecimal-digits-here"],
    ),
]
PasswordMemory = Annotated[
    int,
    Meta(
        description="Memory that hashing a password takes (argon2id). A user's hash goes over to"
        " what is set at the next sign-in.",
        ge=8,
        le=1_048_576,
        extra={"unit": "KiB"},
    ),
]
PasswordPasses = Annotated[
    int,
    Meta(
        description="How often hashing a password goes through that memory.",
        ge=1,
        le=100,
        extra={"unit": "passes"},
    ),
]
PASSWORD_MEMORY_KIB = 19_456
PASSWORD_PASSES = 2
"""By OWASP's list of 2023: 19 MiB, two passes, one lane."""
Host = Annotated[str, Meta(description="The address to listen on.")]
Connections = Annotated[
    int,
    Meta(
        description="Connections to PostgreSQL that a process may hold.",
        ge=2,
        le=200,
        extra={"unit": "connections"},
    ),
]


class ServiceVariables(Variables, frozen=True, kw_only=True):
    """What every service reads."""

    database_url: DatabaseUrl
    metrics_port: Annotated[
        int,
        Meta(
            description="Where a process tells its health and its counts, to operators alone; 0:"
            " nowhere.",
            ge=0,
            le=65_535,
        ),
    ] = 0
    metrics_host: Annotated[str, Meta(description="The address of that port.")] = "127.0.0.1"


class Servers(ServiceVariables, frozen=True, kw_only=True):
    """What every service reads that works for the queues."""

    amqp_url: AmqpUrl


SettingsT = TypeVar("SettingsT", bound=Variables)


def load(kind: type[SettingsT], environment: Mapping[str, str] | None = None) -> SettingsT:
    """Read `kind` from SLUICE_<FIELD>, or from the file that SLUICE_<FIELD>_FILE names. An empty
    variable counts as not set; a tuple's values have commas between.

    Raises SettingsError with a sentence for every variable that is missing or out of its range; and
    with the text of a ValueError from the class's `__post_init__`, which judges fields together.
    """
    source = os.environ if environment is None else environment
    values: dict[str, object] = {}
    faults: list[str] = []
    for field, variable in zip(msgspec.structs.fields(kind), variables.of(kind), strict=True):
        try:
            text = _text_of(source, variable.name)
            if text:
                values[field.name] = _value_of(text, field.type)
            elif field.required:
                faults.append(f"{variable.name} is not set")
        except msgspec.ValidationError:
            faults.append(f"{variable.name}: expected {variable.takes}")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{variable.name}_FILE: cannot be read ({type(error).__name__})")
    if faults:
        raise SettingsError("\n".join(faults))
    try:
        return kind(**values)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def named(variable: str) -> str:
    """What an operator has put into a variable of this name, which no class knows; "" if it is not
    set."""
    return os.environ.get(variable, "")


def _text_of(source: Mapping[str, str], name: str) -> str:
    if file := source.get(name + "_FILE"):
        return Path(file).read_text("utf-8").strip()
    return source.get(name, "")


def _value_of(text: str, kind: object) -> object:
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    given: object = text
    if get_origin(plain) is tuple:
        given = [part.strip() for part in text.split(",") if part.strip()]
    return msgspec.convert(given, kind, strict=False)


@contextmanager
def completed_from(path: Path) -> Iterator[None]:
    """Let what the environment does not set come from a `.run/env` file, while this lasts."""
    added = {name: text for name, text in read_file(path).items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def read_file(path: Path) -> dict[str, str]:
    """The variables of a `.run/env` file: lines of `export NAME='value'`; {} if there is none."""
    if not path.is_file():
        return {}
    pairs: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        name, equals, value = line.removeprefix("export ").partition("=")
        if equals and name.startswith(variables.PREFIX):
            pairs[name.strip()] = value.strip().strip("'\"")
    return pairs
