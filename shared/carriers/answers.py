"""Reading what a web carrier said, without believing its shape: total, bounded, printable."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml import DefusedXmlException, ElementTree

Kind = Literal["json", "xml", "form", "text"]
"""How an answer is written."""

ID_CHARS_MAX = 128
CODE_CHARS_MAX = 64
_DAY_SECONDS = 86_400.0
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def decode(content: bytes, kind: Kind = "json", shapes: Sequence[str] = ()) -> object:
    """What `dig` can look into, or None for anything that is not of this kind: a JSON value, an
    XML element without a document type, a form's fields, or the words of a text (see `shaped`)."""
    try:
        if kind == "xml":
            return _xml(content)
        if kind == "form":
            return form(content)
        if kind == "text":
            return shaped(content.decode(), shapes)
        decoded: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decoded


def _xml(content: bytes) -> Element | None:
    try:
        root: Element = ElementTree.fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return root


def form(content: bytes) -> dict[str, str]:
    """The fields of a form, those without a value too; nothing for what is none."""
    try:
        return dict(parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        return {}


def shaped(text: str, shapes: Sequence[str]) -> dict[str, str] | None:
    """The words of a text by the first shape it has: a shape such as `ERR {code}, {}` is literal
    but for its names, each of which is as little as may be; `{}` is anything, and forgotten. One
    look at the text a shape, whatever stands in it."""
    stripped = text.strip()
    return next((w for s in shapes if (w := _words(stripped, s)) is not None), None)


_NAME = re.compile(r"\{([a-z_]*)\}")


def check_shape(name: str, shape: str) -> None:
    """Raise ValueError, naming the field, where it cannot be said what a shape's words are."""
    literals = _NAME.split(shape)[::2]
    if "" in literals[1:-1] or any("{" in each or "}" in each for each in literals):
        raise ValueError(f"{name}: expected text with {{names}} in it that do not touch")


def _words(text: str, shape: str) -> dict[str, str] | None:
    first, *rest = _NAME.split(shape)
    if not text.startswith(first) or (not rest and text != first):
        return None
    words: dict[str, str] = {}
    at = len(first)
    for place in range(0, len(rest), 2):
        name, literal = rest[place : place + 2]
        if place + 2 < len(rest):
            end = text.find(literal, at)
        else:
            end = len(text) - len(literal) if text.endswith(literal) else -1
        if end < at:
            return None
        if name:
            words[name] = text[at:end].strip()
        at = end + len(literal)
    return words


def dig(value: object, path: str) -> object:
    """What stands at a dotted path such as `messages.0.id`, of an XML element at one such as
    `message/@id`. None where it leads nowhere."""
    if isinstance(value, Element):
        return _text(value, path)
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and len(step) < 6:
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


def items(value: object, list_path: str) -> list[object]:
    """What there is of a kind: the list at a path, all elements of XML there, or the value itself
    where no path is set."""
    if not list_path:
        return [value]
    if isinstance(value, Element):
        return list(_elements(value, list_path.split("/")))
    found = dig(value, list_path)
    return found if isinstance(found, list) else []


def _text(element: Element, path: str) -> str | None:
    """The text of the first element at a path of names, without blanks around it, or an
    attribute's where the path ends with `@name`; `.` is the element itself."""
    *steps, last = path.split("/")
    if not last.startswith("@"):
        steps.append(last)
    found = next(iter(_elements(element, [step for step in steps if step != "."])), None)
    if found is None:
        return None
    if last.startswith("@"):
        return found.get(last[1:])
    return (found.text or "").strip()


def _elements(root: Element, steps: Sequence[str]) -> list[Element]:
    """Those at a path of names below the root, whatever their namespaces."""
    found = [root]
    for step in steps:
        found = [child for each in found for child in each if _local(child.tag) == step]
    return found


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def word(value: object, max_chars: int) -> str:
    """A carrier's id or code as printable ASCII; empty when it is none, and when it is too long."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    try:
        said = str(value)
    except ValueError:  # An integer of more digits than Python is willing to write.
        return ""
    return "" if len(said) > max_chars else _UNPRINTABLE.sub("?", said)


def word_at(value: object, path: str, max_chars: int) -> str:
    """The word at a dotted path; empty where no path is set."""
    return word(dig(value, path), max_chars) if path else ""


def count_at(value: object, path: str, most: int) -> int:
    """The whole number at a path, from 1 to the most that is believed; 0 where there is none."""
    said = word_at(value, path, len(str(most)))
    count = int(said) if said.isascii() and said.isdigit() else 0
    return count if count <= most else 0


def wait_ms(retry_after: str) -> int:
    """A Retry-After header's seconds or date as a wait of at most a day; 0 when it says nothing."""
    try:
        if retry_after.isdigit():
            seconds = float(retry_after)
        else:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0
    return round(min(max(seconds, 0.0), _DAY_SECONDS) * 1000)
