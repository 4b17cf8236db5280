"""Numbering plans, as one question a number: whose it is, and of which type.

`phonenumbers` tries up to a dozen patterns of a region one after the other, and all of it twice.
Here they stand in one regular expression a region, in the library's order: its verdict at a fifth
of the time. The plans are the library's, compiled when their country code is first asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberType
from phonenumbers.phonemetadata import PhoneNumberDesc

# As in number_type: the first of these that fits tells the type, but for what both last ones fit.
_TYPES: Final[Mapping[str, int]] = {
    "premium_rate": PhoneNumberType.PREMIUM_RATE,
    "toll_free": PhoneNumberType.TOLL_FREE,
    "shared_cost": PhoneNumberType.SHARED_COST,
    "voip": PhoneNumberType.VOIP,
    "personal_number": PhoneNumberType.PERSONAL_NUMBER,
    "pager": PhoneNumberType.PAGER,
    "uan": PhoneNumberType.UAN,
    "voicemail": PhoneNumberType.VOICEMAIL,
    "fixed_line": PhoneNumberType.FIXED_LINE,
    "mobile": PhoneNumberType.MOBILE,
}
_NO_LENGTH: Final = (-1,)
_NOTHING: Final = "(?!)"


class Region(NamedTuple):
    """One country's part of a country code. Where `leading` is given, it alone says which numbers
    are the country's; else those are that have a type."""

    country: str
    leading: re.Pattern[str] | None
    typed: re.Pattern[str]
    mobile: re.Pattern[str]
    same_as_mobile: bool

    def type_of(self, national: str) -> int:
        """The number's PhoneNumberType; UNKNOWN is not in the plan."""
        found = self.typed.fullmatch(national)
        if found is None or found.lastgroup is None:
            return PhoneNumberType.UNKNOWN
        kind = _TYPES[found.lastgroup]
        if kind == PhoneNumberType.FIXED_LINE and (
            self.same_as_mobile or self.mobile.fullmatch(national)
        ):
            return PhoneNumberType.FIXED_LINE_OR_MOBILE
        return kind


def find(country_code: str, national: str) -> tuple[str, int] | None:
    """(country or "001", PhoneNumberType) of a number; None for one that is in no plan."""
    for region in regions(country_code):
        if region.leading is None:
            kind = region.type_of(national)
            if kind != PhoneNumberType.UNKNOWN:
                return region.country, kind
        elif region.leading.match(national):
            kind = region.type_of(national)
            return None if kind == PhoneNumberType.UNKNOWN else (region.country, kind)
    return None


@cache
def regions(country_code: str) -> tuple[Region, ...]:
    """The parts of a country code of `phonenumbers`, in its order."""
    code = int(country_code)
    countries = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
    is_shared = len(countries) > 1
    return tuple(
        _region(country, plan, is_shared=is_shared)
        for country in countries
        if (plan := PhoneMetadata.metadata_for_region_or_calling_code(code, country))
    )


def _region(country: str, plan: PhoneMetadata, *, is_shared: bool) -> Region:
    mobile = _pattern(plan.mobile)
    types = {name: _pattern(getattr(plan, name)) for name in _TYPES}
    if plan.same_mobile_and_fixed_line_pattern:
        del types["mobile"]
    either = "|".join(f"(?P<{name}>{pattern})" for name, pattern in types.items())
    leading = plan.leading_digits if is_shared else None
    return Region(
        country=country,
        leading=None if leading is None else re.compile(leading),
        typed=re.compile(rf"(?={_pattern(plan.general_desc)}\Z)(?:{either})"),
        mobile=re.compile(mobile),
        same_as_mobile=bool(plan.same_mobile_and_fixed_line_pattern),
    )


def _pattern(numbers: PhoneNumberDesc | None) -> str:
    """What these numbers look like, without a named group; `_NOTHING` where there are none."""
    if numbers is None or not numbers.national_number_pattern:
        return _NOTHING
    lengths = numbers.possible_length
    if lengths == _NO_LENGTH:
        return _NOTHING
    pattern = f"(?:{numbers.national_number_pattern})"
    if not lengths:
        return pattern
    return rf"(?=(?:{'|'.join(rf'[0-9]{{{length}}}' for length in lengths)})\Z){pattern}"
