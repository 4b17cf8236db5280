"""Spoiled PDUs in a live session beside real traffic: refused, counted, and nothing moves."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Sequence
from random import Random
from uuid import UUID

import asyncpg
import msgspec
import prometheus_client
import pytest

from services.dispatcher import record, sending
from services.dispatcher.dispatch import Desk
from services.dlr import interpreters, late
from shared.carriers import contract, registry
from shared.db import watch
from shared.limits.limiter import Limiter, Permit, scope_names
from shared.limits.pace import Pace
from shared.limits.permits import Permits
from shared.runtime import redis_link
from shared.smpp import bind, codes
from tests import claims
from tests.integration.carriers import hostile, segments, spoiled
from tests.integration.dlr import world
from tests.keys import SEALS

COUNT = int(os.environ.get("SLUICE_TEST_FUZZED_PDUS", "3000"))
SEED = int(os.environ.get("SLUICE_TEST_SEED", "11"))
MESSAGE_COUNT = 200
BYSTANDER_COUNT = 10
"""Messages in doubt, and as many that wait for their receipt: none comes."""
BIND_COUNT = 4
PAUSE_SECONDS = COUNT / 3000 * 0.01
"""Between messages, so that they go all the while."""
MEMORY_MIB_MAX = 64
PATIENCE_SECONDS = 30.0 + COUNT / 200
_STATES = "SELECT recipient, status FROM messages"
_DUE = "UPDATE receipts SET retry_at = now(), try_count = 50 WHERE retry_at IS NOT NULL"
"""Once: nobody's receipts are thousands, and are not to be tried again while the others are."""


@pytest.fixture
async def town(services: asyncpg.Pool) -> world.World:
    return await world.build(services)


@pytest.fixture
async def recorder(town: world.World, redis_url: str) -> AsyncIterator[record.Recorder]:
    link = redis_link.connect(redis_url)
    configured = await watch.Watch.start(town.pool)
    limiter = Limiter(town.pool, Permits(link))
    try:
        yield record.Recorder(Desk(town.pool, configured, world.WORKER, limiter, Pace(link), SEALS))
    finally:
        await link.aclose()


async def test_nothing_moves_by_spoiled_pdus_and_messages_go_on_beside_them(
    town: world.World, recorder: record.Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a carrier that spoils its link while messages go through it
    monkeypatch.setattr(bind, "RETRY_SECONDS_MAX", 0.5)
    sink, inbox = segments.Sink(), segments.Inbox()
    phones = [f"+336{number:08d}" for number in range(MESSAGE_COUNT + 2 * BYSTANDER_COUNT)]
    plain = [phone.removeprefix("+") for phone in phones]
    message_ids = [(await town.accept(1, carrier="bound", to=phone))[0] for phone in phones]
    before_mib = _memory_mib()
    odd_before = {kind: _odd(kind) for kind in ("garbage", "strangers")}
    began = time.monotonic()
    spoiler = spoiled.Spoiler(Random(SEED))
    async with hostile.hostile_carrier(spoiler, COUNT) as carrier:
        carrier.silent_to = frozenset(plain[:BYSTANDER_COUNT])
        carrier.without_receipt = frozenset(plain[BYSTANDER_COUNT : 2 * BYSTANDER_COUNT])
        link = registry.adapter("smpp").open_link("acme", _settings(carrier.port), sink, inbox)
        try:
            # When messages go all the while, and some after the last of it
            last = MESSAGE_COUNT // 4
            await _send(town, recorder, link, message_ids[:-last], PAUSE_SECONDS)
            await _taken(carrier)
            seconds = time.monotonic() - began
            await _send(town, recorder, link, message_ids[-last:], 0.0)
            await _taken(carrier)
        finally:
            await link.close(2)
    await recorder.drain()
    # Then every one of them has come to its end, and the bystanders stand where they stood
    await _apply(town, sink.seen)
    found = {row["recipient"]: row["status"] for row in await town.pool.fetch(_STATES)}
    silent, waiting, others = (
        [found[phone] for phone in some]
        for some in (
            phones[:BYSTANDER_COUNT],
            phones[BYSTANDER_COUNT : 2 * BYSTANDER_COUNT],
            phones[2 * BYSTANDER_COUNT :],
        )
    )
    print(
        f"{carrier.sent.total()} spoiled PDUs in {seconds:.1f} s, {carrier.bind_count} binds, "
        f"{len(inbox.parts)} taken for phones' messages, {len(sink.seen)} for receipts; "
        f"by kind {dict(carrier.sent)}; answered {_shown(carrier)}"
    )
    assert carrier.sent.total() == COUNT
    counted = {kind: _odd(kind) - odd_before[kind] for kind in odd_before}
    seen_count = carrier.answers.total() - MESSAGE_COUNT + int(counted["strangers"])
    print(f"counted: {counted}; {seen_count} answered or counted, the others lost with their link")
    nacks = sum(
        count
        for (command, status), count in carrier.answers.items()
        if command == codes.COMMAND_GENERIC_NACK and status != codes.ESME_RINVCMDID
    )
    assert counted["garbage"] >= nacks - carrier.sent["broken framing"] > 0
    assert counted["strangers"] > 0
    assert set(others) == {"delivered"}
    assert set(silent) == {"in_doubt"}
    # An answer is lost with its session; what waits for a receipt may be in doubt then.
    assert set(waiting) <= {"submitted", "in_doubt"}
    assert max(carrier.taken.values()) == 1
    assert len(carrier.taken) == len(phones)
    assert await town.refund_count() == 0
    assert _memory_mib() - before_mib < MEMORY_MIB_MAX


def _settings(port: int) -> msgspec.Struct:
    return registry.settings(
        "smpp",
        {
            "host": "127.0.0.1",
            "port": port,
            "system_id": "sluice",
            "password": "secret",
            "binds": BIND_COUNT,
            "window": 20,
            "response_seconds": 2.0,
        },
    )


async def _send(
    town: world.World,
    recorder: record.Recorder,
    link: contract.Link,
    message_ids: Sequence[UUID],
    pause_seconds: float,
) -> None:
    """Submit these, and again what was not sent, until the carrier has taken them all."""
    while True:
        async with town.pool.acquire() as opened:
            claimed = await claims.claim(opened, message_ids, world.WORKER)
        if not claimed:
            return
        for message in claimed:
            await asyncio.wait_for(link.wait_for_room(), PATIENCE_SECONDS)
            ended: asyncio.Future[sending.Sending] = asyncio.get_running_loop().create_future()
            permit = Permit(1, 0, time.monotonic(), scope_names(1, 1, "FR"), 1)
            sending.Sending(message, permit, link, sending.Reserved(), ended.set_result).start()
            ended.add_done_callback(lambda done: recorder.add(done.result()))
            await asyncio.sleep(pause_seconds)
        await asyncio.sleep(0.05)


async def _taken(carrier: hostile.HostileCarrier) -> None:
    """Wait until the carrier has nothing left to say."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while carrier.owes or carrier.left:
        assert time.monotonic() < deadline, f"{carrier.owes} receipts, {carrier.left} spoiled PDUs"
        await asyncio.sleep(0.02)


async def _apply(town: world.World, bodies: Sequence[bytes]) -> None:
    """What was published, through dlr, until nothing waits."""
    readers = interpreters.Interpreters(await watch.Watch.start(town.pool))
    for start in range(0, len(bodies), 500):
        batch = [town.raw(body, carrier="bound") for body in bodies[start : start + 500]]
        await town.apply(readers, *batch)
    for _ in range(2):
        await town.pool.execute(_DUE)
        await late.sweep(town.pool)


def _odd(kind: str) -> float:
    labels = {"carrier": "acme", "kind": kind}
    return prometheus_client.REGISTRY.get_sample_value("sluice_smpp_oddities_total", labels) or 0


def _memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _shown(carrier: hostile.HostileCarrier) -> dict[str, int]:
    return {
        f"{command:08x}/{status:02x}": count
        for (command, status), count in sorted(carrier.answers.items())
    }
