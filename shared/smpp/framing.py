"""A byte stream as PDU frames, with at most one unfinished frame of 64 KiB in hand."""

from __future__ import annotations

from shared.smpp import codes


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
        stream: bytes | bytearray = data
        if self._rest:
            self._rest += data
            stream = self._rest
        frames: list[bytes] = []
        start, end = 0, len(stream)
        while end - start >= 4:
            length = int.from_bytes(stream[start : start + 4], "big")
            if not codes.HEADER_BYTES <= length <= codes.PDU_BYTES_MAX:
                self.broken = True
                self._rest = bytearray()
                return frames
            if end - start < length:
                break
            frames.append(bytes(stream[start : start + length]))
            start += length
        if stream is data:
            self._rest = bytearray(data[start:])
        else:
            del self._rest[:start]
        return frames
