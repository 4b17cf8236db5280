"""Receipts that come over a carrier's own link: published raw, confirmed, and only then
answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from services.dispatcher.record import Recorder
from shared.broker import envelopes, publish, topology
from shared.carriers import contract
from shared.runtime import batching, ids

PACE_SECONDS = 0.075
"""Between two envelopes, unless one is full or receipts come one by one: each costs dlr much."""
QUIET_SECONDS = 0.04
"""When no receipt has come for so long, no other is waited for."""
HOLD_SECONDS = 0.2
"""How long a receipt may be held for the answers that came before it to be recorded."""


class ReceiptDesk:
    """Gathers receipts into envelopes; deciding about them is dlr's alone.

    A receipt may overtake the record of its own submit, and dlr would then have to look for its
    segment again later; so it leaves a moment after what was being recorded when it came.
    """

    def __init__(self, publisher: publish.Publisher, recorder: Recorder) -> None:
        self._publisher = publisher
        self._recorder = recorder
        self._gatherer = batching.Gatherer[envelopes.RawReceipt](
            self._publish,
            size=envelopes.ENVELOPE_ITEM_COUNT_MAX,
            concurrency=4,
            cadence=batching.Cadence(PACE_SECONDS, QUIET_SECONDS, steady=True),
            beside_count=envelopes.ENVELOPE_ITEM_COUNT_MAX,
            waiting=20_000,
        )

    def sink(self, carrier_id: int) -> contract.ReceiptSink:
        """Where a carrier's link hands its receipts in."""

        def hand_in(body: bytes) -> asyncio.Future[None]:
            now_ms = time.time_ns() // 1_000_000
            return self._gatherer.add(envelopes.RawReceipt(ids.uuid7(), carrier_id, now_ms, body))

        return hand_in

    async def _publish(self, items: Sequence[envelopes.RawReceipt]) -> None:
        await self._recorder.settled(HOLD_SECONDS)
        await self._publisher.publish(topology.RECEIPTS, envelopes.encode_receipts(list(items)))

    async def drain(self) -> None:
        """Return when every receipt taken in has its answer from the broker."""
        await self._gatherer.drain()
