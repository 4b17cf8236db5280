"""A byte stream as PDU frames, with at most one unfinished frame of 64 KiB in hand."""

from __future__ import annotations

import struct

from shared.smpp import codes

_LENGTH = struct.Struct(">I")
_LENGTH_BYTES = _LENGTH.size
_MIN, _MAX = codes.HEADER_BYTES, codes.PDU_BYTES_MAX


class Framer:
    """One connection's framing.

    Once a length field lies outside 16..65,536 there is no way to find the next PDU: `broken`
    stays True and everything fed later is dropped.
    """

    __slots__ = ("_rest", "broken")

    def __init__(self) -> None:
        self._rest: bytearray = bytearray()
        self.broken = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; the frames they complete, in order."""
        if self.broken:
            return []
        rest = self._rest
        if rest:
            rest += data
            # What does not complete a frame is not copied: a peer may send an octet at a time.
            if len(rest) < _LENGTH_BYTES:
                return []
            (length,) = _LENGTH.unpack_from(rest)
            if _MIN <= length <= _MAX and len(rest) < length:
                return []
            data = bytes(rest)
        frames: list[bytes] = []
        start, end = 0, len(data)
        while start + _LENGTH_BYTES <= end:
            (length,) = _LENGTH.unpack_from(data, start)
            if not _MIN <= length <= _MAX:
                self.broken = True
                self._rest = bytearray()
                return frames
            after = start + length
            if after > end:
                break
            frames.append(data[start:after])
            start = after
        self._rest = bytearray(data[start:])
        return frames
