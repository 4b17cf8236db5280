"""Lines that wait: nobody starves at a head, behind one, or among many; changes wait for nobody."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from services.dispatcher import park
from services.dispatcher.dispatch import dispatch
from services.dispatcher.schedule import Scheduler
from shared.broker import envelopes
from shared.limits.limiter import Wait
from shared.rules import snapshot
from tests.integration.dispatcher.carrier import desk_of
from tests.integration.dispatcher.conftest import LINE_LIMIT, Town

PAST_MS = 1_000
LINE_COUNT = 300
"""Lines of each of two accounts."""
TURN_SECONDS = 0.5
"""As in a dispatcher."""


def scheduler_of(town: Town) -> Scheduler:
    return Scheduler(town.pool, town.configured, town.limiter)


async def ready(town: Town) -> set[object]:
    return {key for key, state in (await town.waiting()).items() if state == "ready"}


async def due(town: Town) -> None:
    await town.pool.execute("UPDATE parked_lines SET ready_at = now()")


async def test_a_full_country_at_the_head_of_a_line_holds_up_no_other_country(town: Town) -> None:
    # given a country that is full for an hour, and a line with messages bound for it and for others
    await town.configure("INSERT INTO country_limits VALUES (NULL, 'FR', 1, NULL, NULL)")
    assert len((await dispatch(desk_of(town), 1, await town.accept(1))).to_send) == 1
    french = await town.accept(3, line=town.small)
    german = await town.accept(3, line=town.small)
    await town.pool.execute(
        "UPDATE work SET country = 'DE' WHERE message_id = ANY ($1)",
        [item.message_id for item in german],
    )
    await park.park(town.pool, [(item, Wait(PAST_MS)) for item in [*french, *german]])
    # when the line has its turn
    await scheduler_of(town).turn()
    # then the others go, and once they are gone the line waits for the country
    assert await ready(town) == {item.message_id for item in german}
    await town.pool.execute("DELETE FROM work WHERE state = 'ready'")
    await due(town)
    await scheduler_of(town).turn()
    ready_at = await town.pool.fetchval("SELECT ready_at FROM parked_lines")
    assert ready_at > datetime.now(UTC) + timedelta(minutes=58)
    # and newcomers of the line bound elsewhere do not join behind those that wait
    (newcomer,) = await town.accept(1, line=town.small)
    elsewhere = msgspec.structs.replace(newcomer, country="DE")
    assert len((await dispatch(desk_of(town), 1, [elsewhere])).to_send) == 1


async def test_a_long_message_at_the_head_gets_the_tokens_that_return(town: Town) -> None:
    # given a line with one token left, and a message of five segments that waits for its turn
    await dispatch(desk_of(town), 1, await town.accept(LINE_LIMIT - 1, line=town.small))
    long = await town.accept(1, line=town.small, segment_count=5)
    assert not (await dispatch(desk_of(town), 1, long)).to_send
    # when the time has come that its gate was shut for, and too few tokens have
    await town.limiter.set_gates({town.small.line_id: 0})
    await due(town)
    await scheduler_of(town).turn()
    assert await ready(town) == set()
    # then a short newcomer does not take the one that is there, but joins behind
    short = await town.accept(1, line=town.small)
    assert not (await dispatch(desk_of(town), 1, short)).to_send
    assert await town.status(short[0].message_id) == "parked"


async def test_a_message_longer_than_its_lines_lowered_limit_does_not_block_it(town: Town) -> None:
    long = await town.accept(1, line=town.small, segment_count=5)
    short = await town.accept(2, line=town.small)
    await park.park(town.pool, [(item, Wait(PAST_MS)) for item in [*long, *short]])
    await town.configure(f"UPDATE lines SET hour_limit = 3 WHERE line_id = {town.small.line_id}")
    scheduler = scheduler_of(town)
    # it is let go first, to be failed where it is refused
    await scheduler.turn()
    assert await ready(town) == {long[0].message_id}
    assert long[0].message_id in (await dispatch(desk_of(town), 1, long)).at_rest
    assert await town.status(long[0].message_id) == "failed"
    await due(town)
    await scheduler.turn()
    assert await ready(town) == {item.message_id for item in short}


async def test_a_line_that_lets_all_go_opens_its_gate_at_once(town: Town) -> None:
    items = await town.accept(2, line=town.small)
    await park.park(town.pool, [(item, Wait(PAST_MS)) for item in items])
    await town.limiter.take(town.configured.current, items)
    await town.limiter.set_gates({town.small.line_id: 10**13})
    await scheduler_of(town).turn()
    newcomer = await town.accept(1, line=town.small)
    assert len((await dispatch(desk_of(town), 1, newcomer)).to_send) == 1


async def test_a_change_waits_for_no_line_that_is_held_and_forgets_none(town: Town) -> None:
    # given two lines asleep for long, one of them held by somebody
    far_ms = int(time.time() * 1000) + 3_600_000
    for line in (town.small, town.large):
        (item,) = await town.accept(1, line=line)
        await park.park(town.pool, [(item, Wait(far_ms))])
    scheduler = scheduler_of(town)
    async with town.pool.acquire() as other:
        holding = other.transaction()
        await holding.start()
        await other.execute(
            "SELECT FROM parked_lines WHERE line_id = $1 FOR UPDATE", town.small.line_id
        )
        # when the limits of both change, then the other goes at once
        await town.configure("UPDATE lines SET hour_limit = hour_limit + 1")
        began = time.monotonic()
        await scheduler.wake_changed(town.configured.current)
        await scheduler.turn()
        assert time.monotonic() - began < 2.0
        assert len(await ready(town)) == 1
        # and the held one as soon as it is free
        await holding.rollback()
    await scheduler.turn()
    assert len(await ready(town)) == 2


async def test_a_change_wakes_only_the_lines_that_it_concerns(town: Town) -> None:
    # given two lines asleep for long
    far_ms = int(time.time() * 1000) + 3_600_000
    (small,) = await town.accept(1, line=town.small)
    (large,) = await town.accept(1, line=town.large)
    await park.park(town.pool, [(item, Wait(far_ms)) for item in (small, large)])
    scheduler = scheduler_of(town)
    # when something else changes, then both sleep on
    await town.configure("UPDATE accounts SET daily_limit = daily_limit + 1")
    await scheduler.wake_changed(town.configured.current)
    await scheduler.turn()
    assert await ready(town) == set()
    # and when a limit of one does, then it is looked at
    await town.configure(f"UPDATE lines SET hour_limit = 1000 WHERE line_id = {town.small.line_id}")
    await scheduler.wake_changed(town.configured.current)
    await scheduler.turn()
    assert await ready(town) == {small.message_id}
    # and when one of a country does, then all are
    await town.configure("INSERT INTO country_limits VALUES (NULL, 'DE', 1000, NULL, NULL)")
    await scheduler.wake_changed(town.configured.current)
    await scheduler.turn()
    assert await ready(town) == {small.message_id, large.message_id}


async def test_a_listener_that_fails_keeps_no_other_waiting_and_is_told_again(town: Town) -> None:
    told: list[str] = []

    async def fails_once(_current: snapshot.Configuration) -> None:
        told.append("failed" if not told else "told")
        if told == ["failed"]:
            raise asyncpg.LockNotAvailableError

    async def other(_current: snapshot.Configuration) -> None:
        told.append("other")

    town.configured.on_change(fails_once)
    town.configured.on_change(other)
    await town.configure("UPDATE lines SET hour_limit = 5")
    await town.configured.refresh()
    await town.configured.refresh()
    assert told == ["failed", "other", "told"]


async def test_hundreds_of_lines_that_wake_together_all_have_their_turn(town: Town) -> None:
    # given two accounts with hundreds of lines each, on all of which something is parked
    await town.configure(
        f"""WITH other AS (
            INSERT INTO accounts (name, currency) VALUES ('other', 'EUR') RETURNING account_id
        ), owner AS (SELECT 1 AS account_id UNION SELECT account_id FROM other)
        INSERT INTO lines (account_id, sender, kind, country, hour_limit, day_limit, month_limit)
        SELECT account_id, 'L' || n, 'alphanumeric', 'FR', 100, 100, 100
        FROM owner, generate_series(1, {LINE_COUNT}) n""",
    )
    await town.accept(2 * LINE_COUNT)
    await town.pool.execute(
        """WITH w AS (SELECT message_id, row_number() OVER () AS place FROM work),
        l AS (SELECT line_id, account_id, row_number() OVER () AS place FROM lines
              WHERE sender LIKE 'L_%' AND sender <> 'Large')
        UPDATE work SET line_id = l.line_id, account_id = l.account_id, state = 'parked'
        FROM w JOIN l USING (place) WHERE work.message_id = w.message_id"""
    )
    await town.pool.execute(
        "INSERT INTO segments (message_id, part, state, carrier_id)"
        " SELECT message_id, 1, 'parked', carrier_id FROM messages"
    )
    await town.pool.execute(
        "INSERT INTO parked_lines SELECT DISTINCT line_id, now() FROM work ON CONFLICT DO NOTHING"
    )
    # when the scheduler has one turn
    began = time.monotonic()
    await scheduler_of(town).turn()
    seconds = time.monotonic() - began
    # then none is left out, and nothing was locked for long
    assert len(await ready(town)) == 2 * LINE_COUNT
    print(f"{2 * LINE_COUNT} lines: {seconds:.2f} s")
    assert seconds < 10.0


async def test_a16_parked_messages_of_a_line_limited_by_the_second_leave_at_its_pace(
    town: Town,
) -> None:
    # Given a line of four segments a second, and twenty that want to go
    await town.configure(f"UPDATE lines SET second_limit = 4 WHERE line_id = {town.large.line_id}")
    scheduler = scheduler_of(town)
    left_ms: list[int] = []

    async def send(items: list[envelopes.WorkItem]) -> None:
        done = await dispatch(desk_of(town), 1, items)
        left_ms.extend(permit.granted_at_ms for _, permit in done.to_send)

    items = {item.message_id: item for item in await town.accept(20)}
    await send(list(items.values()))
    assert len(left_ms) == 4
    # When the scheduler has its turns, and what it lets go is dispatched
    deadline = time.monotonic() + TURN_SECONDS * 8
    while time.monotonic() < deadline:
        await asyncio.sleep(TURN_SECONDS)
        await scheduler.turn()
        released = [items[UUID(str(key))] for key in await ready(town)]
        await send([msgspec.structs.replace(item, bypass_gate=True) for item in released])
    # Then four leave in a second at most, and two thirds of that at least
    assert all(fifth - first >= 1_000 for first, fifth in zip(left_ms, left_ms[4:], strict=False))
    assert len(left_ms) >= 4 + 4 * 2
