"""What a line is, whichever word an operator used for it."""

from __future__ import annotations

import pytest

from shared.rules import line_kinds
from shared.rules.line_kinds import LineKind
from shared.sms import sender_id


@pytest.mark.parametrize("kind", LineKind)
def test_each_kind_is_read_by_its_own_word(kind: LineKind) -> None:
    assert line_kinds.of_word(kind.value) is kind


@pytest.mark.parametrize("word", ["landline", "fixed_line", "voip"])
def test_words_of_older_files_are_still_read(word: str) -> None:
    assert line_kinds.of_word(word) is LineKind.FIXED


def test_any_other_word_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="expected one of long_code, toll_free"):
        line_kinds.of_word("Mobile!")


@pytest.mark.parametrize(
    ("sender", "kind"),
    [
        ("+33612345678", LineKind.MOBILE),
        ("+33142345678", LineKind.FIXED),
        ("+33800123456", LineKind.TOLL_FREE),
        ("+14155552671", LineKind.LONG_CODE),
        ("+18005550199", LineKind.TOLL_FREE),
        ("36111", LineKind.SHORT_CODE),
        ("Sluice", LineKind.ALPHANUMERIC),
        ("+1", LineKind.FIXED),
    ],
)
def test_a_line_stored_under_a_word_of_its_own_is_what_its_sender_is(
    sender: str, kind: LineKind
) -> None:
    assert line_kinds.of_line("our_best", sender) is kind
    assert line_kinds.of_line("short_code", sender) is LineKind.SHORT_CODE


def test_a_kind_fits_its_type_of_sender() -> None:
    name, number = sender_id.parse("Sluice"), sender_id.parse("+33612345678")
    assert line_kinds.fits(LineKind.ALPHANUMERIC, name)
    assert not line_kinds.fits(LineKind.ALPHANUMERIC, number)
    assert not line_kinds.fits(LineKind.MOBILE, name)
    assert line_kinds.fits(LineKind.FIXED, number)
