"""One TCP connection as frames: coalesced writes, flow control both ways, and an orderly close."""

from __future__ import annotations

import asyncio
from typing import cast

from shared.smpp import framing


class Connection(asyncio.Protocol):
    """Inbound bytes cut into frames, and all frames of one loop tick written with one call.

    A session builds on it by filling in `frames_received`, `frames_due` and `connection_closed`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._framer = framing.Framer()
        self._unwritten: list[bytes] = []
        self._flush_due = False
        self._writing_paused = False
        self._linger: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()

    def frames_received(self, frames: list[bytes], *, framing_lost: bool) -> None:
        raise NotImplementedError

    def frames_due(self) -> list[bytes]:
        """Further frames that may be written now, after those already given to `_write`."""
        raise NotImplementedError

    def connection_closed(self) -> None:
        raise NotImplementedError

    async def wait_closed(self) -> None:
        """Return once the connection is gone and its owner has been told."""
        await asyncio.shield(self._closed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        frames = self._framer.feed(data)
        self.frames_received(frames, framing_lost=self._framer.broken)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._schedule_flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        if self._linger is not None:
            self._linger.cancel()
        try:
            self.connection_closed()
        finally:
            self._closed.set_result(None)

    def write_octets(self, octets: bytes) -> None:
        """Write octets at once and as they are, behind all that is due: a frame no request asked
        for, or the beginning of one before `abort`. For peers to practise on."""
        self._flush()
        if not self._transport.is_closing():
            self._transport.write(octets)

    def _write(self, frame: bytes) -> None:
        self._unwritten.append(frame)
        self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._writing_paused or self._transport.is_closing():
            return
        frames, self._unwritten = self._unwritten, []
        frames += self.frames_due()
        if frames:
            self._transport.write(b"".join(frames))

    def _close_transport(self, linger_seconds: float) -> None:
        """Write what is due and close; a peer that does not read has that long to change."""
        self._flush()
        self._transport.close()
        self._linger = self._loop.call_later(linger_seconds, self._transport.abort)
