"""One ESME session kept alive: bound again with back-off, paused when throttled."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from enum import StrEnum

from shared.smpp import breadth, encoder, esme, life, pacer, session, terms


class BindState(StrEnum):
    """What a bind is doing, for logs and metrics."""

    CONNECTING = "connecting"
    BOUND = "bound"
    PAUSED = "paused"
    WAITING = "waiting"
    REFUSED = "refused"
    CLOSED = "closed"


OnState = Callable[[BindState, str], None]

RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 30.0
REFUSED_RETRY_SECONDS_MIN = 10.0  # With the cap below, about 20 tries in an hour of refusals.
REFUSED_RETRY_SECONDS_MAX = 300.0
SETTLED_SECONDS = 5.0  # A session that lived this long has ended a row of failures.
FORGIVE_SECONDS = 10.0  # From one time that a pace is forgotten to the next.
FIRST_CUT = 0.7  # Of the rate a bind had when it was throttled first.


def backoff(first_seconds: float, cap_seconds: float, attempt: int) -> float:
    """The doubling wait from `first_seconds` at attempt 0 up to the cap, less up to a half."""
    full = min(cap_seconds, first_seconds * 2.0 ** min(attempt, 32))
    return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing


class Bind:
    """One bind of one carrier account. `on_state` gets each change with a word why, no secrets.

    Raises pdu.PduError when made with credentials SMPP cannot carry.
    """

    def __init__(
        self,
        destination: esme.Destination,
        agreed: terms.Terms,
        *,
        on_request: session.OnRequest,
        on_state: OnState,
        counts: life.Counts | None = None,
    ) -> None:
        encoder.encode(destination.request)
        self._destination = destination
        self._terms = agreed
        self._handlers = session.Handlers(on_request, counts=counts or life.Counts())
        self._on_state = on_state
        self._session: session.Session | None = None
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._narrow = self._held_back = False
        self._forgiven_at = -math.inf
        self._pacer: pacer.Pacer | None = None
        least = agreed.window_min
        self._breadth = None if least is None else breadth.Breadth(least, agreed.window)

    @property
    def current(self) -> session.Session | None:
        """The session to ask over; None while there is none."""
        return self._session

    @property
    def connected(self) -> bool:
        return self._session is not None and self._session.connected

    @property
    def room(self) -> int:
        """Requests that would be written at once; 0 while down or paused."""
        return 0 if self._session is None else self._session.room

    def start(self) -> None:
        """Begin to connect, and go on until `close`. Call it once."""
        self._task = asyncio.get_running_loop().create_task(self._stay_bound())

    async def wait_for_room(self, timeout_seconds: float) -> bool:
        """True once there is room; False when the time is over."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while self.room == 0:
                    if not self.connected:
                        self._up.clear()
                    await self._up.wait()
                    if self._session is not None:
                        await self._session.wait_for_room(timeout_seconds)
        except TimeoutError:
            return False
        return True

    def pause(self, seconds: float) -> None:
        """Write no requests for a while; of several pauses the one that ends last counts."""
        if self._session is None:
            return
        loop = asyncio.get_running_loop()
        if self._pause is not None:
            if self._pause.when() > loop.time() + seconds:
                return
            self._pause.cancel()
        self._held_back = False
        self._session.hold()
        self._pause = loop.call_later(seconds, self._resume)
        self._on_state(BindState.PAUSED, f"for {seconds:g} s")

    def halt(self, seconds: float) -> None:
        """Write no requests for a while, and then one at a time, until `go_on`."""
        self._narrow = True
        self._fit_window()
        self.pause(seconds)

    def go_on(self) -> None:
        """Have the whole window again."""
        self._narrow = False
        self._fit_window()

    def _fit_window(self) -> None:
        if self._session is not None:
            widest = self._terms.window if self._breadth is None else self._breadth.size
            self._session.widen(1 if self._narrow else widest)

    async def close(self, drain_seconds: float) -> None:
        """Unbind, giving unanswered requests that long, and reconnect no more."""
        if self._session is not None:
            await self._session.unbind(drain_seconds)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._on_state(BindState.CLOSED, "closed")

    async def _stay_bound(self) -> None:
        loop = asyncio.get_running_loop()
        attempt, last = 0, BindState.CONNECTING
        while True:
            self._on_state(BindState.CONNECTING, "connecting")
            try:
                opened = await esme.open_esme(self._destination, self._terms, self._handlers)
            except esme.BindRefused as refusal:
                state, reason = BindState.REFUSED, f"status 0x{refusal.status:08X}"
            except (OSError, TimeoutError) as error:
                state, reason = BindState.WAITING, type(error).__name__
            else:
                since = loop.time()
                reason = await self._serve(opened)
                state = BindState.WAITING
                if loop.time() - since > SETTLED_SECONDS:
                    attempt = 0
            attempt, last = (attempt if state is last else 0), state
            self._on_state(state, reason)
            await asyncio.sleep(self._retry_seconds(state, attempt))
            attempt += 1

    async def _serve(self, opened: session.Session) -> str:
        """Lend the session out until it ends; returns why it did."""
        self._session = opened
        opened.keep_pace(self._pacer)
        self._fit_window()
        try:
            if opened.connected:
                self._on_state(BindState.BOUND, "bound")
                self._up.set()
            await opened.wait_closed()
        finally:
            self._session = None
            self._up.clear()
            if self._pause is not None:
                self._pause.cancel()
                self._pause = None
            opened.abort()
        return str(opened.loss)

    @staticmethod
    def _retry_seconds(state: BindState, attempt: int) -> float:
        if state is BindState.REFUSED:  # A wrong password does not get better by hammering.
            return backoff(REFUSED_RETRY_SECONDS_MIN, REFUSED_RETRY_SECONDS_MAX, attempt)
        return backoff(RETRY_SECONDS_MIN, RETRY_SECONDS_MAX, attempt)

    @property
    def steered(self) -> bool:
        """Whether it wants to hear of answers that are no throttling."""
        return self._pacer is not None or self._breadth is not None

    def heed_answer(self) -> None:
        """The request that is being answered was dealt with, as taken or refused."""
        opened = self._session
        if opened is None:
            return
        now = asyncio.get_running_loop().time()
        if self._pacer is not None and not self._pacer.taken(now):
            self._keep_pace(None)
        if self._held_back and self._pause is not None:
            self._pause.cancel()
            self._resume()
        if self._breadth is not None:
            # Half of it, for answers come several at once.
            full = 2 * (opened.unanswered + 1) >= self._breadth.size
            self._breadth.answered(now, opened.asked_at, full=full)
            self._fit_window()

    def heed_throttling(self) -> None:
        """The request that is being answered was one too many: go slower, and pause where nothing
        is taken at all."""
        opened = self._session
        if opened is None:
            return
        now = asyncio.get_running_loop().time()
        if self._pacer is None:
            rate = (opened.unanswered + 1) / max(now - opened.asked_at, 0.001)
            self._keep_pace(pacer.Pacer(FIRST_CUT * rate, now))
        if self._breadth is not None:
            self._breadth.cut(now, opened.asked_at)
            self._fit_window()
        if self._pacer is not None:
            seconds = self._pacer.throttled(now, opened.asked_at)
            if seconds and self._pause is None:
                self.pause(seconds)
                self._held_back = True

    def forgive(self) -> None:
        """What was taken for throttling was none, so what it has taught is forgotten; but not again
        and again, for others may be throttled in earnest."""
        now = asyncio.get_running_loop().time()
        if self._pacer is None or now - self._forgiven_at < FORGIVE_SECONDS:
            return
        self._forgiven_at = now
        self._keep_pace(None)
        if self._held_back and self._pause is not None:
            self._pause.cancel()
            self._resume()

    def _keep_pace(self, chosen: pacer.Pacer | None) -> None:
        self._pacer = chosen
        if self._session is not None:
            self._session.keep_pace(chosen)

    def _resume(self) -> None:
        self._pause = None
        self._held_back = False
        if self._session is not None:
            self._session.resume()
            self._on_state(BindState.BOUND, "resumed")
