"""A producer's server: it records what it is told, and answers as a test wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from standardwebhooks import Webhook

Answers = Callable[[dict[str, Any]], Awaitable[web.StreamResponse] | int]
"""What to say to a body: a status, or an answer that takes its time."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    headers: Mapping[str, str]
    raw: bytes
    path: str
    body: dict[str, Any]
    at_seconds: float

    @property
    def sequence(self) -> int:
        return int(self.body["data"]["sequence"])

    def check(self, secret: str) -> None:
        """Raises WebhookVerificationError unless it was signed with this secret, and signs the id
        of its body."""
        told = Webhook(secret).verify(self.raw, dict(self.headers))
        assert told["id"] == self.headers["webhook-id"]


@dataclass
class Receiver:
    """What was received, taken or not; `port` is where."""

    port: int = 0
    answers: Answers = lambda _body: 204
    received: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    under_way: int = 0
    under_way_max: int = 0
    close: Callable[[], Awaitable[None]] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def sequences(self) -> set[int]:
        """Numbers of the events that were taken."""
        return {one.sequence for one in self.taken}

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Record one request and answer it."""
        raw = await request.read()
        body = msgspec.json.decode(raw)
        one = Received(dict(request.headers), raw, request.path, body, time.time())
        self.received.append(one)
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            said = self.answers(one.body)
            answer = web.Response(status=said) if isinstance(said, int) else await said
        finally:
            self.under_way -= 1
        if 200 <= answer.status < 300:
            self.taken.append(one)
        return answer

    async def hears(self, count: int, deadline_seconds: float = 15.0) -> None:
        """Wait until so many different events were taken."""
        async with asyncio.timeout(deadline_seconds):
            while len(self.sequences) < count:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on 127.0.0.1 while the body runs; on any free port, or on this one again."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.port = runner.addresses[0][1]
    receiver.close = runner.cleanup
    try:
        yield receiver
    finally:
        await runner.cleanup()
