"""Phone numbers: E.164 in, country and kind of line out.

Source: ITU-T E.164 (a country code and a national number, 15 digits together at most); numbering
plans from `phonenumbers`. The library's forgiving parser is not asked first: it repairs a number by
dropping digits, and a text goes to the number as written or nowhere. What its plans say of the
digits as written is taken.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

from shared.sms import numbering

_DIGITS: Final = re.compile(r"\+[1-9][0-9]{1,14}")
_COUNTRY_CODES: Final = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


class NumberKind(StrEnum):
    """What the numbering plan says of a line. `special` costs whoever calls it more than a call,
    or is no phone: premium rate, shared cost, pager, satellite. `other` is VoIP."""

    MOBILE = "mobile"
    FIXED_LINE = "fixed_line"
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile"
    TOLL_FREE = "toll_free"
    SPECIAL = "special"
    OTHER = "other"


_KINDS: Final = {
    PhoneNumberType.MOBILE: NumberKind.MOBILE,
    PhoneNumberType.FIXED_LINE: NumberKind.FIXED_LINE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: NumberKind.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.TOLL_FREE: NumberKind.TOLL_FREE,
    PhoneNumberType.VOIP: NumberKind.OTHER,
}
_NO_COUNTRY: Final = "001"

_MESSAGES: Final = {
    "not_e164": "a number is '+', the country code and the national number: 15 digits at most, "
    "no blanks or signs",
    "unknown_country_code": "no country has this country code",
    "not_canonical": "the number has a digit that is only dialled within its country, such as a 0 "
    "after the country code; leave it out",
    "not_possible": "the number is too short or too long for its country",
    "not_valid": "the number is not in the numbering plan of its country",
}


class InvalidNumber(ValueError):
    """Not a number to send to or from; `reason` is a key of the closed list in `_MESSAGES`.

    Never carries the number.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(_MESSAGES[reason])
        self.reason = reason


class PhoneNumber(NamedTuple):
    """A valid number. `country` is ISO 3166 alpha-2, or "001" for a code that no country owns.

    Such codes are +800, +870, +881 and the like. `e164` is exactly what was written.
    """

    e164: str
    country: str
    kind: NumberKind

    def __repr__(self) -> str:
        return f"PhoneNumber(country={self.country}, kind={self.kind})"


def parse(raw: str) -> PhoneNumber:
    """The number as written: '+' and digits, nothing else. Raises InvalidNumber."""
    if not _DIGITS.fullmatch(raw):
        raise InvalidNumber("not_e164")
    end = _end_of_country_code(raw)
    found = numbering.find(raw[1:end], raw[end:])
    if found is None:
        raise InvalidNumber(_reason(raw, raw[1:end], raw[end:]))
    country, kind = found
    return PhoneNumber(raw, country, _kind_of(kind, country))


def international(number: str) -> str:
    """A number as people read it, such as "+1 415-555-0100"; as it is where no country is known to
    write it so."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    form = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return str(phonenumbers.format_number(parsed, form))


def _kind_of(kind: int, country: str) -> NumberKind:
    """Special is whatever is not known to be ordinary, and every network above the countries but
    free ones."""
    known = _KINDS.get(kind, NumberKind.SPECIAL)
    if country == _NO_COUNTRY and known is not NumberKind.TOLL_FREE:
        return NumberKind.SPECIAL
    return known


def _end_of_country_code(raw: str) -> int:
    # Country codes are prefix-free, so the first that fits is the only one.
    for end in (2, 3, 4):
        if raw[1:end] in _COUNTRY_CODES:
            return end
    raise InvalidNumber("unknown_country_code")


def _reason(raw: str, country_code: str, national: str) -> str:
    """Why a number is not valid. Slow, and only asked for after a refusal."""
    try:
        repaired = phonenumbers.parse(raw)
    except phonenumbers.NumberParseException:
        return "not_possible"
    if phonenumbers.is_valid_number(repaired) and _e164(repaired) != raw:
        return "not_canonical"
    written = _as_written(country_code, national)
    return "not_valid" if phonenumbers.is_possible_number(written) else "not_possible"


def _as_written(country_code: str, national: str) -> phonenumbers.PhoneNumber:
    national_number = int(national)
    zero_count = len(national) - len(str(national_number))
    return phonenumbers.PhoneNumber(
        country_code=int(country_code),
        national_number=national_number,
        italian_leading_zero=zero_count > 0,
        number_of_leading_zeros=zero_count,
    )


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
