"""What goes to countries without a limit: written a little later, so that a limit set then knows of
it."""

from __future__ import annotations

import time

import asyncpg
import pytest

from services.dispatcher.dispatch import Desk, dispatch
from shared.db import pool
from shared.limits.limiter import Wait
from tests.integration.dispatcher.carrier import ACCEPTED, THROTTLED, desk_of, send
from tests.integration.dispatcher.conftest import Town
from tests.servers import as_services

LINE, PLATFORM, ACCOUNT = "line:2", "country:FR", "country:1:FR"


async def written(town: Town) -> dict[str, int]:
    """Segments by scope."""
    rows = await town.pool.fetch(
        "SELECT scope, sum(segment_count)::int FROM limit_usage GROUP BY scope"
    )
    return {scope: count for scope, count in rows if count}


async def sent(town: Town, desk: Desk, count: int) -> None:
    done = await dispatch(desk, 1, await town.accept(count))
    assert len(done.to_send) == count


async def test_what_no_limit_counts_is_written_later_and_once(town: Town) -> None:
    # given messages of a line, to a country without a limit
    desk = desk_of(town)
    await sent(town, desk, 3)
    await sent(town, desk, 2)
    # then the line's usage is committed with each claim
    assert await written(town) == {LINE: 5}
    # and when the rest is written, that of the country and of the account there stands beside it
    await desk.unlimited.write()
    assert await written(town) == {LINE: 5, PLATFORM: 5, ACCOUNT: 5}
    # all of it in the minute of the permits
    minutes = await town.pool.fetch("SELECT DISTINCT minute FROM limit_usage")
    assert 1 <= len(minutes) <= 2
    assert all(row["minute"] >= time.time() // 60 - 1 for row in minutes)
    # and there is no more to write
    await desk.unlimited.write()
    assert await written(town) == {LINE: 5, PLATFORM: 5, ACCOUNT: 5}


async def test_what_a_limit_counts_is_committed_with_the_claim(town: Town) -> None:
    # given a limit of the account in this country
    await town.configure("INSERT INTO country_limits VALUES (1, 'FR', 100, NULL, NULL)")
    desk = desk_of(town)
    # when it sends there
    await sent(town, desk, 3)
    # then only what the whole platform sends there waits to be written
    assert await written(town) == {LINE: 3, ACCOUNT: 3}
    await desk.unlimited.write()
    assert await written(town) == {LINE: 3, ACCOUNT: 3, PLATFORM: 3}


async def test_a_limit_that_is_set_later_knows_what_was_sent(town: Town) -> None:
    # given messages that were sent before there was a limit
    desk = desk_of(town)
    await sent(town, desk, 4)
    await desk.unlimited.write()
    # when one is set
    await town.configure("INSERT INTO country_limits VALUES (NULL, 'FR', 5, NULL, NULL)")
    # then it lets through what they have left of it
    verdicts = [
        (await town.limiter.take(town.configured.current, await town.accept(1)))[0]
        for _ in range(2)
    ]
    assert [isinstance(each, Wait) for each in verdicts] == [False, True]


async def test_what_a_carrier_has_not_taken_is_not_written(town: Town) -> None:
    # given a message that a carrier takes, and one that it does not
    desk = desk_of(town)
    await send(town, (await town.accept(1))[0], [ACCEPTED], desk=desk)
    await send(town, (await town.accept(1))[0], [THROTTLED], desk=desk)
    # then the one counts, everywhere
    await desk.unlimited.write()
    assert await written(town) == {LINE: 1, PLATFORM: 1, ACCOUNT: 1}


async def test_what_could_not_be_written_waits(town: Town, database_url: str) -> None:
    # given a database that has gone away since the messages went
    desk = desk_of(town)
    await sent(town, desk, 2)
    away = await pool.open_pool(as_services(database_url), "away", 1)
    await away.close()
    at_home, desk.unlimited._pool = desk.unlimited._pool, away
    # when it is to be written, it says so, and nothing is lost but by who leaves then
    with pytest.raises(asyncpg.InterfaceError):
        await desk.unlimited.write()
    await desk.unlimited.leave()
    assert await written(town) == {LINE: 2}
    # when the database is there again, all of it is
    desk.unlimited._pool = at_home
    await desk.unlimited.leave()
    assert await written(town) == {LINE: 2, PLATFORM: 2, ACCOUNT: 2}


async def test_many_places_are_written_page_by_page(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dispatcher.unlimited.PAGE_COUNT", 1)
    desk = desk_of(town)
    await sent(town, desk, 2)
    await desk.unlimited.write()
    assert await written(town) == {LINE: 2, PLATFORM: 2, ACCOUNT: 2}
