"""Stops that are meant, and pauses that are not: nothing in doubt, nothing twice, nothing lost."""

from __future__ import annotations

import asyncio
import signal
import time
from random import Random

from shared.db import workers
from shared.runtime import lifecycle
from tests.chaos import arena, scenario
from tests.chaos.arena import Arena

ROUNDS = 10


async def test_nothing_is_in_doubt_when_dispatchers_and_ingest_are_terminated(
    battered: Arena,
) -> None:
    stops: list[tuple[int, float]] = []

    async def stop(stage: Arena, name: str) -> None:
        began = time.monotonic()
        stops.append((await stage.terminate(name), time.monotonic() - began))

    async def faults(stage: Arena, random: Random) -> None:
        # Given load, when both dispatchers are told to stop again and again, now and then at the
        # same time as ingest.
        for number in range(ROUNDS):
            names = [*arena.DISPATCHERS, *(["ingest"] if number % 3 == 0 else [])]
            await asyncio.gather(*(stop(stage, name) for name in names))
            await stage.wait(random.uniform(0.0, 0.3))

    outcome = await scenario.play(battered, "terminate", faults)
    # Then every stop was clean and in time, and the books agree without any doubt.
    assert len(stops) >= 2 * ROUNDS
    assert {status for status, _ in stops} == {0}
    assert max(seconds for _, seconds in stops) <= lifecycle.STOP_SECONDS
    assert_undoubted(outcome)


async def test_nothing_is_sent_twice_when_a_dispatcher_is_paused_for_longer_than_the_silence(
    battered: Arena,
) -> None:
    async def faults(stage: Arena, random: Random) -> None:
        # Given load, when a dispatcher is stopped in its tracks until the others take it for dead,
        # and then goes on as if nothing had been.
        await stage.wait(random.uniform(1.0, 2.0))
        stage.fleet.signal("a", signal.SIGSTOP)
        try:
            await stage.wait(workers.SILENCE_SECONDS + 4.0)
        finally:
            stage.fleet.signal("a", signal.SIGCONT)
        await stage.wait(2.0)

    outcome = await scenario.play(battered, "pause", faults)
    # Then what it held was in doubt for a while, and nothing went out twice.
    assert outcome.verdict.faults == {}
    assert outcome.verdict.unanswered_count == 0
    assert outcome.verdict.in_doubt_count <= arena.IN_FLIGHT_MAX
    assert outcome.submits_after_restart == 0
    assert outcome.audit_ok


def assert_undoubted(outcome: scenario.Outcome) -> None:
    """Every zero of the promise, doubts among them."""
    verdict = outcome.verdict
    assert verdict.faults == {}
    assert verdict.unanswered_count == verdict.in_doubt_count == verdict.unreported_count == 0
    assert outcome.strange_answers == {}
    assert outcome.submits_after_restart == 0
    assert outcome.audit_ok
