"""A connection to RabbitMQ that is thrown away whole on any fault and built anew.

aio-pika's own robust connection leaves channels closed after the broker was killed, so this is a
supervisor over a plain one: connect, set up everything, wait for a close, forget everything, back
off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from shared.runtime import lifecycle

_log = structlog.get_logger()

CONNECT_SECONDS = 10.0
HEARTBEAT_SECONDS = 10
UNWANTED_SECONDS = 1.0
"""How long a greeting may go on that nobody waits for any more: then it is broken off."""


class NotRestored(Exception):
    """What a lost queue held could not be made ready again, so the queue is not made either."""


FAULTS = (AMQPError, OSError, TimeoutError, asyncio.InvalidStateError, RuntimeError, NotRestored)
"""What aio-pika raises when the broker is away, going or coming back, and NotRestored."""


def is_fault(error: BaseException) -> bool:
    """Whether the broker is away, going or coming back: one of FAULTS, or a bare `Exception`, with
    which aiormq ends what waits on a channel that was closed without a reason."""
    return isinstance(error, FAULTS) or type(error) is Exception


SetUp = Callable[[AbstractConnection], Awaitable[None]]


class Link:
    """One supervised connection, named for RabbitMQ's own console.

    `set_up` is run on each new connection and must open every channel, queue and consumer anew; a
    fault in it counts as a fault of the connection.
    """

    def __init__(self, url: str, name: str, set_up: SetUp) -> None:
        self._url = url
        self._name = name
        self._set_up = set_up
        self._up = asyncio.Event()
        self._broken = asyncio.Event()
        self._asides: dict[str, asyncio.Task[None]] = {}

    @property
    def up(self) -> bool:
        """Whether the last set-up stands."""
        return self._up.is_set()

    async def wait_up(self, deadline_seconds: float) -> bool:
        """Wait for a standing link; False when the deadline passed first."""
        try:
            await asyncio.wait_for(self._up.wait(), deadline_seconds)
        except TimeoutError:
            return False
        return True

    def rebuild(self) -> None:
        """Throw this connection away and build the next, as after a fault."""
        self._broken.set()

    def aside(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run `work` beside this connection and those after it, one of a name at a time."""
        if name not in self._asides:
            task = asyncio.create_task(work(), name=f"{self._name}-{name}")
            self._asides[name] = task
            task.add_done_callback(lambda _: self._asides.pop(name, None))

    async def supervise(self) -> None:
        """Keep the link standing until cancelled."""
        try:
            while True:
                connection = await self._connected()
                self._up.set()
                _log.info("broker_link_up", link=self._name)
                try:
                    await self._broken.wait()
                    _log.warning("broker_link_down", link=self._name)
                finally:
                    self._up.clear()
                    await _close(connection)
        finally:
            for task in list(self._asides.values()):
                await lifecycle.end(task)

    async def _connected(self) -> AbstractConnection:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_fault),
            wait=wait_random_exponential(multiplier=0.2, max=3),
            before_sleep=self._note_failure,
        ):
            with attempt:
                return await self._attempt()
        raise AssertionError("tenacity retries without end")

    def _note_failure(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        _log.info("broker_link_not_up", link=self._name, error=type(error).__name__)

    async def _attempt(self) -> AbstractConnection:
        self._broken = broken = asyncio.Event()
        connection = await _connect(self._url, self._name)
        try:
            connection.close_callbacks.add(lambda *_: broken.set())
            await asyncio.wait_for(self._set_up(connection), 2 * CONNECT_SECONDS)
        except BaseException:
            await _close(connection)
            raise
        return connection


async def _connect(url: str, name: str) -> AbstractConnection:
    connecting = asyncio.create_task(_greeted(url, name))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        # Cancelled in the moment in which it succeeds, aiormq lets go of a connection that lives.
        await asyncio.wait({connecting}, timeout=UNWANTED_SECONDS)
        if connecting.done() and not connecting.cancelled() and connecting.exception() is None:
            await _close(connecting.result())
        raise
    finally:
        connecting.cancel()


async def _greeted(url: str, name: str) -> AbstractConnection:
    try:
        return await aio_pika.connect(
            url,
            timeout=CONNECT_SECONDS,
            client_properties={"connection_name": name},
            heartbeat=HEARTBEAT_SECONDS,
        )
    except StopAsyncIteration:
        # What aiormq lets out when the other side hangs up between two frames of the greeting.
        raise ConnectionResetError("the broker hung up in its greeting") from None


@asynccontextmanager
async def passing(url: str, name: str) -> AsyncIterator[AbstractConnection]:
    """A connection for once. Raises one of FAULTS when there is none to be had."""
    connection = await _connect(url, name)
    try:
        yield connection
    finally:
        await _close(connection)


async def _close(connection: AbstractConnection) -> None:
    try:
        await asyncio.wait_for(connection.close(), 3.0)
    except Exception as error:
        if not is_fault(error):
            raise


@asynccontextmanager
async def supervised(link: Link) -> AsyncIterator[None]:
    """Keep a link standing while the body runs, then close it."""
    task = asyncio.create_task(link.supervise(), name=f"link-{link._name}")  # noqa: SLF001 - of this file
    try:
        yield
    finally:
        await lifecycle.end(task)
