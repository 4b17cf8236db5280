"""The words by which a phone asks not to be written to, to be written to again, or for help.

A text counts only as a whole: "STOP", " stop! " and "Stopp." do, "please stop" does not, for people
write sentences about stopping. English words are understood in every country, others where their
language is spoken. The tables are data: a further word, language or country is a line in them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

LENGTH_MAX: Final = 40
"""Characters; a longer text is no word, whatever stands around it."""


class PhoneWord(StrEnum):
    """What a phone may ask for; a closed set."""

    STOP = "stop"
    START = "start"
    HELP = "help"


class HeardWord(NamedTuple):
    """A word, and the language in which it was said: the one to answer in."""

    word: PhoneWord
    language: str


ENGLISH: Final = "en"

# Written as they are folded: small, without accents, one blank between two words.
_SPELLINGS: Final[Mapping[str, Mapping[PhoneWord, str]]] = {
    ENGLISH: {
        PhoneWord.STOP: "stop, stopall, stop all, unsubscribe, cancel, end, quit, revoke, optout,"
        " opt out, opt-out",
        PhoneWord.START: "start, unstop, subscribe, optin, opt in, opt-in",
        PhoneWord.HELP: "help, info",
    },
    "fr": {
        PhoneWord.STOP: "stop, arret, arreter, desabonner, desabonnement, desinscrire,"
        " desinscription, resilier",
        PhoneWord.START: "start, reprendre, reprise, reabonner, reabonnement",
        PhoneWord.HELP: "aide, info, infos",
    },
    "de": {
        PhoneWord.STOP: "stop, stopp, abmelden, abmeldung, abbestellen, ende",
        PhoneWord.START: "start, anmelden, anmeldung",
        PhoneWord.HELP: "hilfe, info",
    },
    "es": {
        PhoneWord.STOP: "stop, baja, alto, parar, detener, cancelar, darse de baja",
        PhoneWord.START: "start, alta, iniciar, reanudar",
        PhoneWord.HELP: "ayuda, info",
    },
}

_ABROAD: Final[Mapping[tuple[str, ...], str]] = {
    ("fr",): "FR MC GP MQ GF RE YT PM BL MF NC PF WF SN CI CM",
    ("de",): "DE AT LI",
    ("es",): "ES MX AR BO CL CO CR CU DO EC GT HN NI PA PE PY SV UY VE GQ",
    ("fr", "de"): "BE",
    ("de", "fr"): "CH LU",
    (ENGLISH, "fr"): "CA",
    (ENGLISH, "es"): "US PR",
}
"""What is spoken where, beside English; the first of several answers to a word that they share."""


_WORDS: Final = {
    language: {
        spelling: word for word, spellings in table.items() for spelling in spellings.split(", ")
    }
    for language, table in _SPELLINGS.items()
}
_SPOKEN: Final = {
    country: (*languages, ENGLISH)
    for languages, countries in _ABROAD.items()
    for country in countries.split()
}
LANGUAGES: Final = tuple(_SPELLINGS)


def word_of(text: str, country: str) -> HeardWord | None:
    """The word that the whole of a text is, sent to a line of this country (ISO 3166 alpha-2);
    None of any other text."""
    folded = _fold(text)
    for language in _SPOKEN.get(country, (ENGLISH,)):
        if word := _WORDS[language].get(folded):
            return HeardWord(word, language)
    return None


def may_mean(text: str, *asked: PhoneWord) -> bool:
    """Whether the text is one of these words in any country."""
    folded = _fold(text)
    return any(words.get(folded) in asked for words in _WORDS.values())


def _fold(text: str) -> str:
    """Without case, accents, and what stands around it or blank in it; "" of a longer text."""
    if len(text) > LENGTH_MAX:
        return ""
    plain = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    first = next((place for place, char in enumerate(letters) if char.isalnum()), len(letters))
    last = next((place for place, char in enumerate(reversed(letters)) if char.isalnum()), 0)
    return " ".join(letters[first : len(letters) - last].split())
