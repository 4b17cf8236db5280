"""An SMSC, for the `smpp` adapter."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from shared.carriers import contract, registry
from shared.smpp import codes, decoder, encoder, pdu
from shared.sms import inbound, receipts
from tests.integration.carriers import segments, stand_ins
from tests.integration.carriers.stand_ins import Act

_WORDS = {
    receipts.ReceiptState.ENROUTE: b"ENROUTE",
    receipts.ReceiptState.DELIVERED: b"DELIVRD",
    receipts.ReceiptState.UNDELIVERED: b"UNDELIV",
    receipts.ReceiptState.EXPIRED: b"EXPIRED",
    receipts.ReceiptState.REJECTED: b"REJECTD",
    receipts.ReceiptState.UNKNOWN: b"UNKNOWN",
}
_STATUSES = {
    Act.REJECT: codes.ESME_RINVDSTADR,
    Act.THROTTLE: codes.ESME_RTHROTTLED,
    Act.DEFER: codes.ESME_RMSGQFUL,
    Act.ELSEWHERE: codes.ESME_RSUBMITFAIL,
    Act.HALT: codes.ESME_RINVBNDSTS,
}


class SmppStandIn(stand_ins.Listener):
    cannot = frozenset({Act.THROTTLE_FOR})
    finds_its_pace = True
    unsaid: frozenset[receipts.ReceiptState] = frozenset()
    recorded: Sequence[stand_ins.Recorded] = ()

    def __init__(self) -> None:
        super().__init__()
        self._bound: asyncio.StreamWriter | None = None
        self._numbers = itertools.count(1)
        self._answered: dict[int, asyncio.Future[None]] = {}

    def settings(self, port: int | None = None, **values: object) -> Mapping[str, object]:
        return {
            "host": "127.0.0.1",
            "port": port or self.port,
            "system_id": "sluice",
            "password": stand_ins.SECRET,
            "response_seconds": 0.5,
            "window": 5,
            **values,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(4)
            frame = head + await reader.readexactly(int.from_bytes(head) - 4)
            received = decoder.decode(frame)
            if isinstance(received, pdu.SubmitSm):
                self.taken.append(frame)
                await self._act(writer, self.next_act(), received.sequence)
            elif isinstance(received, pdu.BindRequest):
                self._bound = writer
                status = codes.ESME_RINVPASWD if self.refuses_us else codes.ESME_ROK
                _write(writer, pdu.BindResp(received.mode, status), received.sequence)
            elif isinstance(received, pdu.EnquireLink):
                _write(writer, pdu.EnquireLinkResp(), received.sequence)
            elif isinstance(received, pdu.Unbind):
                _write(writer, pdu.UnbindResp(), received.sequence)
            elif answered := self._answered.pop(received.sequence, None):
                answered.set_result(None)
            await writer.drain()

    async def _act(
        self, writer: asyncio.StreamWriter, act: Act | stand_ins.Said, sequence: int
    ) -> None:
        resp = encoder.encode(pdu.SubmitSmResp(0, stand_ins.ID), sequence)
        if act is Act.ACCEPT:
            writer.write(resp)
        elif isinstance(act, Act) and act in _STATUSES:
            _write(writer, pdu.SubmitSmResp(_STATUSES[act]), sequence)
        elif act is Act.LEAVE:
            _write(writer, pdu.Unbind(), 1)
            writer.write(resp)
        elif act is Act.CUT:
            raise ConnectionAbortedError
        elif act is Act.CUT_INSIDE:
            writer.write(resp[:18])
            await writer.drain()
            raise ConnectionAbortedError
        elif act is Act.GARBAGE:
            writer.write(b"\x00\xff\xfe garbage")
        elif act is Act.DRIP:
            writer.write((60_000).to_bytes(4) + resp[4:16])
            await self.drip(writer, b"7")
        elif act is Act.FLOOD:
            writer.write(b"\xff\xff\xff\xff" + resp[4:])
            await self.flood(writer)

    async def report(
        self,
        adapter: registry.Adapter,
        settings: msgspec.Struct,
        sink: segments.Sink,
        reports: Sequence[stand_ins.Report],
    ) -> list[bytes]:
        texts = [
            b"id:%b sub:001 dlvrd:001 submit date:2611220101 done date:2611220102 stat:%b err:000"
            b" text:%b" % (name.encode(), _WORDS[state], text.encode())
            for name, state, text, _ in reports
        ]
        return await self.report_garbage(adapter, settings, sink, texts)

    def order(self, submit: bytes) -> stand_ins.Order:
        sent = decoder.decode(submit)
        assert isinstance(sent, pdu.SubmitSm)
        has_udh = bool(sent.esm_class & 0x40)
        alphabet, _, payload = inbound.read(sent.short_message, sent.data_coding, has_udh=has_udh)
        return stand_ins.Order(
            sent.source_addr, sent.destination_addr, inbound.decode(payload, alphabet)
        )

    def call(self, report: stand_ins.Report) -> None:
        del report

    def forged(self, right: contract.CallbackRequest) -> Sequence[contract.CallbackRequest]:
        del right
        return ()

    def phone_sends(self, source: str, recipient: str, text: str) -> None:
        del source, recipient, text

    async def report_garbage(
        self,
        adapter: registry.Adapter,
        settings: msgspec.Struct,
        sink: segments.Sink,
        raw: Sequence[bytes],
    ) -> list[bytes]:
        assert self._bound is not None
        for text in raw:
            number = next(self._numbers)
            self._answered[number] = answered = asyncio.get_running_loop().create_future()
            receipt = pdu.DeliverSm(
                stand_ins.RECIPIENT[1:], "Sluice", text[:254], esm_class=codes.ESM_CLASS_RECEIPT
            )
            _write(self._bound, receipt, number)
            await asyncio.wait_for(answered, 10)
        return sink.seen


def _write(writer: asyncio.StreamWriter, message: pdu.Pdu, sequence: int) -> None:
    writer.write(encoder.encode(message, sequence))


@asynccontextmanager
async def open_stand_in() -> AsyncIterator[stand_ins.StandIn]:
    standing = SmppStandIn()
    async with standing.listening():
        yield standing
