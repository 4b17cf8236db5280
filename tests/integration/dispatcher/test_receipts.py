"""A receipt follows the record of its own submit, and never waits long for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.dispatcher import receipts, record, sending
from services.dispatcher.dispatch import dispatch
from shared.broker import link, publish, topology
from tests.integration.dispatcher.carrier import ACCEPTED, ScriptedCarrier, desk_of
from tests.integration.dispatcher.conftest import Town


@pytest.fixture
async def publisher(amqp_url: str) -> AsyncIterator[publish.Publisher]:
    opened = publish.Publisher(
        amqp_url, "test", lambda: [topology.RECEIPTS], topology.nothing_to_restore
    )
    async with link.supervised(opened.link):
        await opened.link.wait_up(10)
        yield opened


async def answered(town: Town) -> sending.Sending:
    """A message the carrier has just accepted."""
    done = await dispatch(desk_of(town), 1, await town.accept(1))
    ((message, permit),) = done.to_send
    ended: asyncio.Future[sending.Sending] = asyncio.get_running_loop().create_future()
    carrier = ScriptedCarrier([ACCEPTED])
    sending.Sending(message, permit, carrier, sending.Reserved(), ended.set_result).start()
    return await asyncio.wait_for(ended, 5)


async def test_a_receipt_leaves_after_the_answers_that_were_being_recorded(
    town: Town, publisher: publish.Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "HOLD_SECONDS", 10.0)
    recorder = record.Recorder(desk_of(town))
    sink = receipts.ReceiptDesk(publisher, recorder).sink(1)

    recorded = recorder.add(await answered(town))
    await asyncio.wait_for(sink(b"{}"), 10)

    assert recorded.done()


async def test_a_receipt_leaves_all_the_same_when_recording_hangs(
    town: Town, publisher: publish.Publisher
) -> None:
    recorder = record.Recorder(desk_of(town))
    sink = receipts.ReceiptDesk(publisher, recorder).sink(1)
    ended = await answered(town)

    async with town.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM messages FOR UPDATE")
        recorded = recorder.add(ended)
        await asyncio.wait_for(sink(b"{}"), 10)
        assert not recorded.done()

    await asyncio.wait_for(recorded, 10)


async def test_a_receipt_has_recorded_what_waits_for_company(
    town: Town, publisher: publish.Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a record just now, and an answer that would wait for others
    monkeypatch.setattr(record, "PACE_SECONDS", 60.0)
    monkeypatch.setattr(record, "QUIET_SECONDS", 60.0)
    monkeypatch.setattr(receipts, "HOLD_SECONDS", 60.0)
    recorder = record.Recorder(desk_of(town))
    sink = receipts.ReceiptDesk(publisher, recorder).sink(1)
    first, second, third = [await answered(town) for _ in range(3)]
    await asyncio.gather(recorder.add(first), recorder.add(second))
    recorded = recorder.add(third)

    # When a receipt comes, then neither waits for company
    await asyncio.wait_for(sink(b"{}"), 10)
    assert recorded.done()


async def test_receipts_of_a_carrier_with_a_narrow_window_wait_for_no_company(
    town: Town, publisher: publish.Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an envelope that would wait for others
    monkeypatch.setattr(receipts, "PACE_SECONDS", 60.0)
    monkeypatch.setattr(receipts, "QUIET_SECONDS", 1.0)
    sink = receipts.ReceiptDesk(publisher, record.Recorder(desk_of(town))).sink(1)

    # When a carrier leaves ten unanswered, and then sends the next, then they go as they come, once
    # that has been seen to be its way
    async with asyncio.timeout(10):
        for _ in range(5):
            await asyncio.gather(*[sink(b"{}") for _ in range(10)])
