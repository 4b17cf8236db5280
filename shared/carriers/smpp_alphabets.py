"""A segment's text in the alphabet that an SMSC calls its default (data_coding 0).

SMPP 3.4 leaves open which one that is (§5.2.19). A segment comes as unpacked GSM septets, or as
UCS-2, which every SMSC reads alike. What is not GSM's alphabet is not free of it either: the SMSC
turns the text into septets for the air, so only characters of both can be written.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.carriers import contract
from shared.smpp import codes, pdu
from shared.sms import encoding
from shared.sms.repertoires import Repertoire

_SEGMENT_OCTETS_MAX = 140
_PART_OCTETS_MAX = 134
"""Of a whole text that the SMSC cuts, beside the shortest header."""


class Codings(NamedTuple):
    """How one carrier wants text: its default alphabet, and the data_coding it reads as that one
    and as UCS-2."""

    repertoire: Repertoire = "gsm7"
    packed: bool = False
    default: int = 0
    ucs2: int = 8


def write(segment: contract.Segment, header: bytes, codings: Codings) -> tuple[int, bytes]:
    """The data_coding and the octets of a segment with this header. What the alphabet does not
    hold goes as UCS-2 where a segment has room for it, as it has wherever the text was priced for
    this carrier. Raises pdu.PduError where it has not: nothing is replaced unseen."""
    if segment.encoding is encoding.Encoding.UCS2:
        return codings.ucs2, header + segment.payload
    if codings.packed:
        fill_bits = encoding.fill_bits_after(len(header))
        return codings.default, header + encoding.pack_septets(segment.payload, fill_bits)
    if codings.repertoire == "gsm7":
        return codings.default, header + segment.payload
    text = segment.text
    try:
        return codings.default, header + text.encode(codings.repertoire)
    except UnicodeEncodeError:
        octets = header + encoding.encode_ucs2(text)
    if len(octets) > _room(segment):
        raise pdu.PduError(codes.ESME_RINVMSGLEN)
    return codings.ucs2, octets


def _room(segment: contract.Segment) -> int:
    """Octets that take no more segments on the air than were paid for."""
    if segment.is_whole:
        return _PART_OCTETS_MAX * segment.part_count
    return _SEGMENT_OCTETS_MAX
