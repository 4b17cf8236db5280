"""The simulated carrier's SMPP side: takes submit_sm, hands out receipts and what phones send as
deliver_sm."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial

from services.simulator import carrier, moods, outbox
from shared.smpp import codes, encoder, pdu, receipt_text, session, smsc, terms, tlv, window
from shared.sms import segmentation

INTERNATIONAL_TON = 1
NAME_TON = 5
ISDN_NPI = 1
# A session reads on only while few requests are unanswered, so a lost answer is one that comes when
# nobody waits for it any more.
SILENCE_SECONDS = 120.0

_ID = b"<id>"
_ERRORS = {
    moods.Stat.DELIVRD: "000",
    moods.Stat.EXPIRED: "001",
    moods.Stat.UNDELIV: "002",
    moods.Stat.REJECTD: "003",
}
_STATES = {
    moods.Stat.DELIVRD: tlv.pack_one(codes.TLV_MESSAGE_STATE, b"\x02"),
    moods.Stat.EXPIRED: tlv.pack_one(codes.TLV_MESSAGE_STATE, b"\x03"),
    moods.Stat.UNDELIV: tlv.pack_one(codes.TLV_MESSAGE_STATE, b"\x05"),
    moods.Stat.REJECTD: tlv.pack_one(codes.TLV_MESSAGE_STATE, b"\x08"),
}
_TO_NUMBER, _TO_NAME = (
    encoder.form(
        pdu.DeliverSm(
            esm_class=codes.ESM_CLASS_RECEIPT,
            source_addr_ton=INTERNATIONAL_TON,
            source_addr_npi=ISDN_NPI,
            dest_addr_ton=ton,
            dest_addr_npi=npi,
        )
    )
    for ton, npi in ((INTERNATIONAL_TON, ISDN_NPI), (NAME_TON, 0))
)
_REFUSALS = {
    moods.Answer.REFUSE: codes.ESME_RINVDSTADR,
    moods.Answer.THROTTLE: codes.ESME_RTHROTTLED,
}


class SmppFace:
    """An SMSC over one carrier. Every session of a system_id may carry any of its receipts."""

    def __init__(self, shared: carrier.Carrier) -> None:
        self._carrier = shared
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[str, list[session.Session]] = {}
        self._turn = 0
        self._server: smsc.Server | None = None

    async def start(self) -> int:
        """Listen, and return the port."""
        wanted = self._carrier.options
        self._server = await smsc.serve(
            wanted.host,
            wanted.smpp_port,
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
                body = _body(item) if isinstance(item, outbox.Receipt) else _inbound_body(item)
                chosen.ask(codes.COMMAND_DELIVER_SM, body, partial(_end, item, settled))
                return True
        return False

    def _authenticate(self, request: pdu.BindRequest) -> int:
        wanted = self._carrier.options
        if wanted.system_id and request.system_id != wanted.system_id:
            return codes.ESME_RINVSYSID
        if not hmac.compare_digest(request.password.encode(), wanted.password.encode()):
            return codes.ESME_RINVPASWD
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
                peer.abort()
            else:
                self._loop.call_later(SILENCE_SECONDS, peer.answer, request, codes.ESME_RSYSERR)
            if request.registered_delivery & 1:
                self._carrier.owe_receipt(taken)

    def _answer(
        self, taken: carrier.Taken, peer: session.Session, request: pdu.SubmitSm, status: int
    ) -> None:
        if taken.answer_seconds:
            self._loop.call_later(
                taken.answer_seconds, peer.answer, request, status, taken.message_id
            )
        else:
            peer.answer(request, status, taken.message_id)


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


def _body(receipt: outbox.Receipt) -> bytes:
    message_id = receipt.message_id.encode()
    text = _text(receipt.stat, int(receipt.submitted_at) // 60, int(time.time()) // 60)
    source = receipt.source.removeprefix("+")
    form = _TO_NUMBER if source != receipt.source else _TO_NAME
    tlvs = tlv.pack_one(codes.TLV_RECEIPTED_MESSAGE_ID, message_id + b"\0") + _STATES[receipt.stat]
    if receipt.reference:
        tlvs += tlv.pack_one(codes.TLV_USER_MESSAGE_REFERENCE, receipt.reference)
    return form.fill(
        receipt.recipient.removeprefix("+"),
        source,
        text.replace(_ID, message_id, 1) + receipt.payload[:20],
        tlvs,
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


@lru_cache(maxsize=1024)
def _text(stat: moods.Stat, submitted_minute: int, done_minute: int) -> bytes:
    """A receipt's text but for the id and the quoted message: the dates change once a minute."""
    return receipt_text.render(
        message_id=_ID.decode(),
        stat=stat,
        err=_ERRORS[stat],
        submit_date=datetime.fromtimestamp(submitted_minute * 60, UTC),
        done_date=datetime.fromtimestamp(done_minute * 60, UTC),
    )
