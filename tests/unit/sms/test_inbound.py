"""What a phone wrote is what is read, whatever way its parts were written and came."""

from __future__ import annotations

import random

import gsmcodecs  # noqa: F401 - importing it registers its codecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sms import encoding, inbound, segmentation
from shared.sms.inbound import Alphabet, Piece
from tests.unit.sms import texts

GSM_TEXTS = st.text(st.sampled_from(texts.GSM_BASIC + texts.GSM_EXTENSION), min_size=1)
ANY_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


def pieces_of(sent: bytes, cuts: list[int], alphabet: Alphabet) -> list[Piece]:
    """Octets cut where it may hurt, also within a character."""
    places = sorted({cut % len(sent) for cut in cuts} - {0})
    bounds = zip([0, *places], [*places, len(sent)], strict=True)
    return [Piece(number, alphabet, sent[a:b]) for number, (a, b) in enumerate(bounds, 1)]


@given(GSM_TEXTS, st.lists(st.integers(0, 10_000), max_size=8), st.randoms())
def test_septets_another_codec_wrote_are_read_however_cut_and_mixed(
    text: str, cuts: list[int], chance: random.Random
) -> None:
    pieces = pieces_of(text.encode("gsm23.038"), cuts, Alphabet.GSM7)
    chance.shuffle(pieces)
    assert inbound.join(len(pieces), pieces) == (text, None, Alphabet.GSM7, (), None)


@given(ANY_TEXTS, st.lists(st.integers(0, 10_000), max_size=8), st.randoms())
def test_ucs2_another_codec_wrote_is_read_however_cut_and_mixed(
    text: str, cuts: list[int], chance: random.Random
) -> None:
    pieces = pieces_of(text.encode("utf-16-be"), cuts, Alphabet.UCS2)
    chance.shuffle(pieces)
    assert inbound.join(len(pieces), pieces).body == text


def packed(septets: bytes, fill_bits: int) -> bytes:
    """Packed bit by bit, as the specification draws it."""
    bits = [0] * fill_bits + [octet >> place & 1 for octet in septets for place in range(7)]
    bits += [0] * (-len(bits) % 8)
    return bytes(
        sum(bit << place for place, bit in enumerate(bits[start : start + 8]))
        for start in range(0, len(bits), 8)
    )


@given(GSM_TEXTS.filter(lambda text: not text.endswith("@")), st.booleans())
def test_packed_septets_are_read_with_and_without_a_header(text: str, has_udh: bool) -> None:
    # Given a header of six octets, behind which a fill bit leads to the next septet
    udh = b"\x05\x00\x03\x07\x02\x01" if has_udh else b""
    sent = udh + packed(text.encode("gsm23.038"), 1 if has_udh else 0)
    # When it is read for a carrier that packs, Then it is the text, without the bits to spare
    alphabet, header, payload = inbound.read(sent, 0, has_udh=has_udh, default="gsm7_packed")
    assert (inbound.decode(payload, alphabet), header) == (text, udh)


@given(st.binary(max_size=300), st.integers(0, 255), st.booleans(), st.sampled_from(
    ("gsm7", "gsm7_packed", "latin1")
))  # fmt: skip
def test_any_octets_are_read_and_none_is_lost(
    octets: bytes, data_coding: int, has_udh: bool, default: inbound.DefaultAlphabet
) -> None:
    alphabet, udh, payload = inbound.read(octets, data_coding, has_udh=has_udh, default=default)
    said = inbound.join(1, [Piece(1, alphabet, payload)])
    assert (said.body is None) is (alphabet is Alphabet.BINARY)
    assert "\0" not in (said.body or "")
    if default != "gsm7_packed":
        assert udh + payload == octets


@pytest.mark.parametrize(
    ("data_coding", "alphabet"),
    [
        (0x00, "gsm7"),
        (0x01, "latin1"),
        (0x02, "binary"),
        (0x03, "latin1"),
        (0x04, "binary"),
        (0x06, "iso8859_5"),
        (0x07, "iso8859_8"),
        (0x08, "ucs2"),
        (0x0D, "binary"),
        (0x10, "gsm7"),
        (0x14, "binary"),
        (0x18, "ucs2"),
        (0x20, "binary"),
        (0x80, "binary"),
        (0xC8, "gsm7"),
        (0xD0, "gsm7"),
        (0xE0, "ucs2"),
        (0xF1, "gsm7"),
        (0xF5, "binary"),
    ],
)
def test_each_data_coding_names_its_alphabet(data_coding: int, alphabet: str) -> None:
    assert inbound.alphabet_of(data_coding, Alphabet.GSM7) == alphabet


@pytest.mark.parametrize(
    ("alphabet", "octets", "text"),
    [
        (Alphabet.LATIN1, b"caf\xe9", "café"),
        (Alphabet.CYRILLIC, b"\xb4\xd0", "Да"),
        (Alphabet.HEBREW, b"\xeb\xef", "כן"),
        (Alphabet.LATIN1, b"a\0b", "a\ufffdb"),
    ],
)
def test_alphabets_of_an_octet_are_read(alphabet: Alphabet, octets: bytes, text: str) -> None:
    assert inbound.decode(octets, alphabet) == text


def test_parts_of_two_alphabets_make_one_text_and_binary_ones_none() -> None:
    first, second = Piece(1, Alphabet.GSM7, b"a\x00"), Piece(2, Alphabet.UCS2, b"\x04\x16")
    assert inbound.join(2, [second, first]) == ("a@Ж", None, Alphabet.UCS2, (), None)
    odd = Piece(2, Alphabet.BINARY, b"\xff", b"\x00")
    assert inbound.join(2, [odd, first]) == (None, b"a\x00\xff", Alphabet.BINARY, (), b"")


def test_what_is_missing_is_said_and_no_character_is_made_of_two_halves_across_it() -> None:
    # Given halves of different characters on either side of a part that never came
    smile = "😀".encode("utf-16-be")
    pieces = [Piece(3, Alphabet.UCS2, smile[2:]), Piece(1, Alphabet.UCS2, smile[:2])]
    # Then neither is taken for a character
    assert inbound.join(4, pieces) == ("\ufffd\ufffd", None, Alphabet.UCS2, (2, 4), None)


@given(st.integers(2, 9), st.integers(1, 4), st.randoms())
def test_messages_that_follow_each_other_with_one_reference_are_told_apart(
    total: int, count: int, chance: random.Random
) -> None:
    # Given a phone that uses one reference for all its messages, their parts in any order
    sent: list[int] = []
    for _ in range(count):
        numbers = list(range(1, total + 1))
        chance.shuffle(numbers)
        sent += numbers
    # Then each is whole
    found = list(inbound.sort_out(total, sent))
    assert [place for places in found for place in places] == list(range(total * count))
    assert all(sorted(sent[place] for place in each) == [*range(1, total + 1)] for each in found)


def test_a_part_of_the_next_message_ends_the_one_that_lacks_a_part() -> None:
    assert list(inbound.sort_out(2, [1, 1, 2])) == [[0], [1, 2]]
    assert list(inbound.sort_out(3, [1, 2, 1])) == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("written", "is_international", "read"),
    [
        ("33612345678", True, "+33612345678"),
        ("+33612345678", False, "+33612345678"),
        ("0033612345678", False, "+33612345678"),
        ("33612345678", False, "+33612345678"),
        ("0612345678", False, "0612345678"),
        ("36180", False, "36180"),
        ("Sluice", False, "Sluice"),
        ("Sluice", True, "Sluice"),
        ("", True, ""),
        ("+", False, "+"),
        ("٣٣", True, "٣٣"),
    ],
)
def test_numbers_are_written_as_lines_and_recipients_are(
    written: str, is_international: bool, read: str
) -> None:
    assert inbound.address(written, is_international=is_international) == read


def test_a_repetition_has_the_fingerprint_and_nothing_else_has() -> None:
    part = inbound.InboundPart(
        "+33612345678",
        "36180",
        Alphabet.GSM7,
        b"\x05\x00\x03\x07\x02\x01",
        b"hello",
        segmentation.Concatenation(7, 8, 2, 1),
    )
    again = inbound.InboundPart(*part)
    others = [
        part._replace(sender="+33612345679"),
        part._replace(recipient="36181"),
        part._replace(alphabet=Alphabet.LATIN1),
        part._replace(payload=b"hellO"),
        part._replace(concatenation=segmentation.Concatenation(8, 8, 2, 1)),
        part._replace(mark=b"\x01"),
        part._replace(sender="+3361234567", recipient="836180"),
    ]
    assert again.fingerprint(1) == part.fingerprint(1)
    assert part.fingerprint(1) not in {each.fingerprint(1) for each in others}
    assert part.fingerprint(1) != part.fingerprint(2)
    assert "hello" not in repr(part)


@given(st.binary(max_size=40), st.integers(0, 6))
def test_unpacking_ends_within_the_octets(packed_octets: bytes, fill_octets: int) -> None:
    fill_bits = encoding.fill_bits_after(fill_octets)
    udh = bytes([fill_octets - 1, *([0] * (fill_octets - 1))]) if fill_octets else b""
    alphabet, _, payload = inbound.read(
        udh + packed_octets, 0, has_udh=bool(udh), default="gsm7_packed"
    )
    assert alphabet is Alphabet.GSM7
    assert len(payload) <= max(0, 8 * len(packed_octets) - fill_bits) // 7


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("join", "JOIN"),
        ("  ¡Join, please", "JOIN"),
        ("win2 now", "WIN2"),
        ("e\u0301te\u0301!", "ÉTÉ"),
        ("straße", "STRASSE"),
        ("joined", "JOINED"),
        ("…", ""),
        ("", ""),
    ],
)
def test_the_first_word_is_read_whole_and_in_capitals(text: str, word: str) -> None:
    assert inbound.first_word(text) == word


@given(ANY_TEXTS)
def test_any_text_has_a_first_word_or_none_whatever_stands_before_it(text: str) -> None:
    word = inbound.first_word(text)
    assert inbound.first_word(f" _-{text}") == word
    assert inbound.first_word(f"{word} {text}") == inbound.first_word(word)
