"""What a message's trace tells."""

from __future__ import annotations

from shared.broker.envelopes import WorkItem
from shared.db import events, traces
from shared.shapes import message_trace
from shared.shapes.timeline import TimelineEntry
from tests.integration.dispatcher.conftest import Town


async def traced(town: Town, item: WorkItem) -> message_trace.Trace:
    """The whole trace, unmasked."""
    async with town.pool.acquire() as opened:
        await events.number(opened)
        async with opened.transaction(isolation="repeatable_read", readonly=True):
            stored = await traces.read(opened, 1, item.message_id)
    assert stored is not None
    return message_trace.shown(stored, mask=None)


def told(trace: message_trace.Trace, *whats: str) -> list[TimelineEntry]:
    """Its entries of these kinds."""
    return [entry for entry in trace.timeline if entry.what in whats]
