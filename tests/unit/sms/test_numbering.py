"""Numbering plans joined into one expression: judged by the library, pattern for pattern."""

from __future__ import annotations

import random
from collections.abc import Iterator

import phonenumbers
import pytest

from shared.sms import numbering

SEED = 1996
DIGITS = "0123456789"


def national(number: phonenumbers.PhoneNumber) -> tuple[str, str]:
    return str(number.country_code), phonenumbers.national_significant_number(number)


def examples() -> Iterator[tuple[str, str]]:
    """(country code, national number) of every type in every region, and above the countries."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in phonenumbers.PhoneNumberType.values():
            if number := phonenumbers.example_number_for_type(region, kind):
                yield national(number)
    for country_code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        if number := phonenumbers.example_number_for_non_geo_entity(country_code):
            yield national(number)


def altered(digits: str, rng: random.Random) -> Iterator[str]:
    """The same number, with another digit, with another end, and longer or shorter by one."""
    place = rng.randrange(len(digits))
    yield digits
    yield digits[:place] + rng.choice(DIGITS) + digits[place + 1 :]
    yield digits[:place] + "".join(rng.choices(DIGITS, k=len(digits) - place))
    yield digits + rng.choice(DIGITS)
    yield digits[:-1]


def verdict_of_library(country_code: str, digits: str) -> tuple[str, int] | None:
    value = int(digits)
    zero_count = len(digits) - len(str(value))
    number = phonenumbers.PhoneNumber(
        country_code=int(country_code),
        national_number=value,
        italian_leading_zero=zero_count > 0,
        number_of_leading_zeros=zero_count,
    )
    country = phonenumbers.region_code_for_number(number)
    kind = phonenumbers.number_type(number)
    if country is None or kind == phonenumbers.PhoneNumberType.UNKNOWN:
        return None
    return country, kind


def test_verdict_is_the_librarys_in_every_region_and_of_every_type() -> None:
    rng = random.Random(SEED)
    verdicts = set()
    for country_code, example in examples():
        for digits in filter(None, altered(example, rng)):
            expected = verdict_of_library(country_code, digits)
            assert numbering.find(country_code, digits) == expected, (country_code, digits)
            verdicts.add(expected)
    kinds = {verdict[1] for verdict in verdicts if verdict is not None}
    assert kinds == set(phonenumbers.PhoneNumberType.values()) - {
        phonenumbers.PhoneNumberType.UNKNOWN
    }
    assert len(verdicts) > 900


@pytest.mark.parametrize("country_code", sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
def test_verdict_is_the_librarys_of_any_digits(country_code: int) -> None:
    rng = random.Random(SEED + country_code)
    for length in range(1, 15):
        digits = "".join(rng.choices(DIGITS, k=length))
        expected = verdict_of_library(str(country_code), digits)
        assert numbering.find(str(country_code), digits) == expected, digits
