"""Patterns of events: what they may be, and what they stand for."""

from __future__ import annotations

import pytest

from shared.rules import subscriptions


@pytest.mark.parametrize(
    "text", ["*", "message.*", "message.delivered", "inbound.*", "opt_out.created"]
)
def test_types_and_families_are_patterns(text: str) -> None:
    assert subscriptions.is_pattern(text)


@pytest.mark.parametrize(
    "text", ["", "message", "message.", "message.sent", "mess*", "**", "*.*", "Message.*"]
)
def test_other_words_are_none(text: str) -> None:
    assert not subscriptions.is_pattern(text)


def test_a_pattern_stands_for_its_types_alone() -> None:
    for pattern in ("*", "message.*", "message.delivered"):
        assert subscriptions.fits("message.delivered", ("inbound.*", pattern))
    assert not subscriptions.fits("message.delivered", ("message.submitted", "inbound.*"))
    assert not subscriptions.fits("message.delivered", ())
