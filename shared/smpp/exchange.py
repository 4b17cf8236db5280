"""The messages of one session: ours within a window, the peer's within what we can take in."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from shared.smpp import codes, connection, encoder, life, pdu, terms, window

OnAnswer = Callable[[window.Answer], None]
OnLateAnswer = Callable[[object, window.Answer], None]


class Exchange(connection.Connection):
    """Requests asked and answered over one connection, which a session opens and ends.

    While too many of the peer's requests are unanswered it stops reading.
    """

    def __init__(
        self, agreed: terms.Terms, on_answer: OnAnswer | None, on_late_answer: OnLateAnswer | None
    ) -> None:
        super().__init__()
        self.counts = life.Counts()
        self.open_requests = 0  # Inbound ones for which `answer` has not been called.
        self.state = life.State.OPEN
        self._terms = agreed
        self._on_answer = on_answer
        self._on_late_answer = on_late_answer
        self._window = window.Window(agreed.window)
        self._sequence = 0
        self._held = False
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
        return self._window.room if self.state is life.State.BOUND and not self._held else 0

    @property
    def unanswered(self) -> int:
        """Requests written and not answered; never more than the window."""
        return self._window.unanswered

    def submit(self, message: pdu.SubmitSm) -> asyncio.Future[window.Answer]:
        """Queue one submit_sm; the future always ends with an Answer, whatever the link does.
        Raises pdu.PduError, and sends nothing, for a message SMPP cannot carry."""
        return self.ask(message, window.as_it_is)

    def deliver(self, message: pdu.DeliverSm | pdu.DataSm) -> asyncio.Future[window.Answer]:
        """`submit` for the SMSC's role."""
        return self.ask(message, window.as_it_is)

    def ask(
        self,
        message: pdu.Request,
        read: window.Reader[window.Result],
        key: object = None,
        leave_by: float = math.inf,
    ) -> asyncio.Future[window.Result]:
        """`submit` or `deliver`, for a future of what `read` makes of the Answer, at once. What is
        still queued at `leave_by`, a time of time.monotonic, comes back NOT_SENT. An answer that
        comes after the response timer, which made it LOST, goes to the handler `on_late_answer`
        together with `key`, as long as the link stands."""
        sequence = self._next_sequence()
        frame = encoder.encode(message, sequence)
        future: asyncio.Future[window.Result] = self._loop.create_future()
        if self.state is life.State.BOUND:
            self._window.put(sequence, frame, future, read, key, leave_by)
            self._schedule_flush()
        else:
            future.set_result(read(window.NOT_SENT))
        return future

    def answer(self, request: pdu.Request, status: int = 0, message_id: str = "") -> bool:
        """Answer an inbound request, once. False when the link has gone and it went nowhere."""
        self.open_requests -= 1
        if self.state is life.State.CLOSED:
            return False
        self._send(pdu.response(request, status, message_id), request.sequence)
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
        return [] if self._held else self._window.take(self._loop.time(), time.monotonic())

    def _take_answer(self, sequence: int, answer: window.Answer) -> bool:
        """Whether it was the answer to a request of ours, in time or late."""
        if not self._window.settle(sequence, answer):
            late = self._window.take_late(sequence)
            if late is None:
                return False
            self._take_late_answer(late.key, answer)
        if self._on_answer is not None:
            self._on_answer(answer)
        return True

    def _take_late_answer(self, key: object, answer: window.Answer) -> None:
        self.counts.late += 1
        if self._on_late_answer is None:
            return
        try:
            self._on_late_answer(key, answer)
        except Exception as error:
            self._note_failure(error)

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
