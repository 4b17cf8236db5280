"""Doubts at a carrier that takes what bears one reference once, however often it is submitted."""

from __future__ import annotations

import asyncpg
import msgspec

from services.dispatcher import retry
from services.dispatcher.sweep import Sweeper
from shared.broker import envelopes
from shared.carriers import outcomes
from shared.runtime import ids
from tests.integration.dispatcher.carrier import ACCEPTED, send
from tests.integration.dispatcher.conftest import CREDIT_MICRO, PRICE_MICRO, Town


async def made(town: Town, owner: asyncpg.Connection, *, idempotent: bool) -> Sweeper:
    """The town's carrier is so, and its doubts are looked for at once."""
    settings = msgspec.json.encode({"idempotent": idempotent}).decode()
    await owner.execute("UPDATE carriers SET settings = $1", settings)
    await owner.execute("UPDATE configuration_version SET version = version + 1")
    await town.configured.refresh()
    return Sweeper(town.pool, ids.uuid7(), 0, town.configured)


async def again(town: Town, item: envelopes.WorkItem, answers: list[outcomes.Outcome]) -> str:
    """Submit what is queued again; the reference it bears."""
    carrier = await send(town, item, answers)
    return carrier.submitted[0].reference


async def test_a_doubt_is_submitted_again_under_its_reference_until_it_is_answered(
    town: Town, owner: asyncpg.Connection
) -> None:
    # given a message for at most once, whose answers are lost
    sweeper = await made(town, owner, idempotent=True)
    (item,) = await town.accept(1)
    references = [await again(town, item, [outcomes.LOST])]
    # when it is submitted again and again, and at last is answered
    for answer in (outcomes.LOST, ACCEPTED):
        await sweeper.resubmit()
        assert await town.status(item.message_id) == "queued"
        references.append(await again(town, item, [answer]))
    # then it bore one reference, is paid for once, and stays as it is
    assert len(set(references)) == 1
    await sweeper.resubmit()
    assert await town.status(item.message_id) == "submitted"
    assert await town.balance_micro() == CREDIT_MICRO - PRICE_MICRO


async def test_there_is_an_end_of_submitting_again(town: Town, owner: asyncpg.Connection) -> None:
    sweeper = await made(town, owner, idempotent=True)
    (item,) = await town.accept(1)
    count = 0
    while await town.status(item.message_id) == "queued":
        await again(town, item, [outcomes.LOST])
        await sweeper.resubmit()
        count += 1
    assert (count, await town.status(item.message_id)) == (
        retry.IDEMPOTENT_ATTEMPT_COUNT_MAX,
        "in_doubt",
    )


async def test_a_doubt_stays_one_at_any_other_carrier(
    town: Town, owner: asyncpg.Connection
) -> None:
    sweeper = await made(town, owner, idempotent=False)
    (item,) = await town.accept(1)
    await again(town, item, [outcomes.LOST])
    await sweeper.resubmit()
    assert await town.status(item.message_id) == "in_doubt"
