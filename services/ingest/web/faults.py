"""What is wrong with a document, in the API's words: a code, a sentence, the member at fault."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from shared.web import problems
from shared.web.problems import Problem

_FIELD_LENGTH_MAX = 64

Body = TypeVar("Body", bound=msgspec.Struct)

canonical = msgspec.json.Encoder().encode
"""A decoded body as bytes that do not depend on blanks, on the order of members or on escapes."""


def decode(
    decoder: msgspec.json.Decoder[Body], raw: bytes, *, has_raw: bool = False
) -> Body | Problem:
    """The body, or what is wrong with the first thing that is wrong. `has_raw`: parts of it stay as
    they were written, and their escapes too."""
    try:
        body = decoder.decode(raw)
    except msgspec.ValidationError as error:
        return of_validation(error)
    except (ValueError, RecursionError):
        return of_syntax(raw)
    # A member dropped takes the quotes of its name along, and only an escaped quote makes quotes.
    escaped_count = 0 if has_raw else raw.count(b"\\u0022")
    if raw.count(b'"') + escaped_count == canonical(body).count(b'"'):
        return body
    return of_repeated_field(raw) or body


_JSON_WORDS = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
    "datetime": "a time",
    "null": "null",
}
_TIME = "Expected an RFC 3339 time with its offset, such as 2030-01-31T09:00:00Z."

# What msgspec says, without the place. Values are never quoted from it, only types and bounds.
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_NAMED = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_TYPE = re.compile(r"Expected `(\w+)`, got `(\w+)`")
_BOUND = re.compile(r"Expected `(?:int|float)` ([<>]=) (\d+)")
_LENGTH = re.compile(r"Expected `(str|array)` of length ([<>]=) (\d+)")
_BOUND_WORDS = {"<=": "at most", ">=": "at least"}


def of_validation(error: msgspec.ValidationError) -> Problem:
    """A document of the wrong shape."""
    said = str(error)
    if named := _NAMED.fullmatch(said):
        return _of_name(named[1], named[2])
    place = _PLACE.search(said)
    field = place[1][:_FIELD_LENGTH_MAX] or None if place else None
    said = said[: place.start()] if place else said
    if found := _TYPE.fullmatch(said):
        expected, got = (_JSON_WORDS.get(word, word) for word in found.groups())
        return problems.of(422, "wrong_type", f"Expected {expected}, found {got}.", field)
    if found := _BOUND.fullmatch(said):
        detail = f"Expected {_BOUND_WORDS[found[1]]} {found[2]}."
        return problems.of(422, "out_of_range", detail, field)
    if found := _LENGTH.fullmatch(said):
        unit = "characters" if found[1] == "str" else "elements"
        detail = f"Expected {_BOUND_WORDS[found[2]]} {found[3]} {unit}."
        return problems.of(422, "wrong_length", detail, field)
    if said.endswith("out of range"):
        return problems.of(422, "out_of_range", "The number is out of range.", field)
    if "datetime" in said:
        return problems.of(422, "invalid_time", _TIME, field)
    if said.startswith("Invalid enum value"):
        detail = "The word is not one of those allowed here; see /openapi.json."
        return problems.of(422, "invalid_choice", detail, field)
    return problems.of(422, "invalid_value", "The value is not valid.", field)


def _of_name(kind: str, name: str) -> Problem:
    if kind == "missing required":
        return problems.of(422, "missing_field", "This field is required.", name)
    return problems.of(422, "unknown_field", "There is no such field.", name[:_FIELD_LENGTH_MAX])


def of_syntax(raw: bytes) -> Problem:
    """A document that is not JSON, or JSON that no text can hold."""
    try:
        document = _load(raw)
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        place = _surrogate_in(document, "")
        detail = "A string holds half of a surrogate pair, which is no character."
        return problems.of(422, "lone_surrogate", detail, place)
    except RecursionError:
        return _too_deep()
    except ValueError:
        pass
    return problems.of(400, "malformed_json", "The body is not well-formed JSON.")


def _too_deep() -> Problem:
    return problems.of(400, "too_deep", "The JSON is nested too deeply.")


def _surrogate_in(node: object, place: str) -> str | None:
    """Where in the document the first string stands that UTF-8 cannot hold."""
    if isinstance(node, str):
        return place or None if any("\ud800" <= char <= "\udfff" for char in node) else None
    children: list[tuple[str, object]] = []
    if isinstance(node, dict):
        children = [(f"{place}.{key}" if place else key, value) for key, value in node.items()]
    elif isinstance(node, list):
        children = [(f"{place}[{index}]", value) for index, value in enumerate(node)]
    for where, child in children:
        if found := _surrogate_in(child, where):
            return found
    return None


def of_repeated_field(raw: bytes) -> Problem | None:
    """A document that is an object and names a member of it twice; what its members hold is not
    looked at."""
    try:
        names: list[str] = _load(raw, _names)
    except RecursionError:
        return _too_deep()
    twice = [name for name, count in Counter(names).items() if count > 1]
    if not twice:
        return None
    name = twice[0][:_FIELD_LENGTH_MAX]
    return problems.of(400, "repeated_field", "The field is given twice.", name)


def _names(pairs: list[tuple[str, object]]) -> list[str]:
    return [name for name, _ in pairs]


def _load(raw: bytes, of_pairs: Callable[[list[tuple[str, object]]], object] = dict) -> Any:
    """The document; numbers stay strings, for Python refuses to read those of thousands of
    digits."""
    return json.loads(raw, object_pairs_hook=of_pairs, parse_int=str, parse_float=str)
