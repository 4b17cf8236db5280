"""Segments to submit, and a sink that collects receipts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared.carriers import contract, outcomes
from shared.sms import inbound, segmentation


def segments(
    recipient: str = "+33612340000",
    text: str = "Your code is 1234",
    source: str = "Sluice",
    message_id: UUID | None = None,
    valid_seconds: int = 3600,
) -> list[contract.Segment]:
    """A message's segments, as the dispatcher makes them."""
    name = message_id or uuid4()
    return [
        contract.Segment(
            message_id=name,
            part=part.number,
            part_count=part.total,
            source=source,
            recipient=recipient,
            encoding=part.encoding,
            udh=part.udh,
            payload=part.payload,
            valid_seconds=valid_seconds,
            submitted_at=datetime.now(UTC),
        )
        for part in segmentation.split(text, reference=name.int & 0xFF)
    ]


def segment(
    recipient: str = "+33612340000",
    text: str = "Your code is 1234",
    source: str = "Sluice",
    valid_seconds: int = 3600,
) -> contract.Segment:
    """A message of one segment."""
    return segments(recipient, text, source, None, valid_seconds)[0]


def submit(link: contract.Link, segment: contract.Segment) -> asyncio.Future[outcomes.Outcome]:
    """Hand over one segment, for a future of what it comes to."""
    outcome: asyncio.Future[outcomes.Outcome] = asyncio.get_running_loop().create_future()
    link.submit(segment, outcome.set_result)
    return outcome


async def eventually(holds: Callable[[], bool], within_seconds: float = 10) -> None:
    """Return once something nobody signals has become true; TimeoutError if it never does."""
    async with asyncio.timeout(within_seconds):
        while not holds():
            await asyncio.sleep(0.005)


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose backlog is full: the kernel drops whatever asks for a connection."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.2)
            try:
                filler.connect(listener.getsockname())
            except TimeoutError:
                break
        yield listener.getsockname()[1]


class Sink:
    """Takes receipts as the broker would, and fails the first `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self.bodies: asyncio.Queue[bytes] = asyncio.Queue()
        self.seen: list[bytes] = []
        self.failures = failures
        self.gate: asyncio.Event | None = None

    def __call__(self, body: bytes) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._store(body))

    async def _store(self, body: bytes) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the broker is away")
        self.seen.append(body)
        self.bodies.put_nowait(body)

    async def next(self) -> bytes:
        return await asyncio.wait_for(self.bodies.get(), 10)


class Inbox:
    """Takes what phones send as the database would, and fails the first `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self.parts: list[inbound.InboundPart] = []
        self.ways: list[contract.StillThere] = []
        self.failures = failures

    def __call__(
        self, part: inbound.InboundPart, still_there: contract.StillThere
    ) -> asyncio.Future[None]:
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.failures:
            self.failures -= 1
            stored.set_exception(ConnectionError("the database is away"))
        else:
            self.parts.append(part)
            self.ways.append(still_there)
            stored.set_result(None)
        return stored
