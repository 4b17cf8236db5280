"""Which of a carrier's settings are credentials, where they may come from, and how they are stored:
sealed under the platform's keys (`shared/access/vault.py`), each in its place.

A credential is what the adapter's `Settings` declare as a `Secret`, wherever that stands; and what
an operator writes in clear where it is free to write anything: a header or a member of a body whose
name says so, and the user or the query of a URL. All of it walks the settings beside their types
and touches nothing else, so that settings which do not fit their adapter come out as they were.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import inspect

from shared.access.vault import NotReadable, Vault
from shared.carriers import secret

HIDDEN: Final = "***"
FILE: Final = "file"
VARIABLE: Final = "env"
"""Of the table that stands in a credential's place and says where it is kept; a setting NAME may
say it in one line as well, as NAME_file or NAME_env."""

_PLACES: Final = (FILE, VARIABLE)
_SEALED: Final = re.compile(r"sealed:(gAAAA[A-Za-z0-9_-]+=*)")
_TELLING: Final = re.compile(
    r"authori[sz]ation|passw|passphrase|pwd|secret|token|api[-_]?key|cookie|credential"
    r"|^(key|auth|pass|sig|signature|hmac)$",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = re.compile(r"\{[a-z_.A-Z0-9-]+\}")


class Credential(NamedTuple):
    """What may not be shown of settings as it is; `masked` may. `is_certain`: it is a credential,
    and so a string; else it could be one, in a URL or in a setting that no adapter knows."""

    where: str
    value: object
    masked: str
    is_certain: bool


Change = Callable[[Credential], object]
"""What is to stand in a credential's place."""


def mapped(kind: type[msgspec.Struct], values: Mapping[str, object], change: Change) -> object:
    """The settings of an adapter, as they are written or stored, with each credential changed."""
    return _walk(_type_of(kind), values, "", change)


def masked(kind: type[msgspec.Struct], values: Mapping[str, object]) -> dict[str, object]:
    """The settings as anybody may read them."""
    return _settings(mapped(kind, values, lambda found: found.masked))


def literals(kind: type[msgspec.Struct], values: Mapping[str, object]) -> list[str]:
    """Where credentials stand in clear."""
    places: list[str] = []

    def note(found: Credential) -> object:
        if found.is_certain and not is_sealed(found.value):
            places.append(found.where)
        return found.value

    mapped(kind, values, note)
    return places


def is_sealed(value: object) -> bool:
    """Whether this is what `sealed` makes of a credential."""
    return isinstance(value, str) and _SEALED.fullmatch(value) is not None


def sealed(
    kind: type[msgspec.Struct], values: Mapping[str, object], vault: Vault
) -> dict[str, object]:
    """The settings as they may be stored: what stands in clear is sealed, and what an older key has
    sealed is sealed again. Raises vault.NotReadable."""

    def seal(found: Credential) -> object:
        text = found.value
        if not (found.is_certain and isinstance(text, str) and text):
            return text
        if (stored := _SEALED.fullmatch(text)) is None:
            return f"sealed:{vault.seal(text).decode()}"
        renewed = vault.renewed(stored[1].encode())
        return text if renewed is None else f"sealed:{renewed.decode()}"

    return _settings(mapped(kind, values, seal))


def opened(values: Mapping[str, object], vault: Vault | None) -> dict[str, object]:
    """The settings with all that is sealed opened. Raises NotReadable, also without a vault."""
    return _settings(_opened(values, vault))


def has_sealed(values: object) -> bool:
    """Whether anything in it is sealed."""
    if isinstance(values, Mapping):
        return any(has_sealed(value) for value in values.values())
    if isinstance(values, list | tuple):
        return any(has_sealed(value) for value in values)
    return is_sealed(values)


def placed(kind: type[msgspec.Struct], values: Mapping[str, object]) -> dict[str, object]:
    """The settings with NAME_file and NAME_env of credentials written out as their table. Raises
    ValueError when a credential is in several places, or in none that could be."""
    return _settings(_placed(_type_of(kind), values, ""))


def filled(kind: type[msgspec.Struct], values: Mapping[str, object]) -> dict[str, object]:
    """The settings with each credential that is kept elsewhere, and can be read here, in its place,
    so that it can be judged. Raises ValueError as `placed` does."""
    return _settings(_filled(_type_of(kind), placed(kind, values)))


def has_places(kind: type[msgspec.Struct], values: Mapping[str, object]) -> bool:
    """Whether any credential is kept in a file or a variable."""
    return _has_places(_type_of(kind), values)


def files(kind: type[msgspec.Struct], values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(setting, file) of each credential that a file holds."""
    yield from _files(_type_of(kind), placed(kind, values), "")


def read(value: object) -> secret.Secret:
    """What stands in a credential's place, once it is opened. Raises ValueError."""
    if isinstance(value, str) and value:
        return secret.Secret(value)
    if isinstance(value, Mapping) and len(value) == 1:
        ((place, name),) = value.items()
        if place in _PLACES and isinstance(name, str) and name:
            return secret.Secret("", **{"file" if place == FILE else "variable": name})
    raise ValueError('Expected a non-empty `str`, { file = "..." } or { env = "..." }')


def reveal_all(settings: object) -> None:
    """Read every credential of decoded settings from where it is kept. Raises secret.NotThere."""
    if isinstance(settings, secret.Secret):
        settings.reveal()
    elif isinstance(settings, msgspec.Struct):
        for name in settings.__struct_fields__:
            reveal_all(getattr(settings, name))
    elif isinstance(settings, Mapping):
        for held in settings.values():
            reveal_all(held)
    elif isinstance(settings, list | tuple):
        for held in settings:
            reveal_all(held)


def masked_url(url: str) -> tuple[str, bool]:
    """The URL without its user and what its query says, but for placeholders; and whether one of
    these is a credential, as its name says."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, False
    if not parts.scheme or not parts.netloc:
        return url, False
    user, at, host = parts.netloc.rpartition("@")
    pairs = [part.partition("=") for part in parts.query.split("&")]
    told = [
        (name, equals, HIDDEN if _is_literal(value) else value) for name, equals, value in pairs
    ]
    tells = any(
        _TELLING.search(name) for (name, _, value) in pairs if _is_literal(value)
    ) or _is_literal(user)
    netloc = f"{HIDDEN}@{host}" if at else host
    query = "&".join("".join(pair) for pair in told)
    return urlunsplit(parts._replace(netloc=netloc, query=query)), tells


def _is_literal(text: str) -> bool:
    """Whether anything in it is said here, and not by placeholders."""
    return bool(_PLACEHOLDER.sub("", text).strip(": "))


@lru_cache(maxsize=64)
def _type_of(kind: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(kind)


def _settings(walked: object) -> dict[str, object]:
    if not isinstance(walked, dict):
        raise TypeError("settings are a table")
    return walked


def _is_secret(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.CustomType) and kind.cls is secret.Secret


def _is_place(kind: inspect.Type, value: object) -> bool:
    """Whether it says where a credential is kept."""
    return isinstance(value, Mapping) and any(map(_is_secret, _members(kind)))


def _members(kind: inspect.Type) -> Sequence[inspect.Type]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _fitting(kind: inspect.Type, value: object) -> inspect.Type:
    """Of a union, the member that such a value is of."""
    members = _members(kind)
    for each in members:
        if isinstance(value, str) and _is_secret(each):
            return each
        if isinstance(value, Mapping) and isinstance(each, inspect.StructType):
            if each.tag_field is None or value.get(each.tag_field) == each.tag:
                return each
            continue
        wanted = inspect.DictType if isinstance(value, Mapping) else inspect.CollectionType
        if isinstance(value, Mapping | list | tuple) and isinstance(each, wanted):
            return each
    return members[0]


def _item_type(kind: inspect.Type) -> inspect.Type | None:
    return kind.item_type if isinstance(kind, inspect.CollectionType) else None


def _member_type(kind: inspect.Type, key: str) -> inspect.Type | None:
    """Of what a table holds under this key; None where its type knows no such key."""
    if isinstance(kind, inspect.StructType):
        return next((field.type for field in kind.fields if field.encode_name == key), None)
    return kind.value_type if isinstance(kind, inspect.DictType) else kind


def _below(kind: inspect.Type, value: Mapping[str, object]) -> Iterator[tuple[str, inspect.Type]]:
    """(key, type) of what a table holds, as far as the type says."""
    for key in value:
        if (below := _member_type(kind, key)) is not None:
            yield key, below


def _place_names(kind: inspect.Type) -> dict[str, str]:
    """NAME_file and NAME_env → NAME of each credential NAME of a table."""
    if not isinstance(kind, inspect.StructType):
        return {}
    return {
        f"{field.encode_name}_{place}": field.encode_name
        for field in kind.fields
        if any(map(_is_secret, _members(field.type)))
        for place in _PLACES
    }


def _walk(kind: inspect.Type, value: object, where: str, change: Change) -> object:
    if _is_place(kind, value):
        return value
    kind = _fitting(kind, value)
    if isinstance(value, str):
        if _is_secret(kind) or is_sealed(value):
            return change(Credential(where, value, HIDDEN, is_certain=True))
        shown, tells = masked_url(value)
        return value if shown == value else change(Credential(where, value, shown, tells))
    if isinstance(value, Mapping):
        return {
            key: _walk_member(kind, key, held, f"{where}.{key}" if where else key, change)
            for key, held in value.items()
        }
    if isinstance(value, list | tuple):
        below = _item_type(kind) or kind
        return [_walk(below, held, f"{where}[{at}]", change) for at, held in enumerate(value)]
    return value


def _walk_member(kind: inspect.Type, key: str, held: object, where: str, change: Change) -> object:
    below = _member_type(kind, key)
    if below is None:
        if key in _place_names(kind):
            return held
        return change(Credential(where, held, HIDDEN, is_certain=False))
    is_named_freely = not isinstance(kind, inspect.StructType) and _is_free(below)
    if is_named_freely and isinstance(held, str) and _tells(key, held):
        return change(Credential(where, held, HIDDEN, is_certain=True))
    return _walk(below, held, where, change)


def _is_free(kind: inspect.Type) -> bool:
    """Whether strings of this type may say anything."""
    return isinstance(kind, inspect.StrType) or (
        isinstance(kind, inspect.CustomType) and kind.cls is object
    )


def _tells(name: str, value: str) -> bool:
    """Whether something of this name and value is a credential, in a table of an operator's own."""
    return bool(_TELLING.search(name)) and bool(value) and not _PLACEHOLDER.search(value)


def _opened(value: object, vault: Vault | None) -> object:
    if isinstance(value, str) and (stored := _SEALED.fullmatch(value)) is not None:
        if vault is None:
            raise NotReadable
        return vault.open(stored[1].encode())
    if isinstance(value, Mapping):
        return {key: _opened(held, vault) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_opened(held, vault) for held in value]
    return value


def _placed(kind: inspect.Type, value: object, where: str) -> object:
    if _is_place(kind, value):
        return value
    kind = _fitting(kind, value)
    if isinstance(value, list | tuple) and (below := _item_type(kind)) is not None:
        return [_placed(below, held, f"{where}[{at}]") for at, held in enumerate(value)]
    if not isinstance(value, Mapping) or isinstance(kind, inspect.CustomType | inspect.AnyType):
        return value
    written = dict(value)
    for key, below in _below(kind, value):
        written[key] = _placed(below, value[key], f"{where}{key}.")
    _gather(kind, written, where)
    return written


def _gather(kind: inspect.Type, written: dict[str, object], where: str) -> None:
    """NAME_file and NAME_env as NAME."""
    names = _place_names(kind)
    for key, name in names.items():
        place = written.pop(key, None)
        if place is None:
            continue
        if written.get(name) is not None:
            every = [name, *(each for each, of in names.items() if of == name)]
            raise ValueError(f"{where}{name}: expected one of {', '.join(every)}")
        if not isinstance(place, str) or not place:
            raise ValueError(f"{where}{key}: expected a name")
        written[name] = {key.removeprefix(f"{name}_"): place}


def _filled(kind: inspect.Type, value: object) -> object:
    if _is_place(kind, value):
        try:
            return read(value).reveal()
        except ValueError:
            return value
    kind = _fitting(kind, value)
    if isinstance(value, Mapping):
        return dict(value) | {key: _filled(below, value[key]) for key, below in _below(kind, value)}
    if isinstance(value, list | tuple):
        return [_filled(_item_type(kind) or kind, held) for held in value]
    return value


def _has_places(kind: inspect.Type, value: object) -> bool:
    if _is_place(kind, value):
        return True
    kind = _fitting(kind, value)
    if isinstance(value, Mapping):
        return any(key in _place_names(kind) for key in value) or any(
            _has_places(below, value[key]) for key, below in _below(kind, value)
        )
    below = _item_type(kind) or kind
    return isinstance(value, list | tuple) and any(_has_places(below, held) for held in value)


def _files(kind: inspect.Type, value: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if _is_place(kind, value):
            if isinstance(name := value.get(FILE), str):
                yield where, name
            return
        kind = _fitting(kind, value)
        for key, below in _below(kind, value):
            yield from _files(below, value[key], f"{where}.{key}" if where else key)
    elif isinstance(value, list | tuple):
        below = _item_type(_fitting(kind, value)) or kind
        for at, held in enumerate(value):
            yield from _files(below, held, f"{where}[{at}]")
