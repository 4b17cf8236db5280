"""How a text becomes segments, and segments become a text again.

Source: 3GPP TS 23.040 §9.2.3.24 (user data header), §9.2.3.24.1 and §9.2.3.24.8 (concatenation with
an 8 bit and a 16 bit reference). Measuring and splitting share one function, so what is priced is
what is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal, NamedTuple

from shared.sms import encoding as encodings
from shared.sms import repertoires

SEGMENT_COUNT_MAX = 5
"""Unless who sends says otherwise."""
GSM7_SINGLE_SEPTETS = 160
GSM7_PART_SEPTETS = 153
UCS2_SINGLE_UNITS = 70
UCS2_PART_UNITS = 67

ReferenceBits = Literal[8, 16]

_CONCATENATION_8 = 0x00
_CONCATENATION_16 = 0x08


class _Shape(NamedTuple):
    """One encoding's measures in octets of payload, and how the first half of a pair looks."""

    unit_octets: int
    single_octets: int
    part_octets: dict[ReferenceBits, int]
    lead_mask: int
    lead: int


# The 16 bit reference makes the header an octet longer, which costs one septet or one code unit.
_SHAPES = {
    encodings.Encoding.GSM7: _Shape(
        unit_octets=1,
        single_octets=GSM7_SINGLE_SEPTETS,
        part_octets={8: GSM7_PART_SEPTETS, 16: GSM7_PART_SEPTETS - 1},
        lead_mask=0xFF,
        lead=encodings.ESCAPE,
    ),
    encodings.Encoding.UCS2: _Shape(
        unit_octets=2,
        single_octets=2 * UCS2_SINGLE_UNITS,
        part_octets={8: 2 * UCS2_PART_UNITS, 16: 2 * (UCS2_PART_UNITS - 1)},
        lead_mask=0xFC,
        lead=0xD8,
    ),
}


class EmptyText(ValueError):
    """There is nothing to send."""

    def __init__(self) -> None:
        super().__init__("the text is empty")


class TextTooLong(ValueError):
    """The text needs more segments than it may have.

    `unit_count` and `limit` are septets or UTF-16 code units, as `encoding` says. The count may be
    within the limit: pairs that may not be split can push a text of 765 septets into a sixth part.
    """

    def __init__(
        self, unit_count: int, limit: int, encoding: encodings.Encoding, count_max: int
    ) -> None:
        super().__init__(
            f"the text takes {unit_count} {encoding} units and does not fit into "
            f"{count_max} segments, which hold at most {limit}"
        )
        self.unit_count = unit_count
        self.limit = limit
        self.encoding = encoding


class UnjoinableParts(ValueError):
    """The parts are not one whole message: some are missing, or they belong to different ones."""


class Plan(NamedTuple):
    """What a text will take. `unit_count` is septets or UTF-16 code units, without headers."""

    encoding: encodings.Encoding
    segment_count: int
    unit_count: int


class Part(NamedTuple):
    """One segment: `number` of `total` from 1, its header (empty if alone) and its payload.

    The payload is unpacked septets or UTF-16BE. It always ends between two characters.
    """

    number: int
    total: int
    encoding: encodings.Encoding
    udh: bytes
    payload: bytes

    def __repr__(self) -> str:
        return f"Part(number={self.number}, total={self.total}, encoding={self.encoding})"

    @property
    def text(self) -> str:
        """The characters this part alone carries."""
        return encodings.decode(self.payload, self.encoding)


class Concatenation(NamedTuple):
    """What a user data header says of the whole: which message, how many parts, which one."""

    reference: int
    reference_bits: ReferenceBits
    total: int
    number: int


class Cut(NamedTuple):
    """How a carrier wants long texts: the length of the reference by which parts are joined, and
    the characters that it takes without UCS-2."""

    reference_bits: ReferenceBits = 16
    repertoire: repertoires.Repertoire = "gsm7"


def encode(text: str, repertoire: repertoires.Repertoire) -> tuple[encodings.Encoding, bytes]:
    """A text, uncut, as a carrier of this repertoire takes it. Raises UnencodableText."""
    encoded = encodings.encode(text)
    if repertoire == "gsm7" or encoded[0] is encodings.Encoding.UCS2:
        return encoded
    if repertoires.holds(repertoire, text):
        return encoded
    return encodings.Encoding.UCS2, encodings.encode_ucs2(text)


def measure(
    text: str,
    reference_bits: ReferenceBits = 16,
    count_max: int = SEGMENT_COUNT_MAX,
    repertoire: repertoires.Repertoire = "gsm7",
) -> Plan:
    """How the text would be split. Raises EmptyText, TextTooLong, encoding.UnencodableText.

    `reference_bits` and `repertoire` must be what `split` is later given: the longer reference
    leaves less room, and what a carrier's alphabet does not hold is counted as UCS-2.
    """
    encoding, payload = encode(text, repertoire)
    bounds = _bounds(payload, encoding, reference_bits, count_max)
    return Plan(encoding, len(bounds) - 1, len(payload) // _SHAPES[encoding].unit_octets)


def fits_one(encoding: encodings.Encoding, payload: bytes) -> bool:
    """Whether one segment holds a text; an empty one is none."""
    return 0 < len(payload) <= _SHAPES[encoding].single_octets


def split(
    text: str,
    reference: int = 0,
    reference_bits: ReferenceBits = 16,
    count_max: int = SEGMENT_COUNT_MAX,
    repertoire: repertoires.Repertoire = "gsm7",
) -> tuple[Part, ...]:
    """The segments of a text, filled greedily; as many as `measure` says, and the same errors.

    Raises ValueError if the reference does not fit into its bits.
    """
    encoding, payload = encode(text, repertoire)
    if fits_one(encoding, payload):
        return (Part(1, 1, encoding, b"", payload),)
    bounds = _bounds(payload, encoding, reference_bits, count_max)
    total = len(bounds) - 1
    if not 0 <= reference < 1 << reference_bits:
        raise ValueError(f"the reference {reference} does not fit into {reference_bits} bits")
    return tuple(
        Part(
            number,
            total,
            encoding,
            _udh(reference, reference_bits, total, number),
            payload[start:end],
        )
        for number, (start, end) in enumerate(pairwise(bounds), 1)
    )


def split_as_priced(text: str, segment_count: int, reference: int, wished: Cut) -> tuple[Part, ...]:
    """The segments of a text that was measured, and paid for, as so many.

    `wished` is what its carrier wants now. Something else may have been wanted when the text was
    measured, by that carrier or by another; then that stands, unless it makes no difference. Of an
    8 bit reference the low bits are taken. Raises what `split` raises.
    """
    parts = _split_into(text, segment_count, reference, *wished)
    if len(parts) == segment_count:
        return parts
    bits, repertoire = wished
    other_bits: ReferenceBits = 8 if bits == 16 else 16
    others = (each for each in repertoires.REPERTOIRES if each != repertoire)
    for each in (repertoire, *others):
        for tried in (bits, other_bits):
            parts = _split_into(text, segment_count, reference, tried, each)
            if len(parts) == segment_count:
                return parts
    return split(text, reference & ((1 << other_bits) - 1), other_bits, segment_count, repertoire)


def _split_into(
    text: str,
    segment_count: int,
    reference: int,
    bits: ReferenceBits,
    repertoire: repertoires.Repertoire,
) -> tuple[Part, ...]:
    """The segments if they are not more than that; else none."""
    try:
        return split(text, reference & ((1 << bits) - 1), bits, segment_count, repertoire)
    except TextTooLong:
        return ()


def _bounds(
    payload: bytes, encoding: encodings.Encoding, reference_bits: ReferenceBits, count_max: int
) -> list[int]:
    """Offsets where the parts begin, and the end: n + 1 of them for n parts."""
    if not payload:
        raise EmptyText
    shape = _SHAPES[encoding]
    size = len(payload)
    if fits_one(encoding, payload):
        return [0, size]
    room = shape.part_octets[reference_bits]
    bounds = [0]
    while (end := bounds[-1] + room) < size:
        # This part will not be the last.
        if len(bounds) == count_max:
            limit = count_max * room // shape.unit_octets
            raise TextTooLong(size // shape.unit_octets, limit, encoding, count_max)
        if payload[end - shape.unit_octets] & shape.lead_mask == shape.lead:
            end -= shape.unit_octets
        bounds.append(end)
    bounds.append(size)
    return bounds


def _udh(reference: int, reference_bits: ReferenceBits, total: int, number: int) -> bytes:
    if reference_bits == 8:
        return bytes((5, _CONCATENATION_8, 3, reference, total, number))
    return bytes((6, _CONCATENATION_16, 4, reference >> 8, reference & 0xFF, total, number))


def data_coding(encoding: encodings.Encoding) -> int:
    """The octet SMPP calls `data_coding`: 0 for the default alphabet, 8 for UCS-2."""
    return 0 if encoding is encodings.Encoding.GSM7 else 8


def detach_udh(user_data: bytes) -> tuple[bytes, bytes]:
    """Header and payload of a short message whose header indicator is set; never fails."""
    length = user_data[0] + 1 if user_data else 0
    return user_data[:length], user_data[length:]


def parse_udh(udh: bytes) -> Concatenation | None:
    """What a received header says about concatenation, or None. Never fails on foreign bytes.

    As TS 23.040 §9.2.3.24 asks of a receiver: elements it does not know, of a wrong length or with
    an impossible count are skipped, the last good one wins, and a header whose elements do not add
    up to its length is ignored as a whole.
    """
    if not udh or len(udh) <= udh[0]:
        return None
    found = None
    end = udh[0] + 1
    place = 1
    while place < end:
        if place + 2 > end or (following := place + 2 + udh[place + 1]) > end:
            return None
        found = _concatenation(udh[place], udh[place + 2 : following]) or found
        place = following
    return found


def _concatenation(identifier: int, element: bytes) -> Concatenation | None:
    bits: ReferenceBits
    if identifier == _CONCATENATION_8 and len(element) == 3:
        bits = 8
    elif identifier == _CONCATENATION_16 and len(element) == 4:
        bits = 16
    else:
        return None
    *_, total, number = element
    if not 1 <= number <= total:
        return None
    return Concatenation(int.from_bytes(element[:-2], "big"), bits, total, number)


def rejoin(parts: Iterable[tuple[bytes, bytes]], encoding: encodings.Encoding) -> str:
    """The text of received (header, payload) pairs, in any order, repeated or not.

    Payloads are joined before decoding, so a sender that split a character is read all the same.
    Raises UnjoinableParts unless they are exactly one whole message.
    """
    received = [(parse_udh(udh), payload) for udh, payload in parts]
    if len(received) == 1 and received[0][0] is None:
        return encodings.decode(received[0][1], encoding)
    payloads: dict[int, bytes] = {}
    messages = set()
    for concatenation, payload in received:
        if concatenation is None:
            raise UnjoinableParts("a part says nothing about concatenation")
        whole = (concatenation.reference, concatenation.reference_bits, concatenation.total)
        messages.add(whole)
        payloads[concatenation.number] = payload
    if len(messages) != 1:
        raise UnjoinableParts(f"parts of {len(messages)} messages")
    (_, _, total) = messages.pop()
    if len(payloads) != total:
        raise UnjoinableParts(f"{len(payloads)} parts of {total}")
    return encodings.decode(b"".join(payloads[n] for n in range(1, total + 1)), encoding)
