"""Texts with placeholders."""

from __future__ import annotations

import pytest

from shared.carriers import answers, templates

WORDS: dict[str, str | int] = {"text": "{part} of {secret.key}", "part": 2, "secret.key": "k"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("plain", "plain"),
        ("{part}", 2),
        ("no. {part}", "no. 2"),
        ("{text}", "{part} of {secret.key}"),
        ("<{text}>", "<{part} of {secret.key}>"),
        ("Bearer {secret.key}", "Bearer k"),
        ({"a": [{"b": "{part}"}, 7, None, True]}, {"a": [{"b": 2}, 7, None, True]}),
        ("{}", "{}"),
    ],
)
def test_placeholders_are_filled_once_however_deep(template: object, filled: object) -> None:
    assert templates.fill(template, WORDS) == filled


def test_what_is_filled_into_xml_stays_text() -> None:
    said = 'Ben & Jerry\'s <b>"2"</b> ]]> {part}\n\t\r\x00\x0c\ud800\ufffe\u20ac'
    filled = templates.fill_xml("<a b='{text}'>{text}</a>", {"text": said})
    parsed = answers.decode(filled.encode(), "xml")
    kept = 'Ben & Jerry\'s <b>"2"</b> ]]> {part}\n\t\r????\u20ac'
    assert answers.dig(parsed, "@b") == kept
    assert answers.dig(parsed, ".") == kept
