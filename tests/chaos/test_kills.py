"""kill -9 of every part under load: nothing lost, doubled, paid twice or over a limit after it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from tests.chaos import arena, scenario
from tests.chaos.arena import Arena
from tests.chaos.scenario import Outcome

KILL_COUNT = int(os.environ.get("SLUICE_TEST_KILLS", "6"))
USED_SHARE_MIN = 0.8
"""What a line must have used of its limit, at least, when no worker took permits to its grave."""


def assert_clean(outcome: Outcome, *, in_doubt_max: int = 0, receipts_may_be_lost: bool) -> None:
    """Every zero of the promise, and doubts within their bound."""
    verdict = outcome.verdict
    assert verdict.faults == {}
    assert verdict.acknowledged_count > 500
    assert verdict.unanswered_count == 0
    assert verdict.refusals == {}
    assert verdict.in_doubt_count <= in_doubt_max
    assert receipts_may_be_lost or verdict.unreported_count == 0
    assert outcome.strange_answers == {}
    assert outcome.submits_after_restart == 0
    assert outcome.audit_ok
    assert outcome.slowest_resume_seconds <= scenario.RESUME_SECONDS


async def test_books_agree_when_ingest_is_killed(battered: Arena) -> None:
    async def faults(stage: Arena, random: Random) -> None:
        for _ in range(KILL_COUNT):
            await stage.wait(random.uniform(0.1, 0.6))
            await stage.kill("ingest")

    outcome = await scenario.play(battered, "ingest", faults)
    assert_clean(outcome, receipts_may_be_lost=False)


async def test_books_agree_when_dispatchers_are_killed(battered: Arena) -> None:
    async def faults(stage: Arena, random: Random) -> None:
        for number in range(KILL_COUNT):
            await stage.wait(random.uniform(0.1, 0.8))
            await stage.kill(arena.DISPATCHERS[number % 2])

    outcome = await scenario.play(battered, "dispatcher", faults, restart=True)
    assert_clean(outcome, in_doubt_max=KILL_COUNT * arena.IN_FLIGHT_MAX, receipts_may_be_lost=False)


async def test_books_agree_when_dlr_is_killed(battered: Arena) -> None:
    async def faults(stage: Arena, random: Random) -> None:
        for _ in range(KILL_COUNT):
            await stage.wait(random.uniform(0.1, 0.6))
            await stage.kill("dlr")

    outcome = await scenario.play(battered, "dlr", faults)
    assert_clean(outcome, receipts_may_be_lost=False)


async def test_books_agree_when_rabbitmq_is_killed_and_when_its_data_folder_is_deleted(
    battered: Arena,
) -> None:
    async def faults(stage: Arena, random: Random) -> None:
        await stage.wait(random.uniform(0.2, 1.0))
        await stage.crash("rabbitmq", random.uniform(0.0, 1.0))
        await stage.wait(random.uniform(2.0, 3.0))
        await stage.wipe_rabbitmq()

    outcome = await scenario.play(battered, "rabbitmq", faults)
    assert_clean(outcome, receipts_may_be_lost=True)
    assert outcome.used_share >= USED_SHARE_MIN


async def test_books_agree_when_redis_is_killed_and_flushed(battered: Arena) -> None:
    async def faults(stage: Arena, random: Random) -> None:
        for _ in range(3):
            await stage.wait(random.uniform(0.2, 1.0))
            await stage.crash("redis", random.uniform(0.0, 1.0))
            for _ in range(3):
                await stage.wait(random.uniform(0.1, 0.7))
                await stage.flush_redis()

    outcome = await scenario.play(battered, "redis", faults)
    assert_clean(outcome, receipts_may_be_lost=False)
    assert outcome.used_share >= USED_SHARE_MIN


async def test_books_agree_when_postgresql_is_killed(battered: Arena) -> None:
    async def faults(stage: Arena, random: Random) -> None:
        for _ in range(3):
            await stage.wait(random.uniform(0.3, 1.2))
            await stage.crash("postgres", random.uniform(0.0, 1.0))

    outcome = await scenario.play(battered, "postgres", faults, restart=True)
    assert_clean(outcome, receipts_may_be_lost=False)
    assert outcome.used_share >= USED_SHARE_MIN


async def test_books_agree_when_everything_is_hurt_in_turn(battered: Arena) -> None:
    async def faults(stage: Arena, random: Random) -> None:
        steps: list[Callable[[], Awaitable[None]]] = [
            partial(stage.kill, name) for name in ("ingest", "a", "b", "dlr")
        ]
        steps += [
            partial(stage.crash, name, random.uniform(0.0, 1.0)) for name in ("postgres", "redis")
        ]
        steps += [stage.flush_redis, stage.wipe_rabbitmq]
        random.shuffle(steps)
        for step in steps:
            await stage.wait(random.uniform(0.0, 0.4))
            await step()

    outcome = await scenario.play(battered, "storm", faults, restart=True)
    killed = battered.count("a") + battered.count("b")
    assert_clean(outcome, in_doubt_max=killed * arena.IN_FLIGHT_MAX, receipts_may_be_lost=True)
