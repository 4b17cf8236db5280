"""Receipts that come over a carrier's own link: published raw, confirmed, and only then
answered."""

from __future__ import annotations

import time
from collections.abc import Sequence

from shared.broker import envelopes, publish, topology
from shared.carriers import contract
from shared.runtime import batching, ids


class ReceiptDesk:
    """Gathers receipts into envelopes; deciding about them is dlr's alone."""

    def __init__(self, publisher: publish.Publisher) -> None:
        self._publisher = publisher
        self._batcher = batching.Batcher[envelopes.RawReceipt, None](
            self._publish,
            size=envelopes.ENVELOPE_ITEM_COUNT_MAX,
            concurrency=4,
            waiting=20_000,
        )

    def sink(self, carrier_id: int) -> contract.ReceiptSink:
        """Where a carrier's link hands its receipts in."""

        async def hand_in(body: bytes) -> None:
            now_ms = time.time_ns() // 1_000_000
            await self._batcher.add(envelopes.RawReceipt(ids.uuid7(), carrier_id, now_ms, body))

        return hand_in

    async def _publish(self, items: Sequence[envelopes.RawReceipt]) -> list[None]:
        await self._publisher.publish(topology.RECEIPTS, envelopes.encode_receipts(list(items)))
        return [None] * len(items)

    async def drain(self) -> None:
        """Return when every receipt taken in has its answer from the broker."""
        await self._batcher.drain()
