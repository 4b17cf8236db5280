"""Words of phones: the whole of a text, in the languages of the line's country, and no sentence."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sms import auto_texts, keywords, segmentation
from shared.sms.keywords import PhoneWord, may_mean, word_of

STOP, START, HELP = PhoneWord.STOP, PhoneWord.START, PhoneWord.HELP
AROUND = st.text(st.sampled_from(" \t\n\u00a0.,!?\"'\u00ab\u00bb()-*\u2026"), max_size=6)


@pytest.mark.parametrize(
    ("text", "country", "heard"),
    [
        ("STOP", "US", (STOP, "en")),
        ("stopall", "GB", (STOP, "en")),
        ("Stop  All", "GB", (STOP, "en")),
        ("UNSUBSCRIBE", "JP", (STOP, "en")),
        ("Cancel", "US", (STOP, "en")),
        ("end", "US", (STOP, "en")),
        ("Quit.", "US", (STOP, "en")),
        ("revoke", "US", (STOP, "en")),
        ("OPTOUT", "US", (STOP, "en")),
        ("opt out", "US", (STOP, "en")),
        ("opt-out", "US", (STOP, "en")),
        ("\uff33\uff34\uff2f\uff30", "US", (STOP, "en")),
        ("STOP", "FR", (STOP, "fr")),
        ("ARR\u00caT", "FR", (STOP, "fr")),
        ("Arre\u0302t !", "FR", (STOP, "fr")),
        ("unsubscribe", "FR", (STOP, "en")),
        ("arret", "CA", (STOP, "fr")),
        ("stop", "CA", (STOP, "en")),
        ("Stopp!", "DE", (STOP, "de")),
        ("stop", "CH", (STOP, "de")),
        ("arr\u00eat", "CH", (STOP, "fr")),
        ("BAJA", "ES", (STOP, "es")),
        ("\u00a1Baja!", "MX", (STOP, "es")),
        ("baja", "US", (STOP, "es")),
        ("HELP", "FR", (HELP, "en")),
        ("Aide ?", "FR", (HELP, "fr")),
        ("hilfe", "AT", (HELP, "de")),
        ("\u00bfAyuda?", "AR", (HELP, "es")),
        ("info", "US", (HELP, "en")),
        ("UNSTOP", "US", (START, "en")),
        ("start", "DE", (START, "de")),
        ("arret", "US", None),
        ("stopp", "FR", None),
        ("hilfe", "GB", None),
        ("please stop", "US", None),
        ("stop it", "US", None),
        ("s t o p", "US", None),
        ("stopped", "US", None),
        ("STOP " + "!" * keywords.LENGTH_MAX, "US", None),
        ("", "US", None),
        ("...", "US", None),
    ],
)
def test_a_text_is_a_word_or_none(
    text: str, country: str, heard: tuple[PhoneWord, str] | None
) -> None:
    assert word_of(text, country) == heard
    assert may_mean(text, *PhoneWord) or heard is None


@given(AROUND, st.sampled_from(["stop", "opt out", "help", "unstop"]), AROUND, st.booleans())
def test_case_and_what_stands_around_do_not_matter(
    before: str, word: str, after: str, shouted: bool
) -> None:
    text = before + (word.upper() if shouted else word) + after
    assert word_of(text, "US") == word_of(word, "US") is not None


@given(
    st.from_regex(r"[a-z]{1,9}( [a-z]{1,9}){2,4}", fullmatch=True), st.sampled_from(["FR", "US"])
)
def test_no_sentence_is_a_word(sentence: str, country: str) -> None:
    assert word_of(f"stop {sentence}", country) is None
    assert word_of(f"{sentence} stop", country) is None


@given(st.text(), st.text(max_size=2))
def test_any_text_has_an_answer_and_what_is_a_word_somewhere_may_be_one(
    text: str, country: str
) -> None:
    heard = word_of(text, country)
    assert heard is None or may_mean(text, heard.word)


@pytest.mark.parametrize(
    ("word", "language"), list(itertools.product(PhoneWord, keywords.LANGUAGES))
)
def test_each_answer_is_one_plain_segment_and_no_word_itself(
    word: PhoneWord, language: str
) -> None:
    text = auto_texts.text_of(word, language)
    assert text is not None
    plan = segmentation.measure(text)
    assert (plan.encoding, plan.segment_count) == ("gsm7", 1)
    assert not may_mean(text, *PhoneWord)


def test_what_a_later_release_has_heard_is_answered_in_english_or_not_at_all() -> None:
    assert auto_texts.text_of("stop", "it") == auto_texts.text_of("stop", "en")
    assert auto_texts.text_of("pause", "fr") is None
