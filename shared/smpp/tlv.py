"""The optional parameters of a PDU, kept as (tag, value) pairs in their order (spec 5.3)."""

import struct
from typing import TypeAlias

from shared.smpp import codes

Tlvs: TypeAlias = tuple[tuple[int, bytes], ...]

MAX_MESSAGE_ID = 255

_HEADER = struct.Struct(">HH")


def pack(tlvs: Tlvs) -> bytes:
    """Raises struct.error for a tag or a length that does not fit 16 bits."""
    return b"".join([_HEADER.pack(tag, len(value)) + value for tag, value in tlvs])


def unpack(frame: bytes, start: int) -> Tlvs:
    """The parameters from `start` to the frame's end. Raises ValueError when one is cut short."""
    tlvs: list[tuple[int, bytes]] = []
    end = len(frame)
    while start < end:
        if end - start < _HEADER.size:
            raise ValueError("cut inside a parameter's header")
        tag, size = _HEADER.unpack_from(frame, start)
        start += _HEADER.size
        if end - start < size:
            raise ValueError("cut inside a parameter's value")
        tlvs.append((tag, frame[start : start + size]))
        start += size
    return tuple(tlvs)


def find(tlvs: Tlvs, tag: int) -> bytes | None:
    """The value of the first parameter with this tag."""
    for found, value in tlvs:
        if found == tag:
            return value
    return None


def receipted_message_id(tlvs: Tlvs) -> str | None:
    """The carrier's id of the segment a receipt is about, up to its NUL; None if there is none."""
    value = find(tlvs, codes.TLV_RECEIPTED_MESSAGE_ID)
    if not value:
        return None
    return value[:MAX_MESSAGE_ID].partition(b"\0")[0].decode("latin-1") or None


def message_state(tlvs: Tlvs) -> int | None:
    """The receipt's state as a number (spec 5.2.28); None if absent or not one octet."""
    value = find(tlvs, codes.TLV_MESSAGE_STATE)
    return value[0] if value is not None and len(value) == 1 else None


def network_error_code(tlvs: Tlvs) -> tuple[int, int] | None:
    """Network type and the network's error (spec 5.3.2.31); None if absent or not three octets."""
    value = find(tlvs, codes.TLV_NETWORK_ERROR_CODE)
    if value is None or len(value) != 3:
        return None
    return value[0], int.from_bytes(value[1:], "big")


def user_message_reference(tlvs: Tlvs) -> int | None:
    """The sender's own 16-bit number, given back in receipts; None if absent or not two octets."""
    value = find(tlvs, codes.TLV_USER_MESSAGE_REFERENCE)
    return int.from_bytes(value, "big") if value is not None and len(value) == 2 else None


def message_payload(tlvs: Tlvs) -> bytes | None:
    """The text of a message too long for short_message; None if absent."""
    return find(tlvs, codes.TLV_MESSAGE_PAYLOAD)
