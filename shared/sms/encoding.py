"""The two encodings of a text: the GSM 7 bit default alphabet and UCS-2.

Source: 3GPP TS 23.038 §6.2.1 (alphabet), §6.2.1.1 (extension table), §6.1.2.1 (packing). UCS-2 is
sent as UTF-16BE, which is how phones read it, so a character beyond U+FFFF counts two.

GSM octets are unpacked septets: one septet in each octet, an extension character as 0x1B and its
code. That is what SMPP carries; packing is for the air and for carriers that ask for it.
"""

from __future__ import annotations

import codecs
import re
from enum import StrEnum


class Encoding(StrEnum):
    """How a text travels, and the unit it is counted in: septets, or UTF-16 code units."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


class UnencodableText(ValueError):
    """A character no encoding in question can carry; `position` is its index in the text.

    The text itself is neither in the message nor reachable through a chained exception.
    """

    def __init__(self, position: int, encoding: Encoding) -> None:
        super().__init__(f"the character at position {position} cannot be encoded as {encoding}")
        self.position = position
        self.encoding = encoding


ESCAPE = 0x1B

# The place of a character is its code. Place 0x1B is the escape, which is not a character.
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
_BASIC_CODES = {char: code for code, char in enumerate(_BASIC) if code != ESCAPE}
_PLAIN_CODES = {char: code for char, code in _BASIC_CODES.items() if ord(char) < 0x100}


def _any_of(chars: dict[str, int]) -> re.Pattern[str]:
    return re.compile("[" + re.escape("".join(chars)) + "]*")


_GSM7_TEXT = _any_of(_BASIC_CODES | _EXTENSION)
# Nearly every text is plain: in Latin-1, a septet a character. Two C loops encode it.
_PLAIN_TEXT = _any_of(_PLAIN_CODES)
_PLAIN_TO_CODE = bytes(_PLAIN_CODES.get(chr(octet), 0) for octet in range(0x100))
_CHAR_TO_CODES = {ord(char): chr(code) for char, code in _BASIC_CODES.items()} | {
    ord(char): chr(ESCAPE) + chr(code) for char, code in _EXTENSION.items()
}

_CODE_TO_CHAR = _BASIC + "\ufffd" * 0x80
_ESCAPED = re.compile("\x1b(.?)", re.DOTALL)
# A receiver shows a space for an escape to a table it does not know, or to nothing.
_ESCAPED_CHARS = {_BASIC[code]: char for char, code in _EXTENSION.items()} | {"\x1b": " ", "": " "}

_SEPTET_BITS = tuple(f"{septet:07b}" for septet in range(0x80))


def encoding_of(text: str) -> Encoding:
    """The cheapest encoding that carries the whole text; one foreign character makes it UCS-2."""
    return Encoding.GSM7 if _GSM7_TEXT.fullmatch(text) else Encoding.UCS2


def encode(text: str) -> tuple[Encoding, bytes]:
    """Choose the encoding and apply it. Raises UnencodableText for a lone surrogate."""
    if _PLAIN_TEXT.fullmatch(text):
        return Encoding.GSM7, _encode_plain(text)
    if _GSM7_TEXT.fullmatch(text):
        return Encoding.GSM7, _encode_mapped(text)
    return Encoding.UCS2, encode_ucs2(text)


def decode(octets: bytes, encoding: Encoding) -> str:
    """The text of a payload. Never fails: what is not a character becomes U+FFFD."""
    return decode_gsm7(octets) if encoding is Encoding.GSM7 else decode_ucs2(octets)


def unit_count(text: str, encoding: Encoding) -> int:
    """Septets or UTF-16 code units the text takes. Raises UnencodableText."""
    if encoding is Encoding.GSM7:
        return len(encode_gsm7(text))
    return len(encode_ucs2(text)) // 2


def encode_gsm7(text: str) -> bytes:
    """Unpacked septets. Raises UnencodableText for a character outside the default alphabet."""
    if _PLAIN_TEXT.fullmatch(text):
        return _encode_plain(text)
    if _GSM7_TEXT.fullmatch(text):
        return _encode_mapped(text)
    known = _GSM7_TEXT.match(text)
    raise UnencodableText(known.end() if known else 0, Encoding.GSM7)


def _encode_plain(text: str) -> bytes:
    return text.encode("latin-1").translate(_PLAIN_TO_CODE)


def _encode_mapped(text: str) -> bytes:
    return text.translate(_CHAR_TO_CODES).encode("latin-1")


def decode_gsm7(octets: bytes) -> str:
    """The text of unpacked septets, as TS 23.038 asks of a receiver; an octet over 0x7F is U+FFFD.

    An escape before a code the extension table leaves open gives that code's basic character; an
    escape before another escape, or at the end, gives a space.
    """
    text, _ = codecs.charmap_decode(octets, "strict", _CODE_TO_CHAR)
    if ESCAPE not in octets:
        return text
    return _ESCAPED.sub(lambda found: _ESCAPED_CHARS.get(found[1], found[1]), text)


def encode_ucs2(text: str) -> bytes:
    """UTF-16BE. Raises UnencodableText for a lone surrogate, which is half a character."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError as fault:
        position = fault.start
    # Raised out here, because the fault carries the text and would come along as the context.
    raise UnencodableText(position, Encoding.UCS2)


def decode_ucs2(octets: bytes) -> str:
    """The text of UTF-16BE; half a character, or half a code unit, becomes U+FFFD."""
    return octets.decode("utf-16-be", "replace")


def pack_septets(octets: bytes, fill_bits: int = 0) -> bytes:
    """Eight septets into seven octets, after `fill_bits` zero bits (see `fill_bits_after`).

    Raises ValueError if an octet is not a septet.
    """
    if octets and max(octets) > 0x7F:
        raise ValueError("an octet over 0x7F is not a septet")
    # The first septet sits in the lowest bits, so as one number the septets read backwards.
    bits = "".join([_SEPTET_BITS[septet] for septet in reversed(octets)]) + "0" * fill_bits
    return int(bits or "0", 2).to_bytes((len(bits) + 7) // 8, "little")


def unpack_septets(packed: bytes, septet_count: int, fill_bits: int = 0) -> bytes:
    """The first `septet_count` septets after the fill bits; the inverse of `pack_septets`.

    The count is needed because seven spare bits and a final `@` look the same.
    Raises ValueError if there are fewer.
    """
    if fill_bits + 7 * septet_count > 8 * len(packed):
        raise ValueError(f"{len(packed)} octets cannot hold {septet_count} septets")
    number = int.from_bytes(packed, "little") >> fill_bits
    return bytes((number >> 7 * place) & 0x7F for place in range(septet_count))


def fill_bits_after(header_octet_count: int) -> int:
    """Zero bits between a user data header and the next septet boundary (TS 23.040 §9.2.3.24)."""
    return -8 * header_octet_count % 7
