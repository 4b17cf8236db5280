"""A carrier on a raw socket that does what it is asked, and spoils its link meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from shared.smpp import codes, decoder, encoder, pdu, receipt_text, tlv
from tests.integration.carriers import spoiled

BATCH_COUNT = 20
"""Spoiled PDUs in one packet."""


class HostileCarrier:
    """Takes every submit once, answers it, and owes its receipt until it is taken."""

    def __init__(self, spoiler: spoiled.Spoiler, count: int) -> None:
        self.port = 0
        self.left = count
        """Spoiled PDUs that are still to be sent."""
        self.sent: Counter[str] = Counter()
        self.answers: Counter[tuple[int, int]] = Counter()
        """Command and status of what it was answered, honest receipts included."""
        self.bind_count = 0
        self.taken: Counter[str] = Counter()
        """Phones, and how often a submit to each was taken."""
        self.silent_to: frozenset[str] = frozenset()
        """Phones whose submits are taken and never answered, and have no receipt."""
        self.without_receipt: frozenset[str] = frozenset()
        self._owed: dict[int, pdu.DeliverSm] = {}
        self._spoiler = spoiler
        self._numbers = itertools.count(1)

    @property
    def owes(self) -> int:
        """Receipts that nobody has taken yet."""
        return len(self._owed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        tasks: list[asyncio.Task[None]] = []
        try:
            while True:
                head = await reader.readexactly(4)
                frame = head + await reader.readexactly(int.from_bytes(head, "big") - 4)
                received = decoder.decode(frame)
                if isinstance(received, pdu.BindRequest):
                    self.bind_count += 1
                    _write(writer, pdu.BindResp(received.mode), received.sequence)
                    tasks = [
                        asyncio.create_task(work(writer)) for work in (self._spoil, self._deliver)
                    ]
                else:
                    self._take(writer, received, frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.transport.abort()

    def _take(self, writer: asyncio.StreamWriter, received: pdu.Pdu, frame: bytes) -> None:
        match received:
            case pdu.SubmitSm():
                self._submitted(writer, received)
            case pdu.EnquireLink(sequence=sequence):
                _write(writer, pdu.EnquireLinkResp(), sequence)
            case pdu.Unbind(sequence=sequence):
                _write(writer, pdu.UnbindResp(), sequence)
            case _:
                _, command, status, sequence = codes.HEADER.unpack_from(frame)
                self.answers[command, status] += 1
                if command == codes.COMMAND_DELIVER_SM_RESP and status == 0:
                    self._owed.pop(sequence, None)

    def _submitted(self, writer: asyncio.StreamWriter, submit: pdu.SubmitSm) -> None:
        phone = submit.destination_addr
        self.taken[phone] += 1
        if phone in self.silent_to:
            return
        number = next(self._numbers)
        name = f"honest-{number}"
        _write(writer, pdu.SubmitSmResp(0, name), submit.sequence)
        if phone in self.without_receipt:
            return
        now = datetime.now(UTC)
        text = receipt_text.render(message_id=name, stat="DELIVRD", submit_date=now, done_date=now)
        echo = tlv.find(submit.tlvs, codes.TLV_USER_MESSAGE_REFERENCE) or b""
        self._owed[number] = pdu.DeliverSm(
            phone,
            submit.source_addr,
            text,
            esm_class=codes.ESM_CLASS_RECEIPT,
            tlvs=((codes.TLV_USER_MESSAGE_REFERENCE, echo),),
        )

    async def _deliver(self, writer: asyncio.StreamWriter) -> None:
        """What is owed, again over each new connection until it is taken."""
        told: set[int] = set()
        while True:
            for number, receipt in list(self._owed.items()):
                if number not in told:
                    told.add(number)
                    _write(writer, receipt, number)
            await writer.drain()
            await asyncio.sleep(0.01)

    async def _spoil(self, writer: asyncio.StreamWriter) -> None:
        while self.left > 0:
            count = min(self.left, BATCH_COUNT)
            self.left -= count
            for _ in range(count):
                kind, frame = self._spoiler.next()
                self.sent[kind] += 1
                writer.write(frame)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0.001)


def _write(writer: asyncio.StreamWriter, message: pdu.Pdu, sequence: int) -> None:
    writer.write(encoder.encode(message, sequence))


@asynccontextmanager
async def hostile_carrier(spoiler: spoiled.Spoiler, count: int) -> AsyncIterator[HostileCarrier]:
    """One that listens, until the body ends."""
    carrier = HostileCarrier(spoiler, count)
    server = await asyncio.start_server(carrier.serve, "127.0.0.1", 0)
    carrier.port = server.sockets[0].getsockname()[1]
    try:
        yield carrier
    finally:
        server.close()
