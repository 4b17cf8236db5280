"""The link to a carrier with a web API: each submit is one request, made once, within deadlines."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import aiohttp
import structlog
import yarl

from shared.carriers import contract, outcomes

_log = structlog.get_logger()

ANSWER_BYTES_MAX = 64 * 1024
PAUSE_SECONDS_MAX = 300.0
GROWING_PAUSE_SECONDS_MAX = 30.0
HALT_SECONDS = 5.0
"""The first pause after our account was refused; the longest is PAUSE_SECONDS_MAX."""
LOST_COUNT_MAX = 5
"""Requests in a row without an answer after which a carrier is taken to be away: else each message
that waits would come into doubt. Then one at a time asks whether it is back."""
_PAUSING = frozenset(
    {
        outcomes.OutcomeKind.UNAVAILABLE,
        outcomes.OutcomeKind.LOST,
        outcomes.OutcomeKind.THROTTLED,
        outcomes.OutcomeKind.HALTED,
    }
)


class Request(NamedTuple):
    """One segment as a carrier's API wants it."""

    method: str
    url: yarl.URL
    headers: Mapping[str, str]
    body: bytes | None


class Api(NamedTuple):
    """How one carrier is asked and understood.

    At most `window` requests are under way. The connection must stand within `connect_seconds` and
    everything be over within `timeout_seconds`. `read` gets the status, the headers and the body,
    which is None when it was longer than ANSWER_BYTES_MAX. With
    `whole_messages` the carrier cuts texts itself.
    """

    write: Callable[[contract.Segment], Request]
    read: Callable[[int, Mapping[str, str], bytes | None], outcomes.Outcome]
    window: int
    connect_seconds: float
    timeout_seconds: float
    whole_messages: bool = False


class _Attempt:
    """Whether a request began to leave; it may do so once, however often the client would try, and
    not after the segment's time."""

    __slots__ = ("asked", "leave_by", "overdue")

    def __init__(self, leave_by: float) -> None:
        self.leave_by = leave_by
        self.asked = False
        self.overdue = False

    def outcome(self) -> outcomes.Outcome:
        return outcomes.LOST if self.asked else outcomes.UNAVAILABLE


class _Forbidden(aiohttp.ClientError):
    """The client wanted to send a request a second time, or too late."""


async def _note_headers(
    _session: aiohttp.ClientSession, context: object, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    # Called just before the first byte is written. aiohttp repeats GET and PUT by itself when a
    # kept connection turns out dead; a repeat would be a second submit.
    attempt: _Attempt = getattr(context, "trace_request_ctx")  # noqa: B009 - its type does not name it
    attempt.overdue = not attempt.asked and time.monotonic() > attempt.leave_by
    if attempt.asked or attempt.overdue:
        raise _Forbidden
    attempt.asked = True


class WebLink:
    """The `contract.Link` over HTTP. It is up until a request fails to leave, or LOST_COUNT_MAX of
    them stay unanswered."""

    def __init__(self, carrier: str, api: Api) -> None:
        self._carrier = carrier
        self._api = api
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_headers)
        self._session = aiohttp.ClientSession(
            # Short, lest the carrier close a kept connection under a submit: that is a doubt.
            connector=aiohttp.TCPConnector(limit=api.window, keepalive_timeout=4.0),
            timeout=aiohttp.ClientTimeout(total=api.timeout_seconds, connect=api.connect_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[trace],
        )
        self._tasks: set[asyncio.Task[outcomes.Outcome]] = set()
        self._failures = 0
        self._lost_in_a_row = 0
        self._down = False
        self._closed = False
        self._resume_at = 0.0
        self._changed = asyncio.Event()

    @property
    def connected(self) -> bool:
        """False while closed, or backing off from a carrier that could not be reached."""
        return not self._closed and not (self._down and self._paused)

    @property
    def room(self) -> int:
        if self._closed or self._paused:
            return 0
        window = self._api.window if self._lost_in_a_row < LOST_COUNT_MAX else 1
        return max(0, window - len(self._tasks))

    @property
    def whole_messages(self) -> bool:
        return self._api.whole_messages

    @property
    def _paused(self) -> bool:
        return asyncio.get_running_loop().time() < self._resume_at

    async def wait_for_room(self) -> None:
        while not self.room:
            self._changed.clear()
            await self._changed.wait()

    def submit(self, segment: contract.Segment, on_outcome: contract.OnOutcome) -> None:
        if not self.room:
            on_outcome(outcomes.UNAVAILABLE)
            return
        attempt = _Attempt(segment.leave_by)
        task = asyncio.get_running_loop().create_task(self._ask(segment, attempt))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._settle(done, attempt, on_outcome))

    async def close(self, drain_seconds: float) -> None:
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._session.close()
        self._changed.set()

    def _settle(
        self,
        task: asyncio.Task[outcomes.Outcome],
        attempt: _Attempt,
        on_outcome: contract.OnOutcome,
    ) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            outcome = attempt.outcome()
        elif (error := task.exception()) is not None:
            _log.error("carrier_submit_broke", carrier=self._carrier, error=type(error).__name__)
            outcome = attempt.outcome()
        else:
            outcome = task.result()
        if not attempt.overdue:
            self._pace(outcome)
        self._changed.set()
        on_outcome(outcome)

    def _pace(self, outcome: outcomes.Outcome) -> None:
        """Pause after a carrier that is away, asks for time or refuses our account, ever longer
        until it says else."""
        if outcome.kind is outcomes.OutcomeKind.LOST:
            self._lost_in_a_row += 1
            if self._lost_in_a_row < LOST_COUNT_MAX:
                return
        elif outcome.kind is not outcomes.OutcomeKind.UNAVAILABLE:
            self._lost_in_a_row = 0
        if outcome.kind not in _PAUSING:
            self._failures, self._down = 0, False
            return
        if self._paused or self._closed:
            return
        seconds = min(PAUSE_SECONDS_MAX, outcome.retry_after_ms / 1000) or self._growing(outcome)
        self._failures += 1
        self._down = outcome.kind is not outcomes.OutcomeKind.THROTTLED
        loop = asyncio.get_running_loop()
        self._resume_at = loop.time() + seconds
        loop.call_at(self._resume_at, self._go_on)
        halted = outcome.kind is outcomes.OutcomeKind.HALTED
        (_log.error if halted else _log.warning)(
            "carrier_halted" if halted else "carrier_paused",
            carrier=self._carrier,
            kind=outcome.kind,
            code=outcome.code,
            seconds=seconds,
        )

    def _growing(self, outcome: outcomes.Outcome) -> float:
        halted = outcome.kind is outcomes.OutcomeKind.HALTED
        first, most = (
            (HALT_SECONDS, PAUSE_SECONDS_MAX) if halted else (0.5, GROWING_PAUSE_SECONDS_MAX)
        )
        full = min(most, first * (1 << min(self._failures, 8)))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing

    def _go_on(self) -> None:
        if self._paused:  # A loop's timers may be a little early.
            asyncio.get_running_loop().call_later(0.001, self._go_on)
        else:
            self._changed.set()

    async def _ask(self, segment: contract.Segment, attempt: _Attempt) -> outcomes.Outcome:
        request = self._api.write(segment)
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                trace_request_ctx=attempt,
            ) as response:
                content = await _read(response.content)
                return self._api.read(response.status, response.headers, content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The type only: some of these carry the URL, and so perhaps the text.
            _log.warning("carrier_unanswered", carrier=self._carrier, error=type(error).__name__)
            return attempt.outcome()


async def _read(content: aiohttp.StreamReader) -> bytes | None:
    """The whole answer, or None when it is longer than anybody needs."""
    read = bytearray()
    async for chunk in content.iter_any():
        read += chunk
        if len(read) > ANSWER_BYTES_MAX:
            return None
    return bytes(read)
