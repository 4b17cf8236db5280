"""The messages of one session: ours within a window, the peer's within what we can take in."""

from __future__ import annotations

import asyncio
import math
import time

from shared.smpp import codes, connection, encoder, life, pacer, pdu, terms, window


class Exchange(connection.Connection):
    """Requests asked and answered over one connection, which a session opens and ends.

    While too many of the peer's requests are unanswered it stops reading.
    """

    def __init__(self, agreed: terms.Terms, counts: life.Counts) -> None:
        super().__init__()
        self.counts = counts
        self.open_requests = 0  # Inbound ones for which `answer` has not been called.
        self.state = life.State.OPEN
        self._terms = agreed
        self._window = window.Window(agreed.window, self._note_failure)
        self._sequence = 0
        self._held = False
        self._pacer: pacer.Pacer | None = None
        self._turn: asyncio.TimerHandle | None = None
        self._reading_stopped_at: float | None = None

    def answers_changed(self) -> None:
        """One side may owe the other fewer answers than before."""
        raise NotImplementedError

    def reading_resumed(self) -> None:
        """What arrived while nothing was read will be read now."""
        raise NotImplementedError

    @property
    def connected(self) -> bool:
        """Bound, and taking requests."""
        return self.state is life.State.BOUND

    @property
    def room(self) -> int:
        """How many requests would be written at once if submitted now."""
        if self._held or self.state is not life.State.BOUND:
            return 0
        room, chosen = self._window.room, self._pacer
        if chosen is None or room == 0:
            return room
        return max(0, min(room, chosen.room(self._window.queued, self._window.unanswered)))

    @property
    def unanswered(self) -> int:
        """Requests written and not answered; never more than the window."""
        return self._window.unanswered

    @property
    def asked_at(self) -> float:
        """When the request was written whose answer is being told, by the loop's clock."""
        return self._window.asked_at

    def widen(self, size: int) -> None:
        """Have a window of this size from now on."""
        self._window.size = size

    def keep_pace(self, chosen: pacer.Pacer | None) -> None:
        """Write requests at this pace from now on; None: as fast as the window lets."""
        self._pacer = chosen

    def submit(self, message: pdu.SubmitSm) -> asyncio.Future[window.Answer]:
        """Queue one submit_sm; the future always ends with an Answer, whatever the link does.
        Raises pdu.PduError, and sends nothing, for a message SMPP cannot carry."""
        return self._request(message)

    def deliver(self, message: pdu.DeliverSm | pdu.DataSm) -> asyncio.Future[window.Answer]:
        """`submit` for the SMSC's role."""
        return self._request(message)

    def _request(self, message: pdu.Request) -> asyncio.Future[window.Answer]:
        future: asyncio.Future[window.Answer] = self._loop.create_future()

        def end(answer: window.Answer) -> None:
            if not future.done():
                future.set_result(answer)

        written = encoder.encode(message)
        self.ask(codes.HEADER.unpack_from(written)[1], written[codes.HEADER_BYTES :], end)
        return future

    def ask(
        self,
        command: int,
        body: bytes,
        on_answer: window.OnAnswer,
        leave_by: float = math.inf,
    ) -> None:
        """Queue a request whose body is written. `on_answer` hears what becomes of it, whatever the
        link does: NOT_SENT at once where the session is not bound, and of what is still queued at
        `leave_by`, a time of time.monotonic; LOST after the response timer, and then LATE if the
        answer still comes while the link stands."""
        if self.state is life.State.BOUND:
            sequence = self._next_sequence()
            frame = encoder.frame(command, 0, sequence, body)
            self._window.put(sequence, frame, on_answer, leave_by)
            self._schedule_flush()
        else:
            on_answer(window.NOT_SENT)

    def answer(self, request: pdu.Request, status: int = 0, message_id: str = "") -> bool:
        """Answer an inbound request, once. False when the link has gone and it went nowhere."""
        self.open_requests -= 1
        if self.state is life.State.CLOSED:
            return False
        self._write(encoder.response(request, status, message_id))
        if self._reading_stopped_at is not None:
            self._steer_reading()
        self.answers_changed()
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
        """Write no queued requests; answers and enquire_link go on."""
        self._held = True

    def resume(self) -> None:
        self._held = False
        self._schedule_flush()
        self._window.wake()

    def frames_due(self) -> list[bytes]:
        self._steer_reading()  # Our answers have just left, which may be what reading waits for.
        if self._held:
            return []
        now = self._loop.time()
        count = None if self._pacer is None else self._allowance(self._pacer, now)
        return self._window.take(now, time.monotonic(), count)

    def _allowance(self, chosen: pacer.Pacer, now: float) -> int:
        """How many of what is queued it is the turn of; the others have theirs later."""
        queued, unanswered = self._window.queued, self._window.unanswered
        wanted = min(queued, self._window.size - unanswered)
        allowed = chosen.allowance(now, wanted, unanswered) if wanted > 0 else 0
        if allowed < wanted and self._turn is None and chosen.wait_seconds < math.inf:
            self._turn = self._loop.call_later(chosen.wait_seconds, self._take_turn)
        return allowed

    def _take_turn(self) -> None:
        self._turn = None
        self._schedule_flush()
        if self.room:
            self._window.wake()

    def _take_answer(self, sequence: int, answer: window.Answer) -> bool:
        """Whether it was the answer to a request of ours, in time or late."""
        if not self._window.settle(sequence, answer):
            if not self._window.settle_late(sequence, answer):
                return False
            self.counts.late += 1
        return True

    def _note_failure(self, error: Exception) -> None:
        """A fault of our own must not cost the link."""
        self.counts.handler_failures += 1
        context = {"message": "a handler of an SMPP session failed", "exception": error}
        self._loop.call_exception_handler(context)

    def _progressed(self) -> None:
        """Answers came or were given up: write, wake and end what was waiting for that."""
        if self._window.queued:
            self._schedule_flush()
        if self.room or not self.connected:
            self._window.wake()
        self._steer_reading()
        self.answers_changed()

    def _steer_reading(self) -> None:
        """Stop reading while too much of what the peer asked is undone, or its answers unread."""
        undone = max(self.open_requests, len(self._unwritten))
        undone_max = self._terms.open_requests_max
        if self._reading_stopped_at is None:
            if undone > undone_max and self.state is not life.State.CLOSED:
                self._reading_stopped_at = self._loop.time()
                self._transport.pause_reading()
        elif undone <= undone_max // 2 and self.state is not life.State.CLOSED:
            self._reading_stopped_at = None
            self._transport.resume_reading()
            self.reading_resumed()

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % codes.SEQUENCE_MAX + 1
        return self._sequence

    def _send(self, message: pdu.Pdu, sequence: int) -> None:
        self._write(encoder.encode(message, sequence))
