"""Money under contention: a wallet is spent to the last cent and a key is charged once."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal

import aiohttp
import msgspec

from tests import fleet
from tests.chaos import database
from tests.chaos.arena import Arena

PRICE = Decimal("0.0453")
SPENDER_COUNT = 500
AFFORDED_COUNT = 333
KEY_COUNT = int(os.environ.get("SLUICE_TEST_KEYS", "200"))
TRY_COUNT = 50
TRIES_AT_ONCE = 500


class _Money(msgspec.Struct):
    amount: Decimal


class _Answer(msgspec.Struct):
    id: str = ""
    code: str = ""
    balance: _Money | None = None


Post = Callable[[str, str], Awaitable[tuple[int, _Answer]]]


def session(stage: Arena, account: str) -> aiohttp.ClientSession:
    """A client of an account, with as many connections as anybody here needs."""
    return aiohttp.ClientSession(
        stage.fleet.environment["SLUICE_API_URL"],
        headers={
            "Authorization": f"Bearer {stage.fleet.token(account)}",
            "Content-Type": "application/json",
        },
        connector=aiohttp.TCPConnector(limit=TRIES_AT_ONCE),
        timeout=aiohttp.ClientTimeout(total=60),
    )


async def post(client: aiohttp.ClientSession, to: str, key: str) -> tuple[int, _Answer]:
    """One try to send; again only while ingest does not know the account yet."""
    body = msgspec.json.encode({"to": to, "text": "Your parcel is here."})
    while True:
        async with client.post(
            "/v1/messages", data=body, headers={"Idempotency-Key": key}
        ) as answer:
            if answer.status != 503:
                return answer.status, msgspec.json.decode(await answer.read(), type=_Answer)
        await asyncio.sleep(0.2)


async def test_a_wallet_affords_exactly_its_messages_when_500_spend_at_once(
    battered: Arena,
) -> None:
    # Given a wallet for 333 messages.
    battered.apply(fleet.account("spenders", credit=str(PRICE * AFFORDED_COUNT), sender="Till"))
    async with session(battered, "spenders") as client:
        # When 500 spenders send one each at the same time.
        answers = await asyncio.gather(
            *(post(client, f"+336{370_000 + n:06d}55", f"spend-{n}") for n in range(SPENDER_COUNT))
        )
        async with client.get("/v1/balance") as answer:
            left = msgspec.json.decode(await answer.read(), type=_Money).amount
    # Then 333 are accepted, each sees another balance, and none sees it below zero.
    statuses = Counter(status for status, _ in answers)
    refusals = {answer.code for status, answer in answers if status == 402}
    balances = sorted(answer.balance.amount for _, answer in answers if answer.balance)
    assert statuses == {202: AFFORDED_COUNT, 402: SPENDER_COUNT - AFFORDED_COUNT}
    assert refusals == {"insufficient_funds"}
    assert balances == [PRICE * n for n in range(AFFORDED_COUNT)]
    assert left == 0
    stored = await database.book(battered.servers.database_url, "spenders")
    assert len(stored) == AFFORDED_COUNT
    assert await battered.audit_ok()


async def test_each_key_ends_as_one_message_and_one_debit_when_tried_50_times_at_once(
    battered: Arena,
) -> None:
    # Given keys, each tried 50 times at the same time.
    battered.apply(fleet.account("doubles", credit="100000", sender="Twin"))
    ids: list[set[str]] = [set() for _ in range(KEY_COUNT)]
    statuses: Counter[int] = Counter()
    async with session(battered, "doubles") as client:

        async def attempt(number: int) -> None:
            status, answer = await post(client, f"+336{100_000 + number:06d}56", f"key-{number}")
            statuses[status] += 1
            if status == 202:
                ids[number].add(answer.id)

        together = TRIES_AT_ONCE // TRY_COUNT
        for first in range(0, KEY_COUNT, together):
            keys = range(first, min(first + together, KEY_COUNT))
            await asyncio.gather(*(attempt(number) for number in keys for _ in range(TRY_COUNT)))
    # Then every key has one id, one message and one debit; the other tries were told so, or to
    # come again.
    print(f"\n{KEY_COUNT} keys x {TRY_COUNT} tries: {dict(statuses)}")
    assert set(statuses) <= {202, 409}
    assert [len(found) for found in ids] == [1] * KEY_COUNT
    stored = await database.book(battered.servers.database_url, "doubles")
    assert {message.message_id for message in stored} == set().union(*ids)
    assert len(stored) == KEY_COUNT
    assert {part.debit_count for message in stored for part in message.parts.values()} == {1}
    assert await battered.audit_ok()
