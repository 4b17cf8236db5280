"""Segments: their boundaries, what must hold for any text, and what comes in from strangers."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.sms import encoding, repertoires, segmentation
from tests.unit.sms import texts

GSM7, UCS2 = encoding.Encoding.GSM7, encoding.Encoding.UCS2
EMOJI = "\N{GRINNING FACE}"
REFERENCE_BITS = get_args(segmentation.ReferenceBits)


def naive_part_sizes(text: str, reference_bits: int = 8) -> list[int]:
    """Units in each part, reckoned a character at a time: slow, plain and written separately."""
    gsm = all(char in texts.GSM_BASIC + texts.GSM_EXTENSION for char in text)
    double = texts.GSM_EXTENSION if gsm else ""
    costs = [2 if char in double or ord(char) > 0xFFFF else 1 for char in text]
    if sum(costs) <= (160 if gsm else 70):
        return [sum(costs)]
    room = (153 if gsm else 67) - (reference_bits == 16)
    sizes = [0]
    for cost in costs:
        if sizes[-1] + cost > room:
            sizes.append(0)
        sizes[-1] += cost
    return sizes


def octets_on_air(parts: tuple[segmentation.Part, ...]) -> int:
    """What the longest part takes of the 140 octets of user data."""
    header = len(parts[0].udh)
    longest = max([len(part.payload) for part in parts])
    if parts[0].encoding is UCS2:
        return header + longest
    return header + (encoding.fill_bits_after(header) + 7 * longest + 7) // 8


@pytest.mark.parametrize(
    ("text", "chosen", "segments", "units"),
    [
        ("a", GSM7, 1, 1),
        ("a" * 160, GSM7, 1, 160),
        ("a" * 161, GSM7, 2, 161),
        ("a" * 306, GSM7, 2, 306),
        ("a" * 307, GSM7, 3, 307),
        ("a" * 765, GSM7, 5, 765),
        ("€" * 80, GSM7, 1, 160),
        ("€" * 81, GSM7, 2, 162),
        ("a" * 159 + "€", GSM7, 2, 161),
        ("a" * 152 + "€" + "a" * 10, GSM7, 2, 164),
        ("a" * 152 + "€" + "a" * 151, GSM7, 2, 305),
        ("a" * 152 + "€" + "a" * 152, GSM7, 3, 306),
        ("ж" * 70, UCS2, 1, 70),
        ("ж" * 71, UCS2, 2, 71),
        ("ж" * 134, UCS2, 2, 134),
        ("ж" * 135, UCS2, 3, 135),
        ("ж" * 335, UCS2, 5, 335),
        (EMOJI * 35, UCS2, 1, 70),
        (EMOJI * 36, UCS2, 2, 72),
        ("ж" * 66 + EMOJI + "ж" * 10, UCS2, 2, 78),
        ("ж" * 66 + EMOJI + "ж" * 65, UCS2, 2, 133),
        ("ж" * 66 + EMOJI + "ж" * 66, UCS2, 3, 134),
        ("a" * 70 + "ж", UCS2, 2, 71),
        ("a" * 206, GSM7, 2, 206),
        ("aα日" * 80 + "日α", UCS2, 4, 242),
    ],
)
def test_text_takes_the_segments_of_the_table_when_at_a_boundary(
    text: str, chosen: encoding.Encoding, segments: int, units: int
) -> None:
    assert segmentation.measure(text, 8) == segmentation.Plan(chosen, segments, units)
    assert len(segmentation.split(text, 0, 8)) == segments


@pytest.mark.parametrize(
    ("text", "chosen", "units", "limit"),
    [
        ("a" * 766, GSM7, 766, 765),
        ("€" * 381, GSM7, 762, 765),  # within the limit, but 76 pairs a part leave an edge unused
        ("a" * 152 + "€" + "a" * 611, GSM7, 765, 765),
        ("ж" * 336, UCS2, 336, 335),
        (EMOJI * 166, UCS2, 332, 335),
        ("a" * 200_000, GSM7, 200_000, 765),
    ],
)
def test_text_is_refused_whole_when_it_needs_a_sixth_segment(
    text: str, chosen: encoding.Encoding, units: int, limit: int
) -> None:
    for refuses in (segmentation.measure, segmentation.split):
        with pytest.raises(segmentation.TextTooLong) as refusal:
            refuses(text, reference_bits=8)
        assert (refusal.value.unit_count, refusal.value.limit) == (units, limit)
        assert refusal.value.encoding is chosen
        assert text[:10] not in str(refusal.value)


@pytest.mark.parametrize("text", ["€" * 380, EMOJI * 165])
def test_text_of_pairs_alone_fits_when_it_fills_every_part(text: str) -> None:
    assert segmentation.measure(text).segment_count == 5


def test_the_long_reference_is_usual_leaves_less_room_and_refuses_sooner() -> None:
    assert segmentation.measure("a" * 304).segment_count == 2
    assert segmentation.measure("a" * 305).segment_count == 3
    assert segmentation.measure("ж" * 132).segment_count == 2
    assert segmentation.measure("ж" * 133).segment_count == 3
    assert segmentation.measure("a" * 760).segment_count == 5
    assert segmentation.measure("ж" * 330).segment_count == 5
    with pytest.raises(segmentation.TextTooLong) as gsm:
        segmentation.measure("a" * 761)
    with pytest.raises(segmentation.TextTooLong) as ucs2:
        segmentation.split("ж" * 331, 1)
    assert (gsm.value.limit, ucs2.value.limit) == (760, 330)


@given(
    st.text(st.sampled_from("aж€😀"), min_size=1, max_size=400),
    st.integers(0, 0xFFFF),
    st.sampled_from([8, 16]),
    st.sampled_from([8, 16]),
)
def test_a_text_is_cut_as_it_was_priced_whatever_its_carrier_wants_by_then(
    text: str,
    reference: int,
    priced: segmentation.ReferenceBits,
    wished: segmentation.ReferenceBits,
) -> None:
    try:
        plan = segmentation.measure(text, priced)
    except segmentation.TextTooLong:
        assume(False)

    parts = segmentation.split_as_priced(
        text, plan.segment_count, reference, segmentation.Cut(wished)
    )

    assert len(parts) == plan.segment_count
    assert segmentation.rejoin([(part.udh, part.payload) for part in parts], plan.encoding) == text
    if (cut := segmentation.parse_udh(parts[0].udh)) is not None:
        assert cut.reference == reference & ((1 << cut.reference_bits) - 1)
        if wished == priced:
            assert cut.reference_bits == wished


def test_a_text_that_grew_beyond_its_price_is_cut_the_old_way() -> None:
    for text, units in (("a" * 306, 2), ("a" * 765, 5)):
        parts = segmentation.split_as_priced(text, units, 0x1234, segmentation.Cut())
        assert [part.udh[:4].hex() for part in parts] == ["05000334"] * units


def test_empty_text_is_refused() -> None:
    for refuses in (segmentation.measure, segmentation.split):
        with pytest.raises(segmentation.EmptyText):
            refuses("")


def test_header_is_laid_out_as_specified_for_either_reference() -> None:
    first, second = segmentation.split("a" * 161, reference=0xAB, reference_bits=8)
    assert (first.udh.hex(), second.udh.hex()) == ("050003ab0201", "050003ab0202")
    first, second = segmentation.split("a" * 161, reference=0xABCD, reference_bits=16)
    assert (first.udh.hex(), second.udh.hex()) == ("060804abcd0201", "060804abcd0202")
    (alone,) = segmentation.split("a" * 160, reference=0xAB)
    assert (alone.number, alone.total, alone.udh) == (1, 1, b"")


@pytest.mark.parametrize(("reference", "bits"), [(-1, 8), (256, 8), (65_536, 16)])
def test_reference_is_refused_when_it_does_not_fit(
    reference: int, bits: segmentation.ReferenceBits
) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        segmentation.split("a" * 161, reference, bits)


def test_data_coding_names_the_encoding() -> None:
    assert segmentation.data_coding(GSM7) == 0
    assert segmentation.data_coding(UCS2) == 8


def test_part_keeps_its_text_to_itself_when_printed() -> None:
    for part in segmentation.split("secret " * 40):
        assert "secret" in part.text
        assert "secret" not in repr(part)


# 200,000 texts with both seeds, most of them of several parts: how many, and how long at most.
MASS = {
    "plain": (10_000, 400),
    "gsm": (10_000, 400),
    "escapes": (5_000, 170),
    "bmp": (25_000, 200),
    "emoji": (25_000, 140),
    "astral": (25_000, 120),
}


@pytest.mark.parametrize("profile", texts.PROFILES)
@pytest.mark.parametrize("seed", [20_230, 23_038])
def test_parts_are_whole_and_give_the_text_back_when_texts_are_random(
    profile: str, seed: int
) -> None:
    count, longest = MASS[profile]
    for text in texts.random_texts(seed, profile, count, longest):
        plan = segmentation.measure(text)
        parts = segmentation.split(text)
        # Each part decodes alone, so no escape and no surrogate pair is broken.
        assert "".join([part.text for part in parts]) == text
        assert plan.segment_count == len(parts) == parts[-1].total <= 5
        assert octets_on_air(parts) <= 140


@pytest.mark.parametrize("reference_bits", REFERENCE_BITS)
@pytest.mark.parametrize("profile", texts.PROFILES)
def test_parts_are_filled_like_a_naive_splitter_does_when_texts_are_random(
    profile: str, reference_bits: segmentation.ReferenceBits
) -> None:
    for text in texts.random_texts(99, profile, count=150, longest=800):
        expected = naive_part_sizes(text, reference_bits)
        if len(expected) > 5:
            with pytest.raises(segmentation.TextTooLong):
                segmentation.measure(text, reference_bits)
            continue
        parts = segmentation.split(text, 300 % (1 << reference_bits), reference_bits)
        width = 1 if parts[0].encoding is GSM7 else 2
        assert [len(part.payload) // width for part in parts] == expected
        assert segmentation.measure(text, reference_bits).unit_count == sum(expected)


@given(
    st.text(st.sampled_from(f"ab€[{EMOJI}ж"), min_size=1, max_size=400),
    st.sampled_from(REFERENCE_BITS),
    st.randoms(use_true_random=False),
)
def test_text_comes_back_when_packed_parts_arrive_shuffled_and_twice(
    text: str, reference_bits: segmentation.ReferenceBits, rng: random.Random
) -> None:
    try:
        parts = segmentation.split(text, 255, reference_bits)
    except segmentation.TextTooLong:
        assert len(naive_part_sizes(text, reference_bits)) > 5
        return

    received = []
    for part in parts * (1 if len(parts) == 1 else 2):
        payload = part.payload
        if part.encoding is GSM7:
            fill_bits = encoding.fill_bits_after(len(part.udh))
            packed = encoding.pack_septets(payload, fill_bits)
            assert len(part.udh) + len(packed) <= 140
            payload = encoding.unpack_septets(packed, len(payload), fill_bits)
        received.append((part.udh, payload))
    rng.shuffle(received)

    assert segmentation.rejoin(received, parts[0].encoding) == text


def test_split_character_is_read_when_a_foreign_sender_cut_it() -> None:
    octets = encoding.encode_ucs2(EMOJI)

    received = [
        (bytes.fromhex("050003010202"), octets[2:]),
        (bytes.fromhex("050003010201"), octets[:2]),
    ]

    assert segmentation.rejoin(received, UCS2) == EMOJI


@pytest.mark.parametrize(
    "received",
    [
        [],
        [("050003010201", "a")],
        [("050003010201", "a"), ("050003020202", "b")],
        [("050003010201", "a"), ("0608040001" + "0202", "b")],
        [("050003010201", "a"), ("", "b")],
    ],
    ids=["none", "one missing", "two references", "two kinds of reference", "no header"],
)
def test_parts_are_not_joined_when_they_are_not_one_message(
    received: list[tuple[str, str]],
) -> None:
    with pytest.raises(segmentation.UnjoinableParts):
        segmentation.rejoin([(bytes.fromhex(udh), text.encode()) for udh, text in received], GSM7)


@pytest.mark.parametrize(
    ("udh", "expected"),
    [
        ("050003ab0301", (0xAB, 8, 3, 1)),
        ("060804abcd0302", (0xABCD, 16, 3, 2)),
        ("0a0003ab03012501012400", (0xAB, 8, 3, 1)),  # shift tables after it
        ("0b0504158115810003ab0302", (0xAB, 8, 3, 2)),  # ports before it
        ("0a00030102010003020202", (2, 8, 2, 2)),  # the last one wins
        ("0a00030102010003020203", (1, 8, 2, 1)),  # unless it is impossible
        ("050003ab030168656c6c6f", (0xAB, 8, 3, 1)),  # a payload follows
        ("050003ab0300", None),
        ("050003ab0304", None),
        ("050003ab0000", None),
        ("0400020301", None),
        ("060003ab0301", None),  # shorter than it says
        ("050004ab0301", None),  # the element is longer than the header
        ("060003ab030125", None),  # an element without a length spoils the whole
        ("00", None),
        ("", None),
    ],
)
def test_header_is_read_as_a_receiver_must(
    udh: str, expected: tuple[int, segmentation.ReferenceBits, int, int] | None
) -> None:
    concatenation = expected and segmentation.Concatenation(*expected)
    assert segmentation.parse_udh(bytes.fromhex(udh)) == concatenation


@given(st.binary(max_size=20))
def test_header_reading_never_fails_when_it_is_garbage(user_data: bytes) -> None:
    udh, payload = segmentation.detach_udh(user_data)
    assert udh + payload == user_data

    found = segmentation.parse_udh(udh)
    assert found is None or 1 <= found.number <= found.total


def test_header_is_detached_from_a_short_message() -> None:
    (part, _) = segmentation.split("a" * 161)

    assert segmentation.detach_udh(part.udh + part.payload) == (part.udh, part.payload)


TEXTS = st.text(st.sampled_from("ab[ 1éÄ€Ωж"), min_size=1, max_size=330)


@given(TEXTS, st.sampled_from(REFERENCE_BITS), st.sampled_from(repertoires.REPERTOIRES))
def test_a_text_is_cut_as_it_was_measured_and_outside_a_repertoire_as_ucs2(
    text: str, bits: segmentation.ReferenceBits, repertoire: repertoires.Repertoire
) -> None:
    plan = segmentation.measure(text, bits, 10, repertoire)
    parts = segmentation.split(text, 7, bits, 10, repertoire)
    assert (plan.encoding, plan.segment_count) == (parts[0].encoding, len(parts))
    if plan.encoding is GSM7:
        assert repertoires.holds(repertoire, text)
    else:
        assert not repertoires.holds(repertoire, text) or encoding.encoding_of(text) is UCS2


@given(
    TEXTS,
    st.sampled_from(REFERENCE_BITS),
    st.sampled_from(repertoires.REPERTOIRES),
    st.sampled_from(REFERENCE_BITS),
    st.sampled_from(repertoires.REPERTOIRES),
)
def test_a_text_leaves_as_it_was_priced_whatever_its_carrier_wants_by_then(
    text: str,
    then_bits: segmentation.ReferenceBits,
    then: repertoires.Repertoire,
    now_bits: segmentation.ReferenceBits,
    now: repertoires.Repertoire,
) -> None:
    count = segmentation.measure(text, then_bits, 10, then).segment_count
    parts = segmentation.split_as_priced(text, count, 0xABCD, segmentation.Cut(now_bits, now))
    assert len(parts) == count
    assert "".join(part.text for part in parts) == text
