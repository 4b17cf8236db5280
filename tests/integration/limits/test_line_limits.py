"""The limits that lines have by kind and country, as the limiter holds them while they change."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest
import redis.asyncio

from services.commands.configuration import file
from shared.broker.envelopes import WorkItem
from shared.db import apply, configuration, limits, pool
from shared.limits import limiter, permits
from shared.limits.limiter import FullBucket, Never, Permit, Wait
from shared.rules.lines import Line
from shared.rules.snapshot import Configuration
from shared.runtime import ids
from tests.servers import as_services

WINDOWS = permits.WINDOWS[1:4]
AGES_MINUTES = (0, 2 * 60, 2 * 24 * 60)
"""Use of such an age is seen by the window, and not by a shorter one."""
LINES = (
    ("long_code", "US", "+12025550123"),
    ("long_code", "CA", "+16135550123"),
    ("toll_free", "US", "+18005550123"),
    ("toll_free", "CA", "+18335550123"),
    ("mobile", "FR", "+33698765432"),
    ("fixed", "FR", "+33142345678"),
    ("mobile", "DE", "+4915123456789"),
    ("short_code", "FR", "36180"),
    ("short_code", "GB", "60777"),
    ("alphanumeric", "FR", "Sluice"),
)
OPERATOR = '[[account]]\nname = "demo"\ncurrency = "EUR"\n' + "".join(
    f'[[line]]\naccount = "demo"\nkind = "{kind}"\ncountry = "{country}"\nsender = "{sender}"\n'
    for kind, country, sender in LINES
)


@dataclass(frozen=True, slots=True)
class Bench:
    """A database with a line of each kind as an operator's file makes them, and a limiter."""

    pool: asyncpg.Pool
    limiter: limiter.Limiter
    current: Configuration

    def line(self, country: str, *kinds: str) -> list[Line]:
        """Lines of a country, of these kinds or of any."""
        return [
            line
            for line in self.current.lines.values()
            if line.country == country and (not kinds or line.kind in kinds)
        ]

    async def use(self, lines: Iterable[Line], count: int, age_minutes: int) -> None:
        """So many segments were sent from each line, so long ago, and nothing else."""
        minute = int(time.time()) // 60 - age_minutes
        async with self.pool.acquire() as opened, opened.transaction():
            await opened.execute("DELETE FROM limit_usage")
            used = {(f"line:{line.line_id}", minute): count for line in lines}
            await limits.charge(opened, UUID(int=1), used)
            await limits.new_epoch(opened, 0)
        self.limiter.forget_epoch()

    async def take(
        self, lines: Sequence[Line], segments: int = 1, country: str = "FR"
    ) -> list[Permit | Wait | Never]:
        """A verdict a line, on one message to a country whose turn it is there."""
        items = [
            WorkItem(ids.uuid7(), 1, line.line_id, country, segments, 0, True) for line in lines
        ]
        return await self.limiter.take(self.current, items)


@pytest.fixture
async def bench(database_url: str, link: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    rows, faults = file.read(OPERATOR, {})
    assert faults == []
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        for row in rows:
            await apply.put(connection, row, None)
        current = await configuration.load(connection)
    finally:
        await connection.close(timeout=10)
    opened = await pool.open_pool(as_services(database_url), "test", 4)
    try:
        yield Bench(opened, limiter.Limiter(opened, permits.Permits(link)), current)
    finally:
        await pool.close_pool(opened)


async def _assert_held(bench: Bench, lines: list[Line], expected: Sequence[int]) -> None:
    """Each line sends what each window allows, counted in segments, and nothing beyond."""
    for window, limit, age_minutes in zip(WINDOWS, expected, AGES_MINUTES, strict=True):
        # Given lines that have three segments left in the window
        await bench.use(lines, limit - 3, age_minutes)
        # When a message of four, one of three, and one of one are to go (A21)
        four, three, one = [await bench.take(lines, segments) for segments in (4, 3, 1)]
        # Then only that of three may
        number = permits.WINDOWS.index(window)
        assert [type(verdict) for verdict in three] == [Permit] * len(lines), window
        for verdict in (*four, *one):
            assert isinstance(verdict, Wait), (window, verdict)
            assert verdict.bucket == FullBucket("line", number)


async def test_a18_lines_of_the_us_and_canada_send_1000_an_hour_10000_a_day_50000_a_month(
    bench: Bench,
) -> None:
    lines = [*bench.line("US"), *bench.line("CA")]
    assert len(lines) == 4
    await _assert_held(bench, lines, (1_000, 10_000, 50_000))


async def test_a19_french_mobile_lines_send_100_an_hour_1000_a_day_10000_a_month(
    bench: Bench,
) -> None:
    lines = bench.line("FR", "mobile")
    assert len(lines) == 1
    await _assert_held(bench, lines, (100, 1_000, 10_000))


async def test_a20_every_other_line_sends_500_an_hour_2000_a_day_20000_a_month(
    bench: Bench,
) -> None:
    lines = [
        *bench.line("FR", "fixed", "short_code", "alphanumeric"),
        *bench.line("DE"),
        *bench.line("GB"),
    ]
    assert len(lines) == 5
    await _assert_held(bench, lines, (500, 2_000, 20_000))


async def _changed(bench: Bench, *rows: apply.Row) -> Bench:
    """The same limiter, with the configuration that these rows make."""
    async with bench.pool.acquire() as opened, opened.transaction():
        for row in rows:
            await apply.put(opened, row, None)
        await configuration.bump(opened)
    async with bench.pool.acquire() as opened:
        return Bench(bench.pool, bench.limiter, await configuration.load(opened))


async def test_a16_a_line_an_account_by_country_and_a_country_have_limits_of_their_own(
    bench: Bench,
) -> None:
    # Given a line that may send less than its kind, and limits to two countries
    changed = await _changed(
        bench,
        apply.Line("demo", "Sluice", "alphanumeric", "FR", False, 2, 2_000, 20_000),
        apply.CountryLimit("demo", "BE", None, 1, None),
        apply.CountryLimit(None, "CH", None, None, 1),
    )
    (own,) = changed.line("FR", "alphanumeric")
    others = [*changed.line("DE"), *changed.line("GB")]

    # When messages go, Then each is held by the limit that is its, also from another line
    assert [type(one) for one in await changed.take([own] * 3)] == [Permit, Permit, Wait]
    to_belgium = await changed.take(others, country="BE")
    assert isinstance(to_belgium[0], Permit)
    assert isinstance(to_belgium[1], Wait)
    assert str(to_belgium[1].bucket) == "account_country day"
    to_switzerland = await changed.take(others, country="CH")
    assert isinstance(to_switzerland[0], Permit)
    assert isinstance(to_switzerland[1], Wait)
    assert str(to_switzerland[1].bucket) == "country month"
    assert [type(one) for one in await changed.take(others)] == [Permit, Permit]


async def test_a17_a_changed_limit_holds_at_the_next_permit(bench: Bench) -> None:
    # Given a line that has sent all that it may in an hour
    (line,) = bench.line("FR", "mobile")
    assert isinstance((await bench.take([line], 100))[0], Permit)
    assert isinstance((await bench.take([line]))[0], Wait)

    # When its limit is raised while the limiter runs, Then the next permit is given
    raised = apply.Line("demo", line.sender, "mobile", "FR", False, 150, 1_000, 10_000)
    higher = await _changed(bench, raised)
    assert isinstance((await higher.take([line], 50))[0], Permit)

    # When it is lowered, Then what was sent before counts against it
    lowered = apply.Line("demo", line.sender, "mobile", "FR", False, 120, 1_000, 10_000)
    lower = await _changed(higher, lowered)
    assert isinstance((await lower.take([line]))[0], Wait)
    assert isinstance((await lower.take([line], 121))[0], Never)
