"""Texts with placeholders, by which settings say how a request to a carrier looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from shared.carriers import contract

_PLACEHOLDER = re.compile(r"\{((?:secret\.)?[a-z][a-z0-9_]*)\}")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTITIES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "'": "&apos;",
        # An attribute's line breaks would be read as spaces.
        "\t": "&#9;",
        "\n": "&#10;",
        "\r": "&#13;",
    }
)

SEGMENT_WORDS = frozenset(
    {
        "recipient",
        "recipient_digits",
        "source",
        "text",
        "reference",
        "encoding",
        "payload_hex",
        "udh_hex",
        "part",
        "part_count",
        "valid_seconds",
    }
)
"""What may be said about a segment; `recipient_digits` is without plus, `text` the part's own."""


def segment_words(segment: contract.Segment) -> dict[str, str | int]:
    """The value of each of SEGMENT_WORDS."""
    return {
        "recipient": segment.recipient,
        "recipient_digits": segment.recipient.lstrip("+"),
        "source": segment.source,
        "text": segment.text,
        "reference": segment.reference,
        "encoding": segment.encoding.value,
        "payload_hex": segment.payload.hex(),
        "udh_hex": segment.udh.hex(),
        "part": segment.part,
        "part_count": segment.part_count,
        "valid_seconds": segment.valid_seconds,
    }


def check(name: str, template: object, allowed: AbstractSet[str]) -> None:
    """Raise ValueError, naming the field, for a placeholder that is not allowed there."""
    if isinstance(template, dict):
        for key, value in template.items():
            check(f"{name}.{key}", value, allowed)
    elif isinstance(template, list):
        for value in template:
            check(name, value, allowed)
    elif isinstance(template, str):
        for word in _PLACEHOLDER.findall(template):
            if word not in allowed:
                raise ValueError(f"{name}: unknown placeholder {{{word}}}")


def fill(template: object, words: Mapping[str, str | int]) -> object:
    """The template, filled in however deep; what is filled in is not read for placeholders again.
    A value that is nothing but the placeholder of a number becomes that number."""
    if isinstance(template, dict):
        return {name: fill(value, words) for name, value in template.items()}
    if isinstance(template, list):
        return [fill(value, words) for value in template]
    if not isinstance(template, str):
        return template
    if _PLACEHOLDER.fullmatch(template):
        return words[template[1:-1]]
    return _PLACEHOLDER.sub(lambda found: str(words[found[1]]), template)


def fill_xml(template: str, words: Mapping[str, str | int]) -> str:
    """The XML template, filled in with text that stays text, in elements and in attributes. What
    XML 1.0 cannot say (section 2.2: most control characters) becomes a question mark."""
    return _PLACEHOLDER.sub(lambda found: _escaped(str(words[found[1]])), template)


def _escaped(value: str) -> str:
    return _NOT_XML.sub("?", value).translate(_ENTITIES)
