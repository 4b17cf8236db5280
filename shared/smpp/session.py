"""One SMPP session over one connection, for both roles: framing, window, timers, flow control."""

from __future__ import annotations

import asyncio
import dataclasses

from shared.smpp import codes, connection, decoder, encoder, life, pdu, terms, window

NONSENSE_COUNT_MAX = 100

_ESME_ANSWERS = (pdu.SubmitSmResp, pdu.DataSmResp)
_ESME_REQUESTS = (pdu.DeliverSm, pdu.DataSm)
_SMSC_ANSWERS = (pdu.DeliverSmResp, pdu.DataSmResp)
_SMSC_REQUESTS = (pdu.SubmitSm,)


class Session(connection.Connection):
    """An ESME's session, or an SMSC's when its handlers can authenticate.

    When it has stopped reading its timers stand still too; it ends when that lasts longer than the
    response timer.
    """

    def __init__(self, agreed: terms.Terms, handlers: terms.Handlers) -> None:
        super().__init__()
        self.bound: pdu.BindRequest | None = None
        self.counts = life.Counts()
        self.loss: life.Loss | None = None
        self.open_requests = 0  # Inbound ones for which `answer` has not been called.
        self.state = life.State.OPEN
        self._terms = agreed
        self._timers = agreed.timers
        self._handlers = handlers
        esme = handlers.authenticate is None
        self._answer_types = _ESME_ANSWERS if esme else _SMSC_ANSWERS
        self._request_types = _ESME_REQUESTS if esme else _SMSC_REQUESTS
        self._bind_answer: asyncio.Future[int | None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._window = window.Window(agreed.window)
        self._sequence = 0
        self._control_sequence = 0
        self._held = False
        self._opened_at = self._ticked_at = self._loop.time()
        self._reading_paused_at: float | None = None
        self._pulse = life.Pulse(self._timers, self._opened_at)

    @property
    def connected(self) -> bool:
        """Bound, and taking requests."""
        return self.state is life.State.BOUND

    @property
    def room(self) -> int:
        """How many requests would be written at once if submitted now."""
        return self._window.room if self.state is life.State.BOUND and not self._held else 0

    @property
    def unanswered(self) -> int:
        """Requests written and not answered; never more than the window."""
        return self._window.unanswered

    def submit(self, message: pdu.SubmitSm) -> asyncio.Future[window.Answer]:
        """Queues one submit_sm; the future always ends with an Answer, whatever the link does.
        Raises pdu.PduError, and sends nothing, for a message SMPP cannot carry."""
        return self.ask(message, window.as_it_is)

    def deliver(self, message: pdu.DeliverSm | pdu.DataSm) -> asyncio.Future[window.Answer]:
        """`submit` for the SMSC's role."""
        return self.ask(message, window.as_it_is)

    def ask(
        self, message: pdu.Request, read: window.Reader[window.Result], key: object = None
    ) -> asyncio.Future[window.Result]:
        """`submit` or `deliver`, for a future of what `read` makes of the Answer, at once. An
        answer that comes after the response timer, which made it LOST, goes to the handler
        `on_late_answer` together with `key`, as long as the link stands."""
        sequence = self._next_sequence()
        frame = encoder.encode(message, sequence)
        future: asyncio.Future[window.Result] = self._loop.create_future()
        if self.state is life.State.BOUND:
            self._window.put(sequence, frame, future, read, key)
            self._schedule_flush()
        else:
            future.set_result(read(window.NOT_SENT))
        return future

    def answer(self, request: pdu.Request, status: int = 0, message_id: str = "") -> bool:
        """Answers an inbound request, once. False when the link has gone and it went nowhere."""
        self.open_requests -= 1
        if self.state is life.State.CLOSED:
            return False
        self._send(pdu.response(request, status, message_id), request.sequence)
        if self._reading_paused_at is not None:
            self._steer_reading()
        self._note_quiet()
        return True

    async def wait_for_room(self, timeout_seconds: float) -> bool:
        """True once there is room; False when the time is over or the session is not bound."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while self.connected and self.room == 0:
                    await self._window.changed()
        except TimeoutError:
            return False
        return self.room > 0

    def hold(self) -> None:
        """Stops writing queued requests; answers and enquire_link go on."""
        self._held = True

    def resume(self) -> None:
        self._held = False
        self._schedule_flush()
        self._window.wake()

    async def bind(self, request: pdu.BindRequest) -> int:
        """The ESME's first word; the answer's command_status. Not 0: the session is closing.
        Raises TimeoutError after the bind timer and ConnectionError when the link dies; then the
        session is closed too."""
        if self.state is life.State.CLOSED:
            raise ConnectionResetError("closed before the bind was asked")
        self._bind_answer = self._loop.create_future()
        self.bound = dataclasses.replace(request, password="")
        self._control_sequence = self._next_sequence()
        self._send(request, self._control_sequence)
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
        """Ends the session politely: unanswered requests of both sides first, then unbind.

        Queued requests come back NOT_SENT at once. Returns within the deadline plus twice the
        unbind timer; a peer that closes without unbind_resp has agreed.
        """
        if self.state is life.State.OPEN:
            self.abort()
        if self.state is life.State.BOUND:
            self.state = life.State.UNBINDING
            self._window.return_queued()
            self._drained = self._loop.create_future()
            self._after_progress()
            try:
                await self._part(self._drained, deadline_seconds)
            finally:
                self._close(life.Loss.UNBOUND)
        await self.wait_closed()

    async def _part(self, drained: asyncio.Future[None], deadline_seconds: float) -> None:
        ends = {drained, self._closed}
        await asyncio.wait(ends, timeout=deadline_seconds, return_when=asyncio.FIRST_COMPLETED)
        self.loss = self.loss or life.Loss.UNBOUND  # However it ends now, it was our wish.
        self._control_sequence = self._next_sequence()
        self._send(pdu.Unbind(), self._control_sequence)
        await asyncio.wait({self._closed}, timeout=self._timers.unbind_seconds)

    def abort(self) -> None:
        """Cuts the connection without a word; answers not yet written stay unsaid."""
        self._unwritten.clear()
        self._close(life.Loss.ABORTED)
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._schedule_tick()

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
        self._after_progress()

    def frames_due(self) -> list[bytes]:
        self._steer_reading()  # Our answers have just left, which may be what reading waits for.
        return [] if self._held else self._window.take(self._loop.time())

    def connection_closed(self) -> None:
        self._settle(life.Loss.PEER_CLOSED)
        self._tick_handle.cancel()
        self._handlers.on_closed(self)

    def _receive(self, frame: bytes) -> None:
        try:
            received = decoder.decode(frame)
        except pdu.PduError as error:
            self.counts.garbage += 1
            if not decoder.command_of(frame) & codes.RESPONSE_BIT:
                self._send(pdu.GenericNack(error.status), error.sequence)
            self._close_if_nonsense()
            return
        if isinstance(received, self._answer_types):
            answer = window.Answer(window.AnswerKind.ANSWERED, received.status, received.message_id)
            if not self._settled(received.sequence, answer):
                self._meet_stranger()
        elif isinstance(received, self._request_types):
            self._hand_over(received)
        else:
            self._receive_control(received, decoder.command_of(frame))

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
                self._close(life.Loss.PEER_UNBOUND)
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
        if self._settled(nack.sequence, answer):
            return
        if nack.sequence != self._control_sequence:
            self._meet_stranger()
        elif self.state is life.State.OPEN:
            self._settle_bind(status)

    def _receive_bind(self, request: pdu.BindRequest, authenticate: terms.Authenticate) -> None:
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
        self.bound = dataclasses.replace(request, password="")
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

    def _settled(self, sequence: int, answer: window.Answer) -> bool:
        """Whether the answer was to a request of ours, in time or late."""
        if not self._window.settle(sequence, answer):
            late = self._window.take_late(sequence)
            if late is None:
                return False
            self._receive_late(late.key, answer)
        if self._handlers.on_answer is not None:
            self._handlers.on_answer(answer)
        return True

    def _receive_late(self, key: object, answer: window.Answer) -> None:
        self.counts.late += 1
        if self._handlers.on_late_answer is None:
            return
        try:
            self._handlers.on_late_answer(key, answer)
        except Exception as error:
            self._note_failure(error)

    def _note_failure(self, error: Exception) -> None:
        """A fault of our own must not cost the link."""
        self.counts.handler_failures += 1
        context = {"message": "a handler of an SMPP session failed", "exception": error}
        self._loop.call_exception_handler(context)

    def _meet_stranger(self) -> None:
        self.counts.strangers += 1
        self._close_if_nonsense()

    def _close_if_nonsense(self) -> None:
        if self.counts.nonsense_count > NONSENSE_COUNT_MAX:
            self._close(life.Loss.NONSENSE)

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % codes.SEQUENCE_MAX + 1
        return self._sequence

    def _send(self, message: pdu.Pdu, sequence: int) -> None:
        self._write(encoder.encode(message, sequence))

    def _steer_reading(self) -> None:
        """Stops reading while too much of what the peer asked is undone, or its answers unread."""
        undone = max(self.open_requests, len(self._unwritten))
        if self._reading_paused_at is None:
            if undone > self._terms.open_requests_max and self.state is not life.State.CLOSED:
                self._reading_paused_at = self._loop.time()
                self._transport.pause_reading()
        elif undone <= self._terms.open_requests_max // 2 and self.state is not life.State.CLOSED:
            self._reading_paused_at = None
            self._pulse.hear(self._loop.time())
            self._transport.resume_reading()
            self._tick_handle.cancel()  # What arrived meanwhile must be read before time counts.
            self._schedule_tick()

    def _schedule_tick(self) -> None:
        self._ticked_at = self._loop.time()
        self._tick_handle = self._loop.call_later(self._timers.tick_seconds, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        late = now - self._ticked_at > 2 * self._timers.tick_seconds
        self._schedule_tick()
        if late:
            return  # This process was stopped for a while; what came meanwhile is still unread.
        if self.state is life.State.OPEN:
            if now - self._opened_at > self._timers.bind_seconds:
                self._close(life.Loss.NOT_BOUND)
        elif self._reading_paused_at is not None:
            if now - self._reading_paused_at > self._timers.response_seconds:
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
            self._control_sequence = self._next_sequence()
            self._send(pdu.EnquireLink(), self._control_sequence)
        if expired:
            self._after_progress()

    def _after_progress(self) -> None:
        """Answers came or were given up: writes, wakes and ends what was waiting for that."""
        if self._window.queued:
            self._schedule_flush()
        if self.room or not self.connected:
            self._window.wake()
        self._steer_reading()
        self._note_quiet()

    def _note_quiet(self) -> None:
        if self._drained is None or self._drained.done():
            return
        if self._window.unanswered == 0 and self.open_requests == 0:
            self._drained.set_result(None)

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
