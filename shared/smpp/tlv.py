"""The optional parameters of a PDU, kept as (tag, value) pairs in their order (spec 5.3)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from shared.smpp import codes

Tlvs = tuple[tuple[int, bytes], ...]
Parser = Callable[[bytes, int], Tlvs]
"""Reads a frame's parameters from a place on."""

MESSAGE_ID_BYTES_MAX = 255

_HEADER = struct.Struct(">HH")
_HEADER_BYTES = _HEADER.size


class CutShort(ValueError):
    """The last parameter is not whole."""


def pack(tlvs: Tlvs) -> bytes:
    """The parameters as bytes. Raises struct.error for a tag or a length beyond 16 bits."""
    return b"".join([pack_one(tag, value) for tag, value in tlvs])


def pack_one(tag: int, value: bytes) -> bytes:
    """One parameter as bytes. Raises as `pack`."""
    return _HEADER.pack(tag, len(value)) + value


def unpack(frame: bytes, start: int) -> Tlvs:
    """The parameters from `start` to the frame's end. Raises CutShort."""
    tlvs, end = _whole(frame, start)
    if end < len(frame):
        raise CutShort
    return tlvs


def unpack_sound(frame: bytes, start: int) -> Tlvs:
    """The parameters before the first that is cut short; all of them when none is."""
    return _whole(frame, start)[0]


def _whole(frame: bytes, start: int) -> tuple[Tlvs, int]:
    """The whole parameters from `start` on, and where the last of them ends."""
    size = len(frame)
    tlvs: list[tuple[int, bytes]] = []
    while (value_at := start + _HEADER_BYTES) <= size:
        tag, length = _HEADER.unpack_from(frame, start)
        after = value_at + length
        if after > size:
            break
        tlvs.append((tag, frame[value_at:after]))
        start = after
    return tuple(tlvs), start


def find(tlvs: Tlvs, tag: int) -> bytes | None:
    """The value of the first parameter with this tag."""
    for found, value in tlvs:
        if found == tag:
            return value
    return None


class ReceiptParameters(NamedTuple):
    """What a receipt says in parameters; None for one that is absent or of a wrong size."""

    message_id: str | None = None
    """The carrier's id of the segment, up to its NUL; not empty."""
    state: int | None = None
    """The state as a number (spec 5.2.28)."""
    network_error: tuple[int, int] | None = None
    """Network type and the network's error (spec 5.3.2.31)."""
    reference: int | None = None
    """The sender's own 16-bit number, given back."""


def receipt_parameters(tlvs: Tlvs) -> ReceiptParameters:
    """All of them at once; of repeated ones the first counts."""
    if not tlvs:
        return _NO_PARAMETERS
    name = state = error = reference = b""
    for tag, value in reversed(tlvs):
        if tag == codes.TLV_RECEIPTED_MESSAGE_ID:
            name = value
        elif tag == codes.TLV_MESSAGE_STATE:
            state = value
        elif tag == codes.TLV_NETWORK_ERROR_CODE:
            error = value
        elif tag == codes.TLV_USER_MESSAGE_REFERENCE:
            reference = value
    return ReceiptParameters(
        name[:MESSAGE_ID_BYTES_MAX].partition(b"\0")[0].decode("latin-1") or None,
        state[0] if len(state) == 1 else None,
        (error[0], error[1] << 8 | error[2]) if len(error) == 3 else None,
        reference[0] << 8 | reference[1] if len(reference) == 2 else None,
    )


_NO_PARAMETERS = ReceiptParameters()


def message_payload(tlvs: Tlvs) -> bytes | None:
    """The text of a message too long for short_message; None if absent."""
    return find(tlvs, codes.TLV_MESSAGE_PAYLOAD)


class Sar(NamedTuple):
    """Of which whole a message is a part, said in parameters (spec 5.3.2.22 to 5.3.2.24)."""

    reference: int
    total: int
    number: int


def sar(tlvs: Tlvs) -> Sar | None:
    """What the parameters say of a whole; None when one of the three is absent, of a wrong size, or
    names a part there cannot be."""
    reference = find(tlvs, codes.TLV_SAR_MSG_REF_NUM) or b""
    total = find(tlvs, codes.TLV_SAR_TOTAL_SEGMENTS) or b""
    number = find(tlvs, codes.TLV_SAR_SEGMENT_SEQNUM) or b""
    if (len(reference), len(total), len(number)) != (2, 1, 1):
        return None
    if not 1 <= number[0] <= total[0]:
        return None
    return Sar(int.from_bytes(reference, "big"), total[0], number[0])
