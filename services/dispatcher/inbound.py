"""What phones send, over a carrier's own link: stored in PostgreSQL, and only then answered. No
text of it goes anywhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import asyncpg
import prometheus_client

from shared.access.seals import Seals
from shared.carriers import contract
from shared.db import inbound
from shared.db.pool import ACQUIRE_SECONDS
from shared.runtime import batching, ids
from shared.sms.inbound import InboundPart

BATCH_COUNT = 500
PACE_SECONDS = 0.01
"""Between two transactions, unless deliveries come one by one."""
STORE_SECONDS = 2.0
"""How long a batch waits for a connection: the carrier waits for the answer, and keeps what it has
none to."""
WAITING_COUNT_MAX = 10_000
WAITING_BYTES_MAX = 16 * 1024 * 1024
"""More than so many deliveries, or so much in them, is not held: the carrier is asked to repeat."""

ANSWER_SECONDS = 2.0
"""What is answered later than this may have been given up by the carrier, and come again."""
HEARD_SECONDS = 10.0
"""So long after an answer that it has arrived, if its link still stands."""
HEARD_COUNT_MAX = 100_000

_DELIVERIES = prometheus_client.Counter(
    "sluice_inbound_deliveries_total",
    "Deliveries of phones' messages and their parts, by what became of them.",
    ["outcome"],
)


class InboundDesk:
    """Gathers deliveries of every carrier and stores them together.

    The carrier keeps what it has no answer to, so nothing is tried again here: when PostgreSQL does
    not take it, the carrier is told to repeat it, and a repetition of what was stored after all is
    recognised.
    """

    def __init__(self, pool: asyncpg.Pool, seals: Seals) -> None:
        self._pool = pool
        self._seals = seals
        self._held_bytes = 0
        self._heard: list[bytes] = []
        self._gatherer = batching.Gatherer[inbound.Arrival](
            self._store,
            size=BATCH_COUNT,
            concurrency=2,
            cadence=batching.Cadence(PACE_SECONDS),
            beside_count=BATCH_COUNT,
            waiting=WAITING_COUNT_MAX,
        )

    def sink(self, carrier_id: int) -> contract.InboundSink:
        """Where a carrier's link hands in what phones send."""
        return partial(self._add, carrier_id)

    def _add(
        self, carrier_id: int, part: InboundPart, still_there: contract.StillThere
    ) -> asyncio.Future[None]:
        """Raises Overloaded when too much is held."""
        if self._held_bytes >= WAITING_BYTES_MAX:
            raise batching.Overloaded
        arrival = inbound.Arrival(ids.uuid7(), carrier_id, part)
        storing = self._gatherer.add(arrival)
        self._held_bytes += len(part.payload)
        if not arrival.has_name:
            came_at = asyncio.get_running_loop().time()
            storing.add_done_callback(partial(self._answered, arrival, still_there, came_at))
        return storing

    def _answered(
        self,
        arrival: inbound.Arrival,
        still_there: contract.StillThere,
        came_at: float,
        storing: asyncio.Future[None],
    ) -> None:
        """See after a while whether the answer has arrived. If that cannot be said, what is the
        same is taken for a repetition for an hour."""
        loop = asyncio.get_running_loop()
        is_stored = not storing.cancelled() and storing.exception() is None
        if is_stored and loop.time() - came_at < ANSWER_SECONDS:
            loop.call_later(HEARD_SECONDS, self._note_heard, arrival, still_there)

    def _note_heard(self, arrival: inbound.Arrival, still_there: contract.StillThere) -> None:
        if still_there() and len(self._heard) < HEARD_COUNT_MAX:
            self._heard.append(arrival.fingerprint)

    async def forget_heard(self) -> None:
        """Let phones repeat themselves, where their carriers have heard of the first time. To be
        called every now and then."""
        heard, self._heard = self._heard, []
        if heard:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                await inbound.forget_heard(opened, self._seals, heard)

    async def _store(self, arrivals: Sequence[inbound.Arrival]) -> None:
        try:
            async with self._pool.acquire(timeout=STORE_SECONDS) as opened, opened.transaction():
                repeated_count = await inbound.store(opened, self._seals, arrivals)
        except BaseException:
            _DELIVERIES.labels("not_stored").inc(len(arrivals))
            raise
        finally:
            self._held_bytes -= sum(len(each.part.payload) for each in arrivals)
        _DELIVERIES.labels("repeated").inc(repeated_count)
        _DELIVERIES.labels("stored").inc(len(arrivals) - repeated_count)

    async def drain(self) -> None:
        """Return when everything taken in is stored, or is not."""
        await self._gatherer.drain()
