"""Passwords: what may be one, and what is stored of it."""

from __future__ import annotations

import pytest

from shared.access import passwords
from shared.access.passwords import Cost

CHEAP = Cost(memory_kib=8, passes=1)


def test_a_password_fits_its_hash_and_no_other_does() -> None:
    stored = passwords.make("correct horse battery", CHEAP)
    assert stored.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert "horse" not in stored
    assert passwords.fits("correct horse battery", stored, CHEAP)
    assert not passwords.fits("correct horse batterz", stored, CHEAP)
    assert stored != passwords.make("correct horse battery", CHEAP)


def test_a_hash_made_at_another_cost_still_fits_and_is_outdated() -> None:
    stored = passwords.make("correct horse battery", CHEAP)
    now = Cost(memory_kib=16, passes=2)
    assert passwords.fits("correct horse battery", stored, now)
    assert passwords.is_outdated(stored, now)
    assert not passwords.is_outdated(stored, CHEAP)


def test_the_same_characters_fit_however_a_keyboard_composes_them() -> None:
    stored = passwords.make("cr\u00e8me br\u00fbl\u00e9e", CHEAP)
    assert passwords.fits("cre\u0300me bru\u0302le\u0301e", stored, CHEAP)


def test_what_is_no_hash_fits_nothing() -> None:
    assert not passwords.fits("correct horse battery", "no hash", CHEAP)


@pytest.mark.parametrize(
    "password",
    [
        "x" * 11,
        "abcdef" * 22,
        "aaaaaaaaaaaaaaaa",
        "ann@shop.example",
        "my ann@shop.example",
        "line\nand another",
    ],
)
def test_some_passwords_are_none(password: str) -> None:
    assert passwords.fault(password, "Ann@Shop.example")


def test_long_and_plain_passwords_are_welcome() -> None:
    assert passwords.fault("correct horse battery staple", "ann@shop.example") is None
    assert passwords.fault("пароль из двенадцати", "ann@shop.example") is None
