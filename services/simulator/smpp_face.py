"""The simulated carrier's SMPP side: takes submit_sm, hands out receipts and what phones send as
deliver_sm."""

from __future__ import annotations

import asyncio
import hmac
import struct
from collections.abc import Callable
from functools import partial

from services.simulator import carrier, moods, outbox, receipt_forms
from services.simulator.receipt_forms import INTERNATIONAL_TON, ISDN_NPI
from shared.smpp import codes, encoder, pdu, session, smsc, terms, tlv, window
from shared.sms import segmentation

# A session reads on only while few requests are unanswered, so a lost answer is one that comes when
# nobody waits for it any more.
SILENCE_SECONDS = 120.0

_REFUSALS = {
    moods.Answer.REFUSE: codes.ESME_RINVDSTADR,
    moods.Answer.THROTTLE: codes.ESME_RTHROTTLED,
    moods.Answer.BUSY: codes.ESME_RMSGQFUL,
}


class SmppFace:
    """An SMSC over one carrier. Every session of a system_id may carry any of its receipts."""

    def __init__(self, shared: carrier.Carrier) -> None:
        self._carrier = shared
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._sessions: dict[str, list[session.Session]] = {}
        self._turn = 0
        self._server: smsc.Server | None = None

    async def start(self, port: int) -> int:
        """Listen, and return the port; 0 takes a free one."""
        wanted = self._carrier.options
        self._server = await smsc.serve(
            wanted.host,
            port,
            terms.Terms(wanted.window, system_id="SMSC"),
            session.Handlers(
                self._take,
                self._forget,
                authenticate=self._authenticate,
                on_bound=self._welcome,
            ),
        )
        return self._server.port

    async def close(self) -> None:
        """Stop listening and cut what is still bound."""
        if self._server is not None:
            await self._server.close()

    @property
    def system_id(self) -> str:
        """Whom what phones send is for: who alone may bind, or who has bound first."""
        return self._carrier.options.system_id or next(iter(self._sessions), "")

    @property
    def bind_count(self) -> int:
        """Sessions bound now."""
        return sum(len(sessions) for sessions in self._sessions.values())

    def deliver(self, item: outbox.Item, settled: Callable[[outbox.Item, bool], None]) -> bool:
        """`outbox.Face`: over any session that has room."""
        sessions = self._sessions.get(item.system_id)
        if not sessions:
            return False
        for _ in sessions:
            # In turn, so that no session stays idle.
            self._turn += 1
            chosen = sessions[self._turn % len(sessions)]
            if chosen.room:
                command, body = self._written(item)
                chosen.ask(command, body, partial(_end, item, settled))
                return True
        return False

    def _written(self, item: outbox.Item) -> receipt_forms.Written:
        if isinstance(item, outbox.Inbound):
            return receipt_forms.Written(codes.COMMAND_DELIVER_SM, _inbound_body(item))
        chance = self._carrier.chance
        if chance.happens(self._carrier.options.odd_share):
            return receipt_forms.odd(item, chance)
        return receipt_forms.usual(item)

    def _authenticate(self, request: pdu.BindRequest) -> int:
        wanted = self._carrier.options
        if wanted.system_id and request.system_id != wanted.system_id:
            return codes.ESME_RINVSYSID
        if not hmac.compare_digest(request.password.encode(), wanted.password.encode()):
            return codes.ESME_RINVPASWD
        if self._loop.time() < self._began + wanted.bind_refused_seconds:
            return codes.ESME_RINVPASWD
        if self._carrier.chance.happens(wanted.bind_refused_share):
            return codes.ESME_RBINDFAIL
        return codes.ESME_ROK

    def _welcome(self, peer: session.Session) -> None:
        if peer.bound is None:
            return
        system_id = peer.bound.system_id
        self._sessions.setdefault(system_id, [])
        if peer.bound.mode is not pdu.BindMode.TRANSMITTER:
            self._sessions[system_id].append(peer)
        self._carrier.outbox.attach(system_id, self)
        self._loop.call_soon(self._carrier.outbox.drain, system_id)

    def _forget(self, peer: session.Session) -> None:
        for sessions in self._sessions.values():
            if peer in sessions:
                sessions.remove(peer)

    def _take(self, peer: session.Session, request: pdu.Request) -> None:
        if not isinstance(request, pdu.SubmitSm) or peer.bound is None:
            return
        taken = self._carrier.take(_submit(peer.bound.system_id, request))
        mood = taken.mood.answer
        if mood in _REFUSALS:
            self._answer(taken, peer, request, _REFUSALS[mood])
        elif mood is moods.Answer.AFTER_RECEIPT:
            self._carrier.owe_receipt(
                taken, lambda: self._answer(taken, peer, request, codes.ESME_ROK)
            )
        else:
            if mood is moods.Answer.ACCEPT:
                self._answer(taken, peer, request, codes.ESME_ROK)
            elif mood is moods.Answer.CUT:
                answer = encoder.response(request, codes.ESME_ROK, taken.message_id)
                peer.write_octets(answer[: self._carrier.chance.randrange(len(answer))])
                peer.abort()
            else:
                self._loop.call_later(SILENCE_SECONDS, peer.answer, request, codes.ESME_RSYSERR)
            if request.registered_delivery & 1:
                self._carrier.owe_receipt(taken)

    def _answer(
        self, taken: carrier.Taken, peer: session.Session, request: pdu.SubmitSm, status: int
    ) -> None:
        if self._carrier.chance.happens(self._carrier.options.wrong_sequence_share):
            request = self._misnumbered(peer, request, status, taken.message_id)
        if taken.answer_seconds:
            self._loop.call_later(
                taken.answer_seconds, peer.answer, request, status, taken.message_id
            )
        else:
            peer.answer(request, status, taken.message_id)

    def _misnumbered(
        self, peer: session.Session, request: pdu.SubmitSm, status: int, message_id: str
    ) -> pdu.SubmitSm:
        """The request to answer instead: one that nobody made, or another's; or itself, once an
        answer that is then repeated, or a nack of nothing, has gone ahead."""
        nobodys = codes.SEQUENCE_MAX - self._carrier.chance.randrange(1_000_000)
        match self._carrier.chance.randrange(4):
            case 0:
                return request._replace(sequence=nobodys)
            case 1:
                return request._replace(sequence=request.sequence + 1)
            case 2:
                peer.write_octets(encoder.response(request, status, message_id))
            case _:
                nack = pdu.GenericNack(codes.ESME_RINVCMDID, nobodys)
                peer.write_octets(encoder.encode(nack))
        return request


def _end(
    item: outbox.Item,
    settled: Callable[[outbox.Item, bool], None],
    answer: window.Answer,
) -> None:
    if answer.kind is not window.AnswerKind.LATE:  # It has been repeated meanwhile.
        taken = answer.kind is window.AnswerKind.ANSWERED and answer.status == codes.ESME_ROK
        settled(item, taken)


def _submit(system_id: str, request: pdu.SubmitSm) -> carrier.Submit:
    content = pdu.payload(request)
    udh = b""
    if request.esm_class & codes.ESM_CLASS_UDHI:
        udh, content = segmentation.detach_udh(content)
    elif part := tlv.sar(request.tlvs):
        # A 16-bit reference, as 3GPP TS 23.040 9.2.3.24.8 writes it.
        udh = struct.pack(">BBBHBB", 6, 8, 4, *part)
    source, recipient = request.source_addr, request.destination_addr
    return carrier.Submit(
        "smpp",
        system_id,
        "+" + source if request.source_addr_ton == INTERNATIONAL_TON else source,
        "+" + recipient if request.dest_addr_ton == INTERNATIONAL_TON else recipient,
        request.data_coding,
        udh,
        content,
        tlv.find(request.tlvs, codes.TLV_USER_MESSAGE_REFERENCE) or b"",
    )


def _inbound_body(item: outbox.Inbound) -> bytes:
    source, source_ton, source_npi = _address(item.source)
    recipient, dest_ton, dest_npi = _address(item.recipient)
    written = encoder.encode(
        pdu.DeliverSm(
            source,
            recipient,
            item.udh + item.payload,
            item.data_coding,
            codes.ESM_CLASS_UDHI if item.udh else codes.ESM_CLASS_DEFAULT,
            source_addr_ton=source_ton,
            source_addr_npi=source_npi,
            dest_addr_ton=dest_ton,
            dest_addr_npi=dest_npi,
        )
    )
    return written[codes.HEADER_BYTES :]


def _address(number: str) -> tuple[str, int, int]:
    """A number as SMPP writes it, with its TON and NPI; a short code has none."""
    if number.startswith("+"):
        return number[1:], INTERNATIONAL_TON, ISDN_NPI
    return number, 0, 0
