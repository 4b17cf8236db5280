"""An SMSC of somebody else's making: written from the SMPP 3.4 text, with nothing of ours in it.

It answers when it likes, sends a receipt for everything it took over whatever bind there is, in
words only, and gives the sender's reference back for every second phone. It quotes no text.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from random import Random

_HEADER = struct.Struct(">IIII")
_SUBMIT, _DELIVER, _BIND, _UNBIND, _ENQUIRE = 0x4, 0x5, 0x9, 0x6, 0x15
_ANSWER = 0x80000000
_RECEIPT_KIND = 0x04
_REFERENCE = b"\x02\x04\x00\x02"
"""The head of a user_message_reference of two octets."""

_Writers = list[asyncio.StreamWriter]


class ForeignCarrier:
    """`taken` counts the submits it has read, by recipient."""

    def __init__(self, random: Random) -> None:
        self.taken: dict[str, int] = {}
        self.port = 0
        self._random = random
        self._numbers = itertools.count(1)
        self._writers: _Writers = []
        self._owed: deque[bytes] = deque()
        self._unanswered: dict[int, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def owes(self) -> int:
        """Receipts that nobody has taken yet."""
        return len(self._owed) + len(self._unanswered)

    def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection."""
        self._soon(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends; receipts it did not answer go over the next."""
        handed_over: set[int] = set()
        try:
            while True:
                length, command, _, sequence = _HEADER.unpack(await reader.readexactly(16))
                body = await reader.readexactly(length - 16)
                if command == _BIND:
                    self._send(writer, _BIND | _ANSWER, sequence, b"foreign\0")
                    self._writers.append(writer)
                    self._soon(self._deliver(writer, handed_over))
                elif command == _SUBMIT:
                    self._soon(self._take(writer, sequence, body))
                elif command == _DELIVER | _ANSWER:
                    self._unanswered.pop(sequence, None)
                    handed_over.discard(sequence)
                elif command in (_ENQUIRE, _UNBIND):
                    self._send(writer, command | _ANSWER, sequence, b"")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if writer in self._writers:
                self._writers.remove(writer)
            self._owed.extend(self._unanswered.pop(number) for number in handed_over)
            writer.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, writer: asyncio.StreamWriter, sequence: int, body: bytes) -> None:
        """Read a submit_sm, answer it after a while, and owe its receipt."""
        service, rest = body.split(b"\0", 1)
        assert service == b""
        source, rest = rest[2:].split(b"\0", 1)
        recipient, rest = rest[2:].split(b"\0", 1)
        phone = recipient.decode()
        self.taken[phone] = self.taken.get(phone, 0) + 1
        place = rest.find(_REFERENCE)
        reference = rest[place : place + 6] if place >= 0 and int(phone) % 2 == 0 else b""
        name = b"%X" % (0xACE0000000 + next(self._numbers))
        when = time.strftime("%y%m%d%H%M").encode()
        await asyncio.sleep(self._random.uniform(0.1, 0.9))
        self._send(writer, _SUBMIT | _ANSWER, sequence, name + b"\0")
        await asyncio.sleep(self._random.uniform(0.0, 0.3))
        text = b"id:%b sub:001 dlvrd:001 submit date:%b done date:%b stat:DELIVRD err:000" % (
            name,
            when,
            when,
        )
        self._owed.append(
            b"\0\x01\x01%b\0\x05\0%b\0%c\0\0\0\0\0\0\0\0%c%b%b"
            % (recipient, source, _RECEIPT_KIND, len(text), text, reference)
        )

    async def _deliver(self, writer: asyncio.StreamWriter, handed_over: set[int]) -> None:
        while writer in self._writers:
            while self._owed and len(handed_over) < 20:
                number = next(self._numbers)
                handed_over.add(number)
                self._unanswered[number] = self._owed.popleft()
                self._send(writer, _DELIVER, number, self._unanswered[number])
            await asyncio.sleep(0.01)

    def _send(self, writer: asyncio.StreamWriter, command: int, sequence: int, body: bytes) -> None:
        if not writer.is_closing():
            writer.write(_HEADER.pack(16 + len(body), command, 0, sequence) + body)

    def _soon(self, step: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def foreign_carrier(random: Random) -> AsyncIterator[ForeignCarrier]:
    """One that listens on a free port of this machine."""
    carrier = ForeignCarrier(random)
    server = await asyncio.start_server(carrier.welcome, "127.0.0.1", 0)
    carrier.port = server.sockets[0].getsockname()[1]
    try:
        yield carrier
    finally:
        server.close()
        await carrier.close()
