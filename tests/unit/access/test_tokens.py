"""Tokens and the keys they are made with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.access import keys, tokens

OLD, NEW = "o" * keys.LENGTH_MIN, "n" * keys.LENGTH_MIN


def test_a_token_carries_its_key_s_check() -> None:
    token = tokens.make(keys.Keys.read(OLD))

    assert tokens.fits(token, keys.Keys.read(OLD))
    assert tokens.fits(token, keys.Keys.read(f"{NEW},{OLD}"))
    assert not tokens.fits(token, keys.Keys.read(NEW))


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[: tokens.SECRET_LENGTH],
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: "slu_" + "x" * (len(token) - 4),
        lambda token: token + "A",
        lambda token: "",
        lambda token: "é" * len(token),
    ],
    ids=["without check", "another check", "made up", "longer", "empty", "not ASCII"],
)
def test_a_token_does_not_fit_when_it_was_changed(change: Callable[[str], str]) -> None:
    signing = keys.Keys.read(OLD)
    assert not tokens.fits(change(tokens.make(signing)), signing)


def test_the_first_key_signs_and_all_are_believed() -> None:
    both = keys.Keys.read(f"{NEW},{OLD}")

    assert both.sign(b"d") == keys.Keys.read(NEW).sign(b"d")
    assert both.signatures(b"d") == (both.sign(b"d"), keys.Keys.read(OLD).sign(b"d"))


@pytest.mark.parametrize("text", ["", "short", f"{OLD},", f"{OLD},short", ",".join([OLD] * 9)])
def test_keys_are_refused_when_one_is_missing_or_short(text: str) -> None:
    with pytest.raises(keys.InvalidKeys):
        keys.Keys.read(text)


def test_keys_do_not_show_themselves() -> None:
    assert OLD not in repr(keys.Keys.read(OLD))
