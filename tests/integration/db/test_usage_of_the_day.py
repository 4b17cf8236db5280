"""What an account has sent within a day: counted in the wallet that pays, quarter by quarter."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import asyncpg
import pytest

from shared.db import ledger, messages
from shared.db.connection import Connection
from tests.drafts import draft

ACCOUNT, SUB_ACCOUNT = 1, 2
DAY_SLOT_COUNT = 96
SEED, RUN_COUNT, STEP_COUNT = 26, 12, 25
LIMIT = 1_000
_PURSE = """
SELECT w.wallet_id, r.wallet_id FROM accounts a
JOIN wallets w ON w.account_id = a.account_id AND w.currency = a.currency
JOIN wallets r ON r.book = 'revenue' AND r.currency = a.currency WHERE a.account_id = $1"""
_IN_WALLET = """
SELECT slot_segment_count, day_segment_count FROM wallets
WHERE account_id = 1 AND currency = 'EUR'"""
_NOW_SLOT = "floor(extract(epoch FROM clock_timestamp()) / 900)::bigint"


@dataclass
class _Desk:
    """An account that sends, and what its usage must come to."""

    connection: Connection
    sent: list[tuple[int, int]] = field(default_factory=list)
    """(quarters ago, segments)."""

    @property
    def used(self) -> int:
        """Of the running quarter and the day before it."""
        return sum(count for age, count in self.sent if age <= DAY_SLOT_COUNT)

    async def store(self, *counts: int) -> messages.StoredDrafts:
        """Messages of so many segments, of the account and of its sub-account in turn."""
        ((wallet_id, revenue_id),) = await self.connection.fetch(_PURSE, ACCOUNT)
        drafts = [
            draft(wallet_id, revenue_id, 1, account_id=account_id, segment_count=count)
            for account_id, count in zip((ACCOUNT, SUB_ACCOUNT) * len(counts), counts, strict=False)
        ]
        return await messages.insert(self.connection, drafts)

    async def send(self, *counts: int) -> None:
        """Store these; what is told at once of the day is right, where it is known."""
        left, _ = await self.store(*counts)
        self.sent += [(0, count) for count in counts]
        assert {each.used_today for each in left.values()} <= {None, self.used}
        assert {each.daily_limit for each in left.values()} == {LIMIT}

    async def wait(self, slot_count: int) -> None:
        """Let so many quarters pass: all that was is put back by as many."""
        await self.connection.execute("SET session_replication_role = replica")
        # In two steps, so that none stands for a moment where another is still.
        await self.connection.execute("UPDATE daily_usage SET slot = -slot")
        await self.connection.execute("UPDATE daily_usage SET slot = -slot - $1", slot_count)
        await self.connection.execute(
            "UPDATE wallets SET usage_slot = usage_slot - $1 WHERE usage_slot > 0", slot_count
        )
        await self.connection.execute("SET session_replication_role = origin")
        self.sent = [(age + slot_count, count) for age, count in self.sent]

    async def switch(self) -> None:
        """The account pays with its other wallet from now on."""
        await self.connection.execute(
            "UPDATE accounts SET currency = CASE currency WHEN 'EUR' THEN 'USD' ELSE 'EUR' END"
            " WHERE account_id = $1",
            ACCOUNT,
        )

    async def limit(self) -> None:
        """Somebody changes the limit, and back."""
        for limit in (7, LIMIT):
            await self.connection.execute("UPDATE accounts SET daily_limit = $1", limit)

    async def told(self) -> int:
        """What the ledger says."""
        return (await ledger.used_today(self.connection, [ACCOUNT])).get(ACCOUNT, 0)


@pytest.fixture
async def desk(owner: asyncpg.Connection) -> _Desk:
    """An account with a wallet in two currencies, and its sub-account."""
    await owner.execute(
        "INSERT INTO accounts (name, currency, daily_limit) VALUES ('shop', 'EUR', 1000);"
        "INSERT INTO accounts (name, currency, parent_account_id) VALUES ('shop/a', 'EUR', 1);"
        "INSERT INTO wallets (account_id, book, currency, balance_micro)"
        " VALUES (1, 'customer', 'EUR', 1000000), (1, 'customer', 'USD', 1000000)"
    )
    return _Desk(owner)


@pytest.mark.parametrize("is_apart", [False, True])
async def test_whatever_happens_in_whichever_order_the_usage_is_that_of_a_day(
    desk: _Desk, is_apart: bool
) -> None:
    # Given all is counted in wallets, or beside them as long as older processes look there
    await desk.connection.execute("UPDATE platform SET day_apart = $1", is_apart)
    chance = random.Random(SEED)
    for _ in range(RUN_COUNT):
        for _ in range(STEP_COUNT):
            # When messages are sent, quarters pass, money of another currency pays, limits change
            match chance.choice(("send", "send", "send", "wait", "switch", "limit")):
                case "send":
                    await desk.send(*(chance.randint(1, 3) for _ in range(chance.randint(1, 4))))
                case "wait":
                    await desk.wait(chance.choice((1, 1, 2, 40, 95, 96, 97)))
                case "switch":
                    await desk.switch()
                case "limit":
                    await desk.limit()
            # Then it is told what was sent in this quarter and the day before it
            assert await desk.told() == desk.used
        await desk.wait(DAY_SLOT_COUNT + 1)


async def test_a_wallet_knows_the_day_from_the_second_debit_of_a_quarter_on(desk: _Desk) -> None:
    # Given an account that has sent in the quarter before
    await desk.send(3)
    await desk.wait(1)
    # When it sends again and again
    known = []
    for _ in range(3):
        await desk.send(1)
        known += [tuple(row) for row in await desk.connection.fetch(_IN_WALLET)]
    # Then the quarter before was closed once, and stands beside what is sent in this one
    assert known == [(1, 3), (2, 3), (3, 3)]
    assert await desk.connection.fetchval("SELECT sum(segment_count) FROM daily_usage") == 3


async def test_what_begins_before_the_contract_is_seen_by_what_comes_after(
    desk: _Desk,
) -> None:
    # Given a process of the release before, which counts where it has always counted
    await desk.connection.execute("UPDATE platform SET day_apart = true")
    await desk.send(2, 2)
    rows = "SELECT sum(segment_count) FROM daily_usage"
    assert await desk.connection.fetchval(rows) == 4
    # When it is gone, and others count in the wallet
    await desk.connection.execute("UPDATE platform SET day_apart = false")
    await desk.send(1)
    await desk.send(1)
    # Then both are told
    assert await desk.told() == 6
    assert await desk.connection.fetchval(rows) == 4


async def test_who_waited_for_the_wallet_adds_to_the_quarter_that_it_has_come_to(
    desk: _Desk, services: asyncpg.Pool
) -> None:
    # Given a wallet that is held by somebody for whom the next quarter has begun
    await desk.send(5)
    holder = desk.connection.transaction()
    await holder.start()
    await desk.connection.execute(
        f"UPDATE wallets SET usage_slot = {_NOW_SLOT} + 1, slot_segment_count = 2"
        " WHERE account_id = 1 AND currency = 'EUR'"
    )
    # When a message is stored meanwhile
    async with services.acquire() as opened:
        waiting = asyncio.create_task(_Desk(opened).store(1))
        await _is_waiting(desk.connection)
        await holder.commit()
        await waiting
    # Then it counts beside what was counted there, and the quarter before is not lost
    assert [tuple(row) for row in await desk.connection.fetch(_IN_WALLET)] == [(3, 5)]


async def test_a_clock_that_was_a_year_ahead_keeps_no_more_than_what_it_counted(
    desk: _Desk,
) -> None:
    # Given an account that has sent while the clock was wrong
    await desk.send(3)
    await desk.wait(-366 * DAY_SLOT_COUNT)
    # When it goes on sending for days
    for _ in range(3):
        await desk.send(2)
        await desk.send(2)
        assert await desk.told() == desk.used
        await desk.wait(DAY_SLOT_COUNT)
    await desk.wait(1)
    # Then what was sent by the right clock is forgotten as ever
    assert await desk.told() == desk.used == 3


async def _is_waiting(connection: Connection) -> None:
    async with asyncio.timeout(10):
        while not await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)
