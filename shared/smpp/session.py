"""One SMPP session over one connection, for both roles: how it opens, lives and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from shared.smpp import codes, decoder, exchange, life, pdu, terms, ticker, window

_ESME_ANSWERS = frozenset({codes.COMMAND_SUBMIT_SM_RESP, codes.COMMAND_DATA_SM_RESP})
_ESME_REQUESTS = (pdu.DeliverSm, pdu.DataSm)
_SMSC_ANSWERS = frozenset({codes.COMMAND_DELIVER_SM_RESP, codes.COMMAND_DATA_SM_RESP})
_SMSC_REQUESTS = (pdu.SubmitSm,)

OnRequest = Callable[["Session", pdu.Request], None]
OnSession = Callable[["Session"], None]
Authenticate = Callable[[pdu.BindRequest], int]
"""The command_status of a bind: 0 lets the peer in."""


def _ignore(_: Session) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Handlers:
    """Whom a session tells what happens to it. None of them may block or await.

    `on_request` gets every inbound message (deliver_sm and data_sm at the ESME, submit_sm at the
    SMSC), and somebody calls `Session.answer` for it later. `on_opened` is called when the
    connection stands, encrypted where it is to be; from there on `on_closed` is called exactly
    once, after everybody who asked has been told what became of it. `authenticate` makes the
    session an SMSC's, and `on_bound` follows a status of 0. Oddities of the peer are added to
    `counts`, which sessions may share.
    """

    on_request: OnRequest
    on_closed: OnSession = _ignore
    authenticate: Authenticate | None = None
    on_bound: OnSession = _ignore
    on_opened: OnSession = _ignore
    counts: life.Counts = field(default_factory=life.Counts)


class Session(exchange.Exchange):
    """An ESME's session, or an SMSC's when its handlers can authenticate.

    When it has stopped reading its timers stand still too; it ends when that lasts longer than the
    response timer.
    """

    def __init__(self, agreed: terms.Terms, handlers: Handlers) -> None:
        super().__init__(agreed, handlers.counts)
        self.bound: pdu.BindRequest | None = None
        self.loss: life.Loss | None = None
        self._timers = agreed.timers
        self._handlers = handlers
        esme = handlers.authenticate is None
        self._answer_commands = _ESME_ANSWERS if esme else _SMSC_ANSWERS
        self._request_types = _ESME_REQUESTS if esme else _SMSC_REQUESTS
        self._control_sequence = 0
        self._bind_answer: asyncio.Future[int | None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._farewell: asyncio.TimerHandle | None = None
        self._opened_at = self._loop.time()
        self._ticker = ticker.Ticker(self._timers.tick_seconds, self._look)
        self._pulse = life.Pulse(self._timers, self._opened_at)
        self._nonsense = life.Nonsense(self._timers)

    async def bind(self, request: pdu.BindRequest) -> int:
        """The ESME's first word; the answer's command_status. Not 0: the session is closing.
        Raises TimeoutError after the bind timer and ConnectionError when the link dies; then the
        session is closed too."""
        if self.state is life.State.CLOSED:
            raise ConnectionResetError("closed before the bind was asked")
        self._bind_answer = self._loop.create_future()
        self.bound = replace(request, password="")
        self._send_control(request)
        try:
            status = await self._bind_answer
        except asyncio.CancelledError:
            self.abort()
            raise
        if self.loss is life.Loss.NOT_BOUND:
            raise TimeoutError("the bind was not answered in time")
        if status is None:
            raise ConnectionResetError("closed before the bind was answered")
        return status

    async def unbind(self, deadline_seconds: float) -> None:
        """End the session politely: unanswered requests of both sides first, then unbind.

        Queued requests come back NOT_SENT at once. Returns within the deadline plus twice the
        unbind timer; a peer that closes without unbind_resp has agreed.
        """
        if self.state is life.State.OPEN:
            self.abort()
        elif self._drained is None and self.state is not life.State.CLOSED:
            self._drained = self._loop.create_future()
            self._stop_asking()
            self._progressed()
            try:
                await self._part(self._drained, deadline_seconds)
            finally:
                self._close(life.Loss.UNBOUND)
        await self.wait_closed()

    async def _part(self, drained: asyncio.Future[None], deadline_seconds: float) -> None:
        ends = {drained, self._closed}
        await asyncio.wait(ends, timeout=deadline_seconds, return_when=asyncio.FIRST_COMPLETED)
        if self.loss is life.Loss.PEER_UNBOUND:
            return
        self.loss = self.loss or life.Loss.UNBOUND  # However it ends now, it was our wish.
        self._send_control(pdu.Unbind())
        await asyncio.wait({self._closed}, timeout=self._timers.unbind_seconds)

    def abort(self) -> None:
        """Cut the connection without a word; answers not yet written stay unsaid."""
        self._unwritten.clear()
        self._close(life.Loss.ABORTED)
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._ticker.start()
        self._handlers.on_opened(self)

    def frames_received(self, frames: list[bytes], *, framing_lost: bool) -> None:
        if frames:
            self._pulse.hear(self._loop.time())
        for frame in frames:
            if self.state is life.State.CLOSED:
                return
            self._receive(frame)
        if framing_lost:
            self._send(pdu.GenericNack(codes.ESME_RINVCMDLEN), 0)
            self._close(life.Loss.BROKEN_FRAMING)
        self._progressed()

    def connection_closed(self) -> None:
        self._settle(life.Loss.PEER_CLOSED)
        self._ticker.stop()
        if self._farewell is not None:
            self._farewell.cancel()
        self._handlers.on_closed(self)

    def _receive(self, frame: bytes) -> None:
        _, command, status, sequence = codes.HEADER.unpack_from(frame)
        if command in self._answer_commands:
            # Not decoded as a whole: an answer has come whatever else its body may hold.
            name = decoder.answered_id(frame)
            answer = window.Answer(window.AnswerKind.ANSWERED, status, name)
            if not self._take_answer(sequence, answer):
                self._meet_stranger()
            return
        try:
            received = decoder.decode(frame)
        except pdu.PduError as error:
            self.counts.garbage += 1
            if not command & codes.RESPONSE_BIT:
                self._send(pdu.GenericNack(error.status), error.sequence)
            self._bear_nonsense()
            return
        if isinstance(received, self._request_types):
            self._hand_over(received)
        else:
            self._receive_control(received, command)

    def _hand_over(self, request: pdu.Request) -> None:
        self.open_requests += 1
        receiver = self.bound is not None and self.bound.mode is pdu.BindMode.RECEIVER
        if self.state is life.State.OPEN or (receiver and isinstance(request, pdu.SubmitSm)):
            self.answer(request, codes.ESME_RINVBNDSTS)
            return
        try:
            self._handlers.on_request(self, request)
        except Exception as error:
            self.answer(request, codes.ESME_RSYSERR)
            self._note_failure(error)

    def _receive_control(self, received: pdu.Pdu, command: int) -> None:
        match received:
            case pdu.EnquireLink(sequence=sequence):
                self._send(pdu.EnquireLinkResp(), sequence)
            case pdu.EnquireLinkResp():
                pass  # Like any other PDU it has already counted as life.
            case pdu.GenericNack():
                self._receive_nack(received)
            case pdu.BindRequest() if self._handlers.authenticate is not None:
                self._receive_bind(received, self._handlers.authenticate)
            case pdu.BindResp() if self._bind_answer is not None:
                self._settle_bind(received.status)
            case pdu.Unbind(sequence=sequence):
                self._send(pdu.UnbindResp(), sequence)
                self._let_go()
            case pdu.UnbindResp() if self.state is life.State.UNBINDING:
                self._close(life.Loss.UNBOUND)
            case _ if command & codes.RESPONSE_BIT:
                self._meet_stranger()
            case _:
                self._send(pdu.GenericNack(codes.ESME_RINVCMDID), received.sequence)

    def _receive_nack(self, nack: pdu.GenericNack) -> None:
        # A nack says "not taken" even when its status is a zero.
        status = nack.status or codes.ESME_RUNKNOWNERR
        answer = window.Answer(window.AnswerKind.ANSWERED, status)
        if self._take_answer(nack.sequence, answer):
            return
        if nack.sequence != self._control_sequence:
            self._meet_stranger()
        elif self.state is life.State.OPEN:
            self._settle_bind(status)

    def _receive_bind(self, request: pdu.BindRequest, authenticate: Authenticate) -> None:
        status = codes.ESME_RALYBND
        if self.state is life.State.OPEN:
            status = authenticate(request)
        resp = pdu.BindResp(request.mode, status, self._terms.system_id)
        self._send(resp, request.sequence)
        if self.state is not life.State.OPEN:
            return
        if status != codes.ESME_ROK:
            self._close(life.Loss.REFUSED)
            return
        self.bound = replace(request, password="")
        self.state = life.State.BOUND
        self._handlers.on_bound(self)

    def _settle_bind(self, status: int | None) -> None:
        if self._bind_answer is None or self._bind_answer.done():
            return
        if status == codes.ESME_ROK:
            self.state = life.State.BOUND  # At once: a receipt may follow in the same packet.
        self._bind_answer.set_result(status)
        if status:
            self._close(life.Loss.REFUSED)

    def _let_go(self) -> None:
        """The peer unbinds: what it still answers counts, until it closes or owes nothing."""
        if self.state is life.State.OPEN:
            self._close(life.Loss.PEER_UNBOUND)
        if self.loss is not None:
            return
        self.loss = life.Loss.PEER_UNBOUND
        self._stop_asking()
        self._farewell = self._loop.call_later(
            self._timers.farewell_seconds, self._close, life.Loss.PEER_UNBOUND
        )

    def _stop_asking(self) -> None:
        self.state = life.State.UNBINDING
        self._window.return_queued()

    def answers_changed(self) -> None:
        if self._drained is not None:
            if (
                self._window.unanswered == 0
                and self.open_requests == 0
                and not self._drained.done()
            ):
                self._drained.set_result(None)
        elif self._farewell is not None and not self._window.owed and self.open_requests == 0:
            self._close(life.Loss.PEER_UNBOUND)

    def reading_resumed(self) -> None:
        self._pulse.hear(self._loop.time())
        self._ticker.start()  # What arrived meanwhile must be read before time counts.

    def _meet_stranger(self) -> None:
        self.counts.strangers += 1
        self._bear_nonsense()

    def _bear_nonsense(self) -> None:
        if self._nonsense.add(self._loop.time()):
            self._close(life.Loss.NONSENSE)

    def _send_control(self, request: pdu.Pdu) -> None:
        self._control_sequence = self._next_sequence()
        self._send(request, self._control_sequence)

    def _look(self, now: float) -> None:
        if self.state is life.State.OPEN:
            if now - self._opened_at > self._timers.bind_seconds:
                self._close(life.Loss.NOT_BOUND)
        elif self._reading_stopped_at is not None:
            if now - self._reading_stopped_at > self._timers.response_seconds:
                self._close(life.Loss.STALLED)
        else:
            self._check_answers(now)

    def _check_answers(self, now: float) -> None:
        expired = self._window.expire(now - self._timers.response_seconds)
        self.counts.expired += expired
        verdict = self._pulse.judge(now, suspicious=expired > 0)
        if verdict is life.Verdict.DEAD:
            self._close(life.Loss.SILENT)
        elif verdict is life.Verdict.ASK:
            self._send_control(pdu.EnquireLink())
        if expired:
            self._progressed()

    def _settle(self, loss: life.Loss) -> None:
        """No answer can come any more."""
        self.state = life.State.CLOSED
        self.loss = self.loss or loss
        self._window.close()
        self._settle_bind(None)
        self._window.wake()

    def _close(self, loss: life.Loss) -> None:
        if self.state is not life.State.CLOSED:
            self._settle(loss)
            self._close_transport(self._timers.unbind_seconds)
