"""The alphabet, judged by an independent implementation and by the specification's own words."""

from __future__ import annotations

import random
import sys
import traceback

import gsmcodecs  # noqa: F401 - importing it registers its codecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sms import encoding
from tests.unit.sms import texts

JUDGE = "gsm23.038"


def judged(char: str) -> bytes | None:
    try:
        return char.encode(JUDGE)
    except UnicodeEncodeError:
        return None


def test_alphabet_agrees_with_an_independent_codec_when_every_bmp_character_is_tried() -> None:
    for char in map(chr, range(0x10000)):
        expected = judged(char)
        if encoding.encoding_of(char) is encoding.Encoding.GSM7:
            assert encoding.encode_gsm7(char) == expected, hex(ord(char))
        else:
            assert expected is None, hex(ord(char))


def test_only_the_alphabet_is_gsm_when_every_code_point_is_tried() -> None:
    gsm = {
        code_point
        for code_point in range(sys.maxunicode + 1)
        if encoding.encoding_of(chr(code_point)) is encoding.Encoding.GSM7
    }

    assert gsm == set(map(ord, texts.GSM_BASIC + texts.GSM_EXTENSION))
    assert len(gsm) == 127 + 10


def test_ucs2_round_trips_when_every_code_point_that_is_a_character_is_tried() -> None:
    for first in range(0, sys.maxunicode + 1, 0x100):
        if 0xD800 <= first < 0xE000:
            continue
        block = "".join(map(chr, range(first, first + 0x100)))
        octets = encoding.encode_ucs2(block)
        assert len(octets) == 0x100 * (2 if first < 0x10000 else 4)
        assert encoding.decode_ucs2(octets) == block


@pytest.mark.parametrize("after", ["", "a", "€"])
def test_lone_surrogates_are_refused_when_every_one_is_tried(after: str) -> None:
    for code_point in range(0xD800, 0xE000):
        with pytest.raises(encoding.UnencodableText) as refusal:
            encoding.encode(f"é{chr(code_point)}{after}")
        assert refusal.value.position == 1


def test_refusal_carries_nothing_of_the_text_when_it_is_printed_with_its_causes() -> None:
    with pytest.raises(encoding.UnencodableText) as ucs2:
        encoding.encode_ucs2("secret\ud800")
    with pytest.raises(encoding.UnencodableText) as gsm7:
        encoding.encode_gsm7("secretж")

    for refusal in (ucs2.value, gsm7.value):
        assert refusal.position == 6
        assert "position 6" in str(refusal)
        assert "secret" not in repr(refusal) + "".join(traceback.format_exception_only(refusal))
        assert refusal.__context__ is None


@pytest.mark.parametrize("profile", ["plain", "gsm", "escapes"])
@pytest.mark.parametrize("seed", [1, 2])
def test_gsm_octets_agree_with_an_independent_codec_when_texts_are_random(
    profile: str, seed: int
) -> None:
    for text in texts.random_texts(seed, profile, count=500, longest=200):
        octets = encoding.encode_gsm7(text)
        assert octets == text.encode(JUDGE)
        assert encoding.encode(text) == (encoding.Encoding.GSM7, octets)
        assert encoding.decode_gsm7(octets) == text
        assert encoding.unit_count(text, encoding.Encoding.GSM7) == len(octets)


@given(st.text())
def test_text_comes_back_when_it_is_encoded(text: str) -> None:
    chosen, octets = encoding.encode(text)

    assert chosen is encoding.encoding_of(text)
    assert encoding.decode(octets, chosen) == text
    assert encoding.unit_count(text, chosen) * (1 if chosen == "gsm7" else 2) == len(octets)


@pytest.mark.parametrize("char", ["ç", "ê", "`", "\x00", "\x1b", "\t", "‘", "œ", "α", "\u00a0"])
def test_look_alikes_are_ucs2_when_the_alphabet_lacks_them(char: str) -> None:
    assert encoding.encoding_of(f"abc{char}") is encoding.Encoding.UCS2
    with pytest.raises(encoding.UnencodableText) as refusal:
        encoding.encode_gsm7(f"abc{char}")
    assert refusal.value.position == 3


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\x1b\x65", "€"),
        (b"\x1b\x41", "A"),  # an open place of the extension table: the basic character
        (b"\x1b\x00", "@"),
        (b"\x1b\x0d", "\r"),
        (b"\x1b", " "),  # an escape to nothing
        (b"a\x1b\x1b\x65", "a e"),  # an escape to a further table, which nobody has defined
        (b"\x1b\x1b\x1b\x65", " €"),
        (b"a\x80\xff", "a\ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_decoding_follows_the_specification_when_octets_are_odd(octets: bytes, text: str) -> None:
    assert encoding.decode_gsm7(octets) == text


@given(st.binary())
def test_decoding_never_fails_when_octets_are_garbage(octets: bytes) -> None:
    assert len(encoding.decode_gsm7(octets)) <= len(octets)
    assert len(encoding.decode_ucs2(octets)) <= len(octets) // 2 + 1


def test_packing_matches_the_known_vector() -> None:
    packed = encoding.pack_septets(encoding.encode_gsm7("hellohello"))

    assert packed.hex() == "e8329bfd4697d9ec37"
    assert encoding.decode_gsm7(encoding.unpack_septets(packed, 10)) == "hellohello"


def test_septets_come_back_when_packed_at_any_length_and_fill() -> None:
    rng = random.Random(7)
    for septet_count in range(161):
        octets = bytes(rng.choices(range(0x80), k=septet_count))
        for fill_bits in range(7):
            packed = encoding.pack_septets(octets, fill_bits)
            assert len(packed) == (7 * septet_count + fill_bits + 7) // 8
            assert encoding.unpack_septets(packed, septet_count, fill_bits) == octets


def test_packing_refuses_what_is_not_septets() -> None:
    with pytest.raises(ValueError, match="not a septet"):
        encoding.pack_septets(b"a\x80")
    with pytest.raises(ValueError, match="cannot hold"):
        encoding.unpack_septets(b"\x00" * 7, 9)


@pytest.mark.parametrize(("header", "fill"), [(0, 0), (6, 1), (7, 0), (8, 6)])
def test_fill_bits_reach_the_next_septet_boundary(header: int, fill: int) -> None:
    assert encoding.fill_bits_after(header) == fill
