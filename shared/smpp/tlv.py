"""The optional parameters of a PDU, kept as (tag, value) pairs in their order (spec 5.3)."""

import struct
from typing import NamedTuple, TypeAlias

from shared.smpp import codes

Tlvs: TypeAlias = tuple[tuple[int, bytes], ...]

MAX_MESSAGE_ID = 255

_HEADER = struct.Struct(">HH")


def pack(tlvs: Tlvs) -> bytes:
    """Raises struct.error for a tag or a length that does not fit 16 bits."""
    return b"".join([_HEADER.pack(tag, len(value)) + value for tag, value in tlvs])


def unpack(frame: bytes, start: int) -> Tlvs:
    """The parameters from `start` to the frame's end. Raises ValueError when one is cut short."""
    end = len(frame)
    if start >= end:
        return ()
    tlvs: list[tuple[int, bytes]] = []
    while start < end:
        if start + 4 > end:
            raise ValueError("cut inside a parameter's header")
        tag, size = _HEADER.unpack_from(frame, start)
        value_at = start + 4
        start = value_at + size
        tlvs.append((tag, frame[value_at:start]))
    if start > end:
        raise ValueError("cut inside a parameter's value")
    return tuple(tlvs)


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
    """Reads them all at once; of repeated ones the first counts."""
    if not tlvs:
        return _NO_PARAMETERS
    values = dict(reversed(tlvs))
    name = values.get(codes.TLV_RECEIPTED_MESSAGE_ID, b"")
    state = values.get(codes.TLV_MESSAGE_STATE, b"")
    error = values.get(codes.TLV_NETWORK_ERROR_CODE, b"")
    reference = values.get(codes.TLV_USER_MESSAGE_REFERENCE, b"")
    return ReceiptParameters(
        name[:MAX_MESSAGE_ID].partition(b"\0")[0].decode("latin-1") or None,
        state[0] if len(state) == 1 else None,
        (error[0], error[1] << 8 | error[2]) if len(error) == 3 else None,
        reference[0] << 8 | reference[1] if len(reference) == 2 else None,
    )


_NO_PARAMETERS = ReceiptParameters()


def message_payload(tlvs: Tlvs) -> bytes | None:
    """The text of a message too long for short_message; None if absent."""
    return find(tlvs, codes.TLV_MESSAGE_PAYLOAD)
