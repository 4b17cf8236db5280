"""A simulator and a link to it, for one test."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from services.simulator import journal, options, simulator
from shared.carriers import contract, outcomes, registry
from shared.carriers.adapters import smpp
from shared.sms import receipts
from tests.integration.carriers import segments

FAST = options.Options(receipt_retry_ms=50, seed=1)


@asynccontextmanager
async def simulated(wanted: options.Options = FAST) -> AsyncIterator[simulator.Simulator]:
    running = await simulator.serve(wanted)
    try:
        yield running
    finally:
        await running.close()


def settings(port: int, **values: object) -> smpp.Settings:
    described = {"host": "127.0.0.1", "port": port, "system_id": "sluice", "password": "secret"}
    decoded = registry.settings("smpp", described | values)
    assert isinstance(decoded, smpp.Settings)
    return decoded


@asynccontextmanager
async def linked(
    running: simulator.Simulator,
    sink: segments.Sink | None = None,
    inbox: segments.Inbox | None = None,
    **values: object,
) -> AsyncIterator[contract.Link]:
    chosen = settings(running.smpp_port, **values)
    link = smpp.open_link("practice", chosen, sink or segments.Sink(), inbox or segments.Inbox())
    try:
        await asyncio.wait_for(link.wait_for_room(), 10)
        yield link
    finally:
        await link.close(2)


async def outcome(link: contract.Link, segment: contract.Segment) -> outcomes.Outcome:
    await asyncio.wait_for(link.wait_for_room(), 10)
    return await asyncio.wait_for(segments.submit(link, segment), 10)


async def receipt(sink: segments.Sink, id_base: str = "same") -> receipts.Receipt:
    read = smpp.read_receipt(settings(1, id_base=id_base), await sink.next())
    assert isinstance(read, receipts.Receipt)
    return read


def options_with(**changes: object) -> options.Options:
    return dataclasses.replace(FAST, **changes)  # type: ignore[arg-type] # each of its field


def entries(path: Path) -> list[journal.Entry]:
    """Everything in a journal file."""
    return [
        msgspec.json.decode(line, type=journal.Entry) for line in path.read_bytes().splitlines()
    ]
