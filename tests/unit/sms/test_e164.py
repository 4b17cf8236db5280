"""Numbers: judged by the whole library, whose shorter way we take."""

from __future__ import annotations

import random

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sms import e164

E164 = phonenumbers.PhoneNumberFormat.E164


@pytest.mark.parametrize(
    ("raw", "country", "kind"),
    [
        ("+33612345678", "FR", e164.NumberKind.MOBILE),
        ("+33142345678", "FR", e164.NumberKind.FIXED_LINE),
        ("+33800123456", "FR", e164.NumberKind.TOLL_FREE),
        ("+33912345678", "FR", e164.NumberKind.OTHER),
        ("+33899123456", "FR", e164.NumberKind.SPECIAL),
        ("+33806123456", "FR", e164.NumberKind.SPECIAL),
        ("+19002345678", "US", e164.NumberKind.SPECIAL),
        ("+449098765432", "GB", e164.NumberKind.SPECIAL),
        ("+447012345678", "GB", e164.NumberKind.SPECIAL),
        ("+447640123456", "GB", e164.NumberKind.SPECIAL),
        ("+39899123456", "IT", e164.NumberKind.SPECIAL),
        ("+390899123456", "IT", e164.NumberKind.FIXED_LINE),  # Salerno, 089
        ("+870301234567", "001", e164.NumberKind.SPECIAL),
        ("+881612345678", "001", e164.NumberKind.SPECIAL),
        ("+979123456789", "001", e164.NumberKind.SPECIAL),
        ("+14155552671", "US", e164.NumberKind.FIXED_LINE_OR_MOBILE),
        ("+14165550123", "CA", e164.NumberKind.FIXED_LINE_OR_MOBILE),
        ("+18005550199", "US", e164.NumberKind.TOLL_FREE),
        ("+447400123456", "GB", e164.NumberKind.MOBILE),
        ("+447700300123", "JE", e164.NumberKind.MOBILE),
        ("+262692123456", "RE", e164.NumberKind.MOBILE),
        ("+390612345678", "IT", e164.NumberKind.FIXED_LINE),  # the zero belongs to the number
        ("+80012345678", "001", e164.NumberKind.TOLL_FREE),
    ],
)
def test_number_has_its_country_and_kind(raw: str, country: str, kind: e164.NumberKind) -> None:
    number = e164.parse(raw)

    assert number == e164.PhoneNumber(raw, country, kind)
    assert raw not in repr(number)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "not_e164"),
        ("+", "not_e164"),
        ("33612345678", "not_e164"),
        ("0033612345678", "not_e164"),
        ("+33 612345678", "not_e164"),
        ("+33612345678\n", "not_e164"),
        ("+33612345678\x00", "not_e164"),
        ("+33612345678;ext=1", "not_e164"),
        ("++33612345678", "not_e164"),
        ("+33(0)612345678", "not_e164"),
        ("+0612345678", "not_e164"),
        ("+٣٣٦١٢٣٤٥٦٧٨", "not_e164"),
        ("+33612345678" + "0" * 5, "not_e164"),
        ("+210123456789", "unknown_country_code"),
        ("+99912345678", "unknown_country_code"),
        ("+33", "not_possible"),
        ("+336", "not_possible"),
        ("+336123456789012", "not_possible"),
        ("+33012345678", "not_valid"),
        ("+10005550006", "not_valid"),
        ("+19995550006", "not_valid"),
        ("+440000000000", "not_valid"),
        ("+4407400123456", "not_canonical"),
        ("+330612345678", "not_canonical"),
    ],
)
def test_number_is_refused_with_a_reason(raw: str, reason: str) -> None:
    with pytest.raises(e164.InvalidNumber) as refusal:
        e164.parse(raw)

    assert refusal.value.reason == reason
    assert len(raw) < 3 or raw not in str(refusal.value)
    assert refusal.value.__context__ is None


def example_numbers() -> list[str]:
    return [
        phonenumbers.format_number(number, E164)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in phonenumbers.PhoneNumberType.values()
        if (number := phonenumbers.example_number_for_type(region, kind))
    ]


def judged(raw: str) -> tuple[str, int] | None:
    """Country and kind from the library's parser, if it leaves the number as written."""
    try:
        number = phonenumbers.parse(raw)
    except phonenumbers.NumberParseException:
        return None
    country = phonenumbers.region_code_for_number(number)
    if (
        country is None
        or not phonenumbers.is_valid_number(number)
        or phonenumbers.format_number(number, E164) != raw
    ):
        return None
    return country, phonenumbers.number_type(number)


def test_verdict_is_the_librarys_when_examples_of_every_country_are_altered() -> None:
    seed = 164
    rng = random.Random(seed)
    valid_count = 0
    for example in example_numbers():
        cut = rng.randrange(4, len(example))
        altered = example[:cut] + "".join(rng.choices("0123456789", k=len(example) - cut))
        for raw in (example, altered, altered[:-1]):
            expected = judged(raw)
            try:
                number = e164.parse(raw)
            except e164.InvalidNumber:
                assert expected is None, (seed, raw)
                continue
            assert expected is not None, (seed, raw)
            assert (number.e164, number.country) == (raw, expected[0]), seed
            valid_count += 1
    assert valid_count > 1_000


@given(st.text(max_size=18) | st.from_regex(r"\+[0-9]{1,16}", fullmatch=True))
def test_any_text_is_a_number_as_written_or_refused(raw: str) -> None:
    try:
        number = e164.parse(raw)
    except e164.InvalidNumber:
        return
    assert number.e164 == raw
    assert phonenumbers.is_valid_number(phonenumbers.parse(raw))
