"""A carrier inside the test: a real SMSC that answers as it is told, and keeps a book."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from shared.smpp import codes, pdu, session, smsc, terms
from tests.chaos.arena import Arena


class TakenSubmit(NamedTuple):
    """A submit, by time.monotonic."""

    at: float
    source: str
    recipient: str
    status: int


class OwnCarrier:
    """Answers each submit after `answer_seconds` with the status that `decide` gives, and with
    `with_receipts` says of each that it has taken that it was delivered."""

    def __init__(
        self,
        answer_seconds: float,
        decide: Callable[[pdu.SubmitSm], int] = lambda _submit: codes.ESME_ROK,
        *,
        with_receipts: bool = False,
    ) -> None:
        self._with_receipts = with_receipts
        self.bound: set[session.Session] = set()
        self.most_bound = 0
        self.submits: list[TakenSubmit] = []
        self._answer_seconds = answer_seconds
        self._decide = decide
        self._loop = asyncio.get_running_loop()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Its port."""
        handlers = session.Handlers(
            self._take,
            on_closed=self.bound.discard,
            authenticate=lambda _request: codes.ESME_ROK,
            on_bound=self._welcome,
        )
        server = await smsc.serve("127.0.0.1", 0, terms.Terms(100), handlers)
        try:
            yield server.port
        finally:
            await server.close()

    def _welcome(self, peer: session.Session) -> None:
        self.bound.add(peer)
        self.most_bound = max(self.most_bound, len(self.bound))

    def _take(self, peer: session.Session, request: pdu.Request) -> None:
        assert isinstance(request, pdu.SubmitSm)
        status = self._decide(request)
        self.submits.append(
            TakenSubmit(time.monotonic(), request.source_addr, request.destination_addr, status)
        )
        name = "" if status else f"{len(self.submits):x}"
        self._loop.call_later(self._answer_seconds, self._answer, peer, request, status, name)

    def _answer(self, peer: session.Session, request: pdu.SubmitSm, status: int, name: str) -> None:
        if peer.answer(request, status, name) and name and self._with_receipts:
            receipt = pdu.DeliverSm(
                request.destination_addr,
                request.source_addr,
                f"id:{name} stat:DELIVRD err:000".encode(),
                esm_class=codes.ESM_CLASS_RECEIPT,
            )
            self._loop.call_later(self._answer_seconds, peer.deliver, receipt)


def carrier(name: str, port: int, country: str, settings: str) -> str:
    """The configuration of one that all messages to a country go by. It binds under its own name:
    a carrier hands receipts to any bind of the account that submitted."""
    return f"""
[[carrier]]
name = "{name}"
adapter = "smpp"
host = "127.0.0.1"
port = {port}
system_id = "{name}"
password = "practice"
{settings}

[[route]]
country = "{country}"
carrier = "{name}"
priority = 1
"""


@asynccontextmanager
async def standing_in(
    stage: Arena, own: OwnCarrier, name: str, settings: str, more: str = ""
) -> AsyncIterator[None]:
    """Have it take what goes to Germany; the simulator takes its place afterwards, for a carrier
    stays once it is configured."""
    async with own.listening() as port:
        stage.apply(more + carrier(name, port, "DE", settings))
        try:
            yield
        finally:
            stage.apply(carrier(name, stage.fleet.ports["smpp"], "DE", ""))


async def until(seconds: float, condition: Callable[[], bool]) -> None:
    """Wait for it, so long at most."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
