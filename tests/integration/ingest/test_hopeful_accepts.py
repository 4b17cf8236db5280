"""Accepting in the hope that all can be paid for: what two at once may do to one purse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from services.ingest import accept
from services.ingest.accept import Answer, Intake
from services.ingest.till import Fate
from shared.db import ledger
from shared.rules.compose import Draft
from tests.drafts import draft
from tests.keys import SEALS

PRICE_MICRO = 1_000
RICH, CAPPED = 1, 2


@pytest.fixture
async def database(owner: asyncpg.Connection, services: asyncpg.Pool) -> asyncpg.Pool:
    """An account with money for five segments, and one that may send five in a day."""
    await owner.execute(
        "INSERT INTO accounts (name, currency, daily_limit)"
        " VALUES ('rich', 'EUR', 1000), ('capped', 'EUR', 5);"
        "INSERT INTO wallets (account_id, book, currency, balance_micro)"
        " VALUES (1, 'customer', 'EUR', 5000), (2, 'customer', 'EUR', 5000000),"
        "        (1, 'customer', 'USD', 0)"
    )
    return services


async def intake(
    database: asyncpg.Pool, account_id: int, count: int, currency: str = "EUR"
) -> Intake:
    """A request for so many messages; its answer tells what is left after it."""
    wallet_id, revenue_id = [
        await database.fetchval(
            "SELECT wallet_id FROM wallets WHERE currency = $3 AND book = $2"
            " AND account_id IS NOT DISTINCT FROM $1",
            *purse,
            currency,
        )
        for purse in ((account_id, "customer"), (None, "revenue"))
    ]
    drafts = tuple(
        draft(wallet_id, revenue_id, PRICE_MICRO, account_id=account_id, currency=currency)
        for _ in range(count)
    )

    def answer(fates: Sequence[Fate], balance_micro: int, currency: str) -> Answer:
        taken = sum(isinstance(fate, Draft) for fate in fates)
        return Answer(202, f"{taken} of {len(fates)}, left {balance_micro} {currency}".encode())

    return Intake(account_id, drafts, None, (), answer)


async def stored_count(database: asyncpg.Pool) -> tuple[int, int]:
    """(messages, debits)."""
    tables = ("messages", "transfers")
    first, second = [await database.fetchval(f"SELECT count(*) FROM {name}") for name in tables]
    return first, second


@asynccontextmanager
async def beside(
    database: asyncpg.Pool, first: Intake, second: Intake
) -> AsyncIterator[asyncio.Task[accept._Results]]:
    """The second is being stored while the first has all of it stored and commits only then."""
    async with database.acquire() as one, database.acquire() as other:
        begun = one.transaction()
        await begun.start()
        await accept._store_all(one, SEALS, [first])

        async def store() -> accept._Results:
            async with other.transaction():
                return await accept._store_all(other, SEALS, [second])

        waiting = asyncio.create_task(store())
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await begun.commit()
        yield waiting


async def test_each_answer_tells_what_is_left_after_its_own_messages(
    database: asyncpg.Pool,
) -> None:
    requests = [await intake(database, RICH, 2), await intake(database, RICH, 1)]
    async with database.acquire() as opened, opened.transaction():
        results, stored = await accept._store_all(opened, SEALS, requests)
    assert [each.body for each in results if isinstance(each, Answer)] == [
        b"2 of 2, left 3000 EUR",
        b"1 of 1, left 2000 EUR",
    ]
    assert len(stored) == 3
    assert await stored_count(database) == (3, 3)


async def test_the_second_of_two_at_once_sees_what_the_first_has_spent(
    database: asyncpg.Pool,
) -> None:
    first, second = await intake(database, RICH, 3), await intake(database, RICH, 2)
    # Given one that has everything stored, when another of the same account comes meanwhile
    async with beside(database, first, second) as waiting:
        # Then it is paid out of what is left
        ((answer,), _) = await waiting
    assert isinstance(answer, Answer)
    assert answer.body == b"2 of 2, left 0 EUR"


@pytest.mark.parametrize("is_apart", [False, True])
async def test_what_was_priced_before_a_switch_of_currency_is_refused_and_harms_no_other(
    owner: asyncpg.Connection, database: asyncpg.Pool, is_apart: bool
) -> None:
    # Given a request of before the account's currency changed, and one of after it
    await owner.execute("UPDATE platform SET day_apart = $1", is_apart)
    await owner.execute("UPDATE wallets SET balance_micro = 5000 WHERE currency = 'USD'")
    requests = [await intake(database, RICH, 1), await intake(database, RICH, 2, "USD")]
    await owner.execute("UPDATE accounts SET currency = 'USD' WHERE account_id = $1", RICH)
    # When both are stored at once, Then that is undone, for one purse pays no more
    async with database.acquire() as opened:
        with pytest.raises(accept._NotForAll):
            async with opened.transaction():
                await accept._store_all(opened, SEALS, requests)
        # And when each is looked at alone, the one is refused and the other stored
        async with opened.transaction():
            results, stored = await accept._store_some(opened, SEALS, requests)
    assert [each.body for each in results if isinstance(each, Answer)] == [
        b"0 of 1, left 5000 USD",
        b"2 of 2, left 3000 USD",
    ]
    assert len(stored) == 2
    assert await ledger.used_today(owner, [RICH]) == {RICH: 2}


@pytest.mark.parametrize(
    ("account_id", "fault"), [(RICH, asyncpg.CheckViolationError), (CAPPED, accept._NotForAll)]
)
async def test_nothing_is_stored_when_two_at_once_want_more_than_there_is(
    database: asyncpg.Pool, account_id: int, fault: type[Exception]
) -> None:
    # Given a purse, or a day, for five
    first, second = await intake(database, account_id, 3), await intake(database, account_id, 3)
    async with beside(database, first, second) as waiting:
        # When two want three each, Then the second is stored not at all, and paid by nobody
        with pytest.raises(fault):
            await waiting
    assert await stored_count(database) == (3, 3)
    # And when each message is looked at alone, as many are taken as there is room for
    async with database.acquire() as opened, opened.transaction():
        ((answer,), stored) = await accept._store_some(opened, SEALS, [second])
    assert isinstance(answer, Answer)
    assert answer.body.startswith(b"2 of 3")
    assert len(stored) == 2
    assert await stored_count(database) == (5, 5)


async def test_nobody_pays_out_of_a_wallet_that_is_not_the_accounts_any_more(
    database: asyncpg.Pool, database_url: str
) -> None:
    request = await intake(database, RICH, 1)
    await database.execute("UPDATE accounts SET currency = 'USD' WHERE account_id = $1", RICH)
    async with database.acquire() as opened:
        with pytest.raises(accept._NotForAll):
            async with opened.transaction():
                await accept._store_all(opened, SEALS, [request])
    assert await stored_count(database) == (0, 0)
