"""Texts with placeholders."""

from __future__ import annotations

import pytest

from shared.carriers import templates

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
