"""Answers and receipts in every order, repeated and contradicting: one final state, one charge, one
event each, and a refund exactly where the law says (laws 4 and 5)."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from random import Random

import pytest

from services.dispatcher.dispatch import Desk
from services.dlr import interpreters
from shared.broker import envelopes
from shared.db import apply, audit, ledger, watch
from shared.db.connection import Connection
from shared.limits.limiter import Limiter
from shared.limits.pace import Pace
from shared.limits.permits import Permits
from shared.runtime import ids, redis_link
from tests.integration.dlr import stories, telling, world
from tests.integration.dlr.conftest import Broker, Service
from tests.integration.dlr.stories import Naming, Story
from tests.keys import SEALS

SEED = int(os.environ.get("SLUICE_TEST_SEED", "7"))
EVERY = "SLUICE_TEST_PERMUTATIONS"
"""If it is set, every story of up to two receipts is told, so many of those of three, and as many
of three segments."""
COHORT_COUNT = 600


@pytest.fixture
async def desk(town: world.World, owner: Connection, redis_url: str) -> AsyncIterator[Desk]:
    await apply.put(
        owner, apply.Line("demo", "Sluice", "alphanumeric", "FR", True, 10**7, 10**7, 10**7), None
    )
    async with owner.transaction():
        await ledger.credit(owner, town.account_id, "EUR", 10**12, "test")
    link = redis_link.connect(redis_url)
    configured = await watch.Watch.start(town.pool)
    limiter = Limiter(town.pool, Permits(link))
    try:
        yield Desk(town.pool, configured, ids.uuid7(), limiter, Pace(link), SEALS)
    finally:
        await link.aclose()


@pytest.fixture
def teller(town: world.World, readers: interpreters.Interpreters, desk: Desk) -> telling.Teller:
    return telling.Teller(town, readers, desk)


async def test_one_segment_ends_in_one_place_whatever_the_order(
    teller: telling.Teller, town: world.World, owner: Connection
) -> None:
    told = list(stories.of_one_segment(2))
    if os.environ.get(EVERY):
        told += Random(SEED).sample(list(stories.of_one_segment(3)), int(os.environ[EVERY]))
    else:
        told = Random(SEED).sample(told, 1_000)
    await _tell(teller, town, owner, told)


async def _tell(
    teller: telling.Teller, town: world.World, owner: Connection, told: Sequence[Story]
) -> None:
    """Services plan for what is small; whoever audits has a connection without their settings."""
    began = time.monotonic()
    wrong: list[str] = []
    count = 0
    for cohort in _cohorts(told):
        for story, found in await teller.tell(cohort):
            count += 1
            wrong += _faults(story, found)
        if wrong:
            pytest.fail(f"{len(wrong)} faults, {SEED=}: " + "\n".join(wrong[:8]))
    seconds = time.monotonic() - began
    print(f"{count} stories, {teller.receipt_count} receipts and late answers, {seconds:.1f} s")
    assert await town.kept_count() == teller.receipt_count
    findings = await audit.examine(owner)
    assert [each for each in findings if each.is_breach] == []


def _cohorts(told: Sequence[Story]) -> Iterator[list[Story]]:
    """Told side by side: those that are swept at the same times."""
    for swept in (True, False):
        left = (story for story in told if story.swept is swept)
        while cohort := list(islice(left, COHORT_COUNT)):
            yield cohort


def _faults(story: Story, found: telling.Found) -> list[str]:
    parts = stories.reckon(story)
    wanted = stories.status_of(parts)
    said: list[str] = []
    if story.part_count > 1 and story.naming is Naming.PHONE:
        # Which part of a submit a receipt is given to does not matter.
        found, parts = (
            found.sorted(),
            sorted(parts, key=lambda each: (each.state, each.refund_count)),
        )
    if found.states != tuple(each.state for each in parts):
        said.append(f"states {found.states}, not {[each.state for each in parts]}")
    if found.status != wanted:
        said.append(f"status {found.status}, not {wanted}")
    if found.debit_counts != (1,) * story.part_count:
        said.append(f"debits {found.debit_counts}")
    if found.refund_counts != tuple(each.refund_count for each in parts):
        said.append(f"refunds {found.refund_counts}, not {[each.refund_count for each in parts]}")
    if found.history[-1:] != (wanted,):
        said.append(f"events {found.history}, not one of {wanted} at the end")
    if story.part_count == 1 and len(set(found.history)) != len(found.history):
        said.append(f"events {found.history}")
    if any(
        one == next_one for one, next_one in zip(found.history, found.history[1:], strict=False)
    ):
        said.append(f"events {found.history}")
    return [f"{each}: {story}" for each in said]


@pytest.mark.parametrize("naming", list(Naming))
async def test_three_segments_end_in_one_place_whatever_the_order(
    teller: telling.Teller, town: world.World, owner: Connection, naming: Naming
) -> None:
    count = int(os.environ.get(EVERY) or 300)
    random = Random(f"{SEED} {naming}")
    told = [stories.of_three_segments(random, naming) for _ in range(count)]
    await _tell(teller, town, owner, told)


class _Postman(telling.Teller):
    """Brings receipts by the broker to a dlr that runs, and waits until they are kept."""

    broker: Broker

    async def carry(
        self, new: Sequence[envelopes.RawReceipt], again: Sequence[envelopes.RawReceipt]
    ) -> None:
        assert not again
        if new:
            await self.broker.publish(*new)

            async def all_are_kept() -> bool:
                return await self.town.kept_count() == self.receipt_count

            await world.eventually(all_are_kept)


async def test_the_same_holds_of_a_dlr_that_runs(
    town: world.World,
    owner: Connection,
    readers: interpreters.Interpreters,
    desk: Desk,
    broker: Broker,
    service: Service,
) -> None:
    assert await service.is_ready()
    random = Random(SEED)
    told = [story for story in stories.of_one_segment(2) if _is_plain(story)]
    told = random.sample(told, 200)
    told += [
        story
        for story in (stories.of_three_segments(random, Naming.ECHO) for _ in range(400))
        if _is_plain(story)
    ][:60]
    postman = _Postman(town, readers, desk)
    postman.broker = broker
    await _tell(postman, town, owner, told)


def _is_plain(story: Story) -> bool:
    """Nothing comes twice, and no refund hangs on when a running dlr looks again."""
    steps = (*story.steps, *story.afterwards)
    is_refused = any(isinstance(step, stories.Late) and step.verdict == "refused" for step in steps)
    is_doubted = stories.Doubted() in steps
    return (
        story.swept
        and not is_refused
        and not (is_doubted and len(story.steps) > 1)
        and not any(isinstance(step, stories.Said) and step.again for step in steps)
    )
