"""Values an operator writes that are more than strings, each judged where it stands."""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
import phonenumbers

from shared.ledger import money
from shared.rules import destinations, line_kinds
from shared.sms import keywords, sender_id
from shared.sms.inbound import first_word

KEYWORD_LENGTH_MAX: Final = 32
TEXT_LENGTH_MAX: Final = 200

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]

_ACCOUNT: Final = re.compile(r"[^\s*][^\x00-\x1f]{0,63}")
_PLAN: Final = re.compile(r"[a-z0-9_-]{1,32}")
_COUNTRIES: Final = frozenset(phonenumbers.SUPPORTED_REGIONS) | {"001"}


class Country(str):
    """ISO 3166 alpha-2, or "001" for numbers that no country owns."""

    __slots__ = ()


class Destination(str):
    """A country, or "*" for all that are not named."""

    __slots__ = ()


class AccountName(str):
    """1 to 64 characters; `*` means no account elsewhere, so none begins with it."""

    __slots__ = ()


class LineKind(str):
    """One of the words of `line_kinds.LineKind`."""

    __slots__ = ()


class Currency(str):
    """One of the currencies there are wallets for."""

    __slots__ = ()


class SegmentPrice(int):
    """Micro-units, more than none."""

    __slots__ = ()


class Credit(int):
    """Micro-units; written as a decimal string, or as a whole number of units."""

    __slots__ = ()


class AllowedPlace(str):
    """A host and a port, as `destinations.read_host_port` reads them."""

    __slots__ = ()


class Sender(str):
    """A sender id of any type."""

    __slots__ = ()


class Keyword(str):
    """One word in capitals, as `first_word` finds it in what a phone sends."""

    __slots__ = ()


class Text(str):
    """A line of text, which may be empty."""

    __slots__ = ()


class PlanName(str):
    """What an account has subscribed to."""

    __slots__ = ()


class TimeZone(str):
    """An IANA name, or nothing."""

    __slots__ = ()


class WindowLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Segments; what is None is not named."""

    hour: Count | None = None
    day: Count | None = None
    month: Count | None = None


def read(kind: type, value: object) -> object:
    """A value as `kind`. Raises ValueError with a sentence. A decoding hook of msgspec."""
    if kind is Credit and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
    return _READERS[kind](value)


def _country(text: str) -> Country:
    if text not in _COUNTRIES:
        raise ValueError("expected the two capital letters of a country (ISO 3166), such as FR")
    return Country(text)


def _destination(text: str) -> Destination:
    return Destination(text if text == "*" else _country(text))


def _account_name(text: str) -> AccountName:
    if not _ACCOUNT.fullmatch(text):
        raise ValueError("expected 1 to 64 characters, neither blank nor * at the beginning")
    return AccountName(text)


def _line_kind(text: str) -> LineKind:
    return LineKind(line_kinds.of_word(text))


def _keyword(text: str) -> Keyword:
    word = first_word(text)
    is_it = word == unicodedata.normalize("NFC", text).upper()
    if not (word and is_it and len(word) <= KEYWORD_LENGTH_MAX):
        raise ValueError(f"expected one word of letters and digits, at most {KEYWORD_LENGTH_MAX}")
    if keywords.may_mean(word, *keywords.PhoneWord):
        raise ValueError("phones use this word to opt out, to opt in or to ask for help")
    return Keyword(word)


def _text(text: str) -> Text:
    if len(text) > TEXT_LENGTH_MAX or not text.isprintable() or text != text.strip():
        raise ValueError(
            f"expected at most {TEXT_LENGTH_MAX} characters in one line, none blank at its ends"
        )
    return Text(text)


def _plan(text: str) -> PlanName:
    if not _PLAN.fullmatch(text):
        raise ValueError("expected 1 to 32 of a-z, 0-9, _ and -")
    return PlanName(text)


def _time_zone(text: str) -> TimeZone:
    if text and text not in zoneinfo.available_timezones():
        raise ValueError("expected a time zone's name (IANA), such as Europe/Paris")
    return TimeZone(text)


def _currency(text: str) -> Currency:
    if text not in money.CURRENCIES:
        raise ValueError(f"expected one of {', '.join(money.CURRENCIES)}")
    return Currency(text)


def _price(text: str) -> SegmentPrice:
    price = SegmentPrice(money.parse_amount(text))
    if price == 0:
        raise ValueError("a price is more than 0")
    return price


_READERS: Final[dict[type, Callable[[str], object]]] = {
    Country: _country,
    Destination: _destination,
    AccountName: _account_name,
    LineKind: _line_kind,
    Keyword: _keyword,
    Currency: _currency,
    SegmentPrice: _price,
    Credit: lambda text: Credit(money.parse_amount(text)),
    AllowedPlace: lambda text: AllowedPlace(str(destinations.read_host_port(text))),
    Text: _text,
    PlanName: _plan,
    TimeZone: _time_zone,
    Sender: lambda text: Sender(sender_id.parse(text).value),
}
