"""What phones send: octets in an alphabet, parts of a whole, and the text they make together.

Sources: SMPP 3.4 §5.2.19 (data_coding), 3GPP TS 23.038 §4 (the coding schemes of GSM, which many
centres pass on as they are) and §6.1.2.1 (packing), TS 23.040 §9.2.3.24 (header).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Literal, NamedTuple

from shared.sms import e164, encoding, segmentation

DefaultAlphabet = Literal["gsm7", "gsm7_packed", "latin1"]
"""What a carrier means by its default alphabet: septets, an octet each or packed, or Latin-1."""


class Alphabet(StrEnum):
    """How the octets of a part are read; what is BINARY is no text."""

    GSM7 = "gsm7"
    LATIN1 = "latin1"
    CYRILLIC = "iso8859_5"
    HEBREW = "iso8859_8"
    UCS2 = "ucs2"
    BINARY = "binary"


class InboundPart(NamedTuple):
    """One delivery of a phone's message: the whole of it, or a part where there is `concatenation`.

    `payload` is without `udh`; GSM 7 bit is unpacked, a septet an octet. `sender` and `recipient`
    are as `address` writes them. `mark` is what else tells this delivery from others.
    """

    sender: str
    recipient: str
    alphabet: Alphabet
    udh: bytes
    payload: bytes
    concatenation: segmentation.Concatenation | None = None
    mark: bytes = b""

    def __repr__(self) -> str:
        return f"InboundPart({self.alphabet}, {self.concatenation})"

    def fingerprint(self, carrier_id: int) -> bytes:
        """16 octets that a repetition of the delivery has too, and no other."""
        told = hashlib.sha256()
        for each in (
            str(carrier_id).encode(),
            self.sender.encode(),
            self.recipient.encode(),
            self.alphabet.encode(),
            self.udh,
            self.payload,
            repr(self.concatenation).encode(),
            self.mark,
        ):
            told.update(len(each).to_bytes(4, "big") + each)
        return told.digest()[:16]


class InboundText(NamedTuple):
    """What parts say together: text, or octets where one of them is binary, and then the header
    of the first. `missing` are the numbers of the parts that are not there."""

    body: str | None
    data: bytes | None
    encoding: Alphabet
    missing: tuple[int, ...]
    udh: bytes | None = None


class Piece(NamedTuple):
    """What of a part joining needs to know."""

    number: int
    alphabet: Alphabet
    payload: bytes
    udh: bytes = b""

    def __repr__(self) -> str:
        return f"Piece({self.number}, {self.alphabet})"


def alphabet_of(data_coding: int, default: Alphabet) -> Alphabet:
    """The alphabet of a data_coding; what is reserved, compressed or not for texts is binary."""
    if data_coding < 0x10:
        return _SMPP_CODINGS.get(data_coding, Alphabet.BINARY) if data_coding else default
    if data_coding >= 0xF0:
        return Alphabet.BINARY if data_coding & 0x04 else default
    if data_coding >= 0xC0:
        return Alphabet.UCS2 if data_coding >= 0xE0 else default
    if data_coding >= 0x80 or data_coding & 0x20:
        return Alphabet.BINARY
    return (default, Alphabet.BINARY, Alphabet.UCS2, Alphabet.BINARY)[data_coding >> 2 & 3]


_SMPP_CODINGS = {
    1: Alphabet.LATIN1,  # IA5, whose texts are the same in Latin-1.
    3: Alphabet.LATIN1,
    6: Alphabet.CYRILLIC,
    7: Alphabet.HEBREW,
    8: Alphabet.UCS2,
}


def read(
    user_data: bytes, data_coding: int, *, has_udh: bool, default: DefaultAlphabet = "gsm7"
) -> tuple[Alphabet, bytes, bytes]:
    """(alphabet, header, payload) of a delivery's octets; total. A header that is longer than what
    is there is none, and all of it is kept as it came."""
    alphabet = alphabet_of(data_coding, Alphabet.LATIN1 if default == "latin1" else Alphabet.GSM7)
    udh, payload = segmentation.detach_udh(user_data) if has_udh else (b"", user_data)
    if udh and len(udh) <= udh[0]:
        return Alphabet.BINARY, b"", user_data
    if alphabet is Alphabet.GSM7 and default == "gsm7_packed":
        payload = _unpacked(payload, encoding.fill_bits_after(len(udh)))
    return alphabet, udh, payload


def _unpacked(packed: bytes, fill_bits: int) -> bytes:
    """The septets in these octets. Seven bits to spare hold no character: a centre leaves zeros
    there, which would be an @."""
    bit_count = 8 * len(packed) - fill_bits
    if bit_count < 7:
        return b""
    septets = encoding.unpack_septets(packed, bit_count // 7, fill_bits)
    is_padded = bit_count % 7 == 0 and septets.endswith(b"\0")
    return septets[:-1] if is_padded else septets


_SHORT_CODE_DIGITS_MAX = 8


def address(written: str, *, is_international: bool) -> str:
    """A number as this product writes it: E.164 with its plus where it is one, else as it came. A
    carrier may say that it is international, write a plus or zeros before it, or nothing at all."""
    digits = written.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()):
        return written
    if is_international or digits != written:
        return f"+{digits}"
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    return f"+{digits}" if _is_whole_number(digits) else written


def _is_whole_number(digits: str) -> bool:
    """Whether digits without any mark are a country's code and a number in its plan. Few digits
    are a short code, whatever plan they may fit."""
    if len(digits) <= _SHORT_CODE_DIGITS_MAX:
        return False
    try:
        e164.parse(f"+{digits}")
    except e164.InvalidNumber:
        return False
    return True


def sort_out(total: int, numbers: Iterable[int]) -> Iterator[list[int]]:
    """The places of each message's parts among parts that bear the same reference and these
    numbers, in the order they came. Repetitions are taken out before; so a number that comes again
    is of the next message of a phone that uses one reference twice, and what was open then gets no
    more parts."""
    open_places: dict[int, int] = {}
    for place, number in enumerate(numbers):
        if number in open_places:
            yield list(open_places.values())
            open_places = {}
        open_places[number] = place
        if len(open_places) == total:
            yield list(open_places.values())
            open_places = {}
    if open_places:
        yield list(open_places.values())


def join(total: int, pieces: Sequence[Piece]) -> InboundText:
    """What the pieces of one message say, in the order of their numbers. Neighbours of one alphabet
    are read together, for a phone may cut a character in two."""
    ordered = sorted(pieces, key=lambda piece: piece.number)
    missing = tuple(sorted({*range(1, total + 1)} - {piece.number for piece in ordered}))
    alphabets = {piece.alphabet for piece in ordered}
    if Alphabet.BINARY in alphabets:
        data = b"".join([piece.payload for piece in ordered])
        return InboundText(None, data, Alphabet.BINARY, missing, ordered[0].udh)
    body = "".join(
        decode(b"".join([piece.payload for _, piece in run]), alphabet)
        for (alphabet, _), run in groupby(enumerate(ordered), _run_of)
    )
    named = Alphabet.UCS2 if len(alphabets) > 1 else ordered[0].alphabet
    return InboundText(body, None, named, missing)


def _run_of(placed: tuple[int, Piece]) -> tuple[Alphabet, int]:
    """The same for neighbours of one alphabet: numbers rise with places where none is missing."""
    place, piece = placed
    return piece.alphabet, piece.number - place


_CODECS = {Alphabet.CYRILLIC: "iso8859-5", Alphabet.HEBREW: "iso8859-8"}


def decode(octets: bytes, alphabet: Alphabet) -> str:
    """The text of octets that are some; never fails. What is no character becomes U+FFFD, and so
    does NUL, which a database cannot keep."""
    match alphabet:
        case Alphabet.GSM7:
            text = encoding.decode_gsm7(octets)
        case Alphabet.UCS2:
            text = encoding.decode_ucs2(octets)
        case _:
            text = octets.decode(_CODECS.get(alphabet, "latin-1"), "replace")
    return text.replace("\0", "\ufffd")


_FIRST_WORD = re.compile(r"[\W_]*([^\W_]+)")


def first_word(text: str) -> str:
    """The first word in capitals, without what is around it that is neither letter nor digit; ""
    where there is none."""
    found = _FIRST_WORD.match(unicodedata.normalize("NFC", text))
    return found[1].upper() if found else ""
