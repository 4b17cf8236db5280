"""What an account may spend: the day's limit, caps that no number of processes overshoots, and the
guard against traffic pumping."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg
import pytest

from services.commands.configuration import file
from services.ingest import watching
from shared.access import tokens
from shared.db import apply, audit, configuration, ledger, spending
from shared.db import tokens as stored
from shared.ledger import money
from tests.integration.ingest import world
from tests.integration.ingest.world import KEYS, PRICES, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARIS, BERLIN = "+33612345678", "+4915123456789"
PROCESS_COUNT = 4
WISH = {"to": PARIS, "text": "hi"}


async def operate(town: World, text: str) -> None:
    """What `sluice apply` does with this file."""
    async with town.pool.acquire() as opened:
        current = await apply.read(opened)
        rows, faults = file.read(text, current)
        assert faults == []
        async with opened.transaction():
            for row in rows:
                await apply.put(opened, row, current.get(row.key))
            await configuration.bump(opened)


async def open_account(town: World, name: str, more: str = "daily_limit = 100000") -> None:
    """An account with money, a line and a token, as an operator opens it."""
    await operate(
        town,
        f'[[account]]\nname = "{name}"\ncurrency = "EUR"\ncredit = "100"\n{more}\n'
        "requests_per_minute = 100000\n"
        f'[[line]]\naccount = "{name}"\nsender = "Sluice"\nkind = "alphanumeric"\n'
        'country = "FR"\ndefault = true\nlimits = { hour = 10000, day = 10000, month = 10000 }\n',
    )
    token = town.tokens[name] = tokens.make(KEYS)
    token_hash, *_ = tokens.hashes(token, KEYS)
    async with town.pool.acquire() as opened:
        account_id = await _account_id(town.pool, name)
        await stored.create(opened, account_id, stored.NewToken("test", token_hash))
    async with asyncio.timeout(10):
        while (await _status(town.client, town, name, "GET", "/v1/lines"))[0] != 200:
            await asyncio.sleep(0.05)


async def _status(
    client: aiohttp.ClientSession,
    town: World,
    account: str,
    method: str = "POST",
    path: str = "/v1/messages",
    body: Any = None,
) -> tuple[int, Any]:
    async with client.request(method, path, headers=town.bearer(account), json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def send_batch(town: World, account: str, count: int, to: str = PARIS) -> Counter[str]:
    """How many of so many messages were accepted, and why others were not."""
    messages = [{"to": to, "text": "hi"}] * count
    done = await town.post(account, "/v1/messages/batch", {"messages": messages})
    return Counter(
        "accepted" if "id" in each else each["error"]["code"] for each in done["results"]
    )


async def set_caps(town: World, account: str, body: Any, status: int = 200) -> Any:
    found, answer = await _status(town.client, town, account, "PUT", "/v1/spending", body)
    assert found == status, answer
    return answer


async def test_m06_m07_a_new_account_sends_200_a_day_until_the_operator_raises_it(
    town: World,
) -> None:
    # Given an account that was opened with nothing said about its day
    await open_account(town, "newcomer", more="")

    # When it sends 201, Then the last one is refused for the day's limit and costs nothing
    before = Decimal((await town.get("newcomer", "/v1/balance"))["amount"])
    assert await send_batch(town, "newcomer", 201) == {"accepted": 200, "daily_limit_reached": 1}
    after = Decimal((await town.get("newcomer", "/v1/balance"))["amount"])
    assert (before - after) * 1_000_000 == 200 * PRICES["FR"]
    problem = await town.post("newcomer", "/v1/messages", WISH, 429)
    assert problem["code"] == "daily_limit_reached"

    # When the operator raises it, Then the running process lets exactly so many more pass
    raised = '[[account]]\nname = "newcomer"\ncurrency = "EUR"\ndaily_limit = 203\n'
    await operate(town, raised)
    assert await send_batch(town, "newcomer", 5) == {"accepted": 3, "daily_limit_reached": 2}


async def test_a_cap_is_not_overshot_by_any_number_of_processes(town: World) -> None:
    # Given an account whose cap pays for 30 messages, and several ingests on its database
    await open_account(town, "careful")
    cap = money.format_amount(30 * PRICES["FR"])
    await set_caps(town, "careful", {"total": {"hour": cap}})
    async with AsyncExitStack() as stack:
        others = [world.beside(town) for _ in range(PROCESS_COUNT - 1)]
        clients = [town.client, *[await stack.enter_async_context(each) for each in others]]

        # When 120 messages come to all of them at once
        sends = [
            _status(clients[index % PROCESS_COUNT], town, "careful", body=WISH)
            for index in range(120)
        ]
        answers = await asyncio.gather(*sends)

        # Then exactly 30 are paid for, and the others are told which cap, and until when
        assert Counter(status for status, _ in answers) == {202: 30, 429: 90}
        refused = next(body for status, body in answers if status == 429)
        assert refused["code"] == "spend_cap_reached"
        assert f"{cap} EUR" in refused["detail"]
        possible_at = datetime.fromisoformat(refused["possible_at"])
        assert timedelta(0) < possible_at - datetime.now(UTC) <= timedelta(minutes=75)

        # And a higher one holds with the very next message, whichever process takes it
        await set_caps(town, "careful", {"total": {"hour": "99"}})
        for client in clients:
            assert (await _status(client, town, "careful", body=WISH))[0] == 202
        await set_caps(town, "careful", {"total": {"hour": cap}})
        for client in clients:
            assert (await _status(client, town, "careful", body=WISH))[0] == 429
    standing = await town.get("careful", "/v1/spending")
    (hour,) = standing["caps"]
    used = 34 * PRICES["FR"]
    assert (hour["window"], int(Decimal(hour["used"]) * 1_000_000), hour["left"]) == (
        "hour",
        used,
        "0.00",
    )


async def test_caps_of_countries_and_of_the_operator_hold_beside_the_accounts_own(
    town: World,
) -> None:
    # Given a cap of the account's own on France, and one of the operator's on everything
    await open_account(town, "abroad")
    operators = '[[spending_cap]]\naccount = "abroad"\nmonth = "0.30"\n'
    await operate(town, operators)
    await set_caps(town, "abroad", {"countries": {"FR": {"day": "0.10"}}})

    # When it sends to both countries, Then each holds
    assert await send_batch(town, "abroad", 3) == {"accepted": 2, "spend_cap_reached": 1}
    assert await send_batch(town, "abroad", 4, BERLIN) == {"accepted": 2, "spend_cap_reached": 2}
    problem = await town.post("abroad", "/v1/messages", WISH, 429)
    assert (problem["code"], problem["field"]) == ("spend_cap_reached", "to")

    # And taking its own away leaves the operator's
    standing = await set_caps(town, "abroad", {})
    assert [(each["owner"], each["window"]) for each in standing["caps"]] == [("operator", "month")]
    assert await send_batch(town, "abroad", 2) == {"accepted": 1, "spend_cap_reached": 1}
    assert await _watched(town, "abroad")

    # When the operator lifts it too, Then nobody looks any more
    await operate(town, '[[spending_cap]]\naccount = "abroad"\n')
    assert (await town.get("abroad", "/v1/spending"))["caps"] == []
    assert not await _watched(town, "abroad")
    assert await send_batch(town, "abroad", 2) == {"accepted": 2}


async def _watched(town: World, account: str) -> bool:
    return bool(
        await town.pool.fetchval(
            "SELECT bool_or(spending_watched) FROM wallets JOIN accounts USING (account_id)"
            " WHERE name = $1",
            account,
        )
    )


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"total": {"hour": "-1"}}, "invalid_amount", "total.hour"),
        ({"countries": {"FR": {"week": "1"}}}, "unknown_field", None),
        ({"countries": {"france": {"day": "1"}}}, "invalid_value", None),
        ({"countries": {"FR": {"day": "1e9"}}}, "invalid_amount", "countries.FR.day"),
        ({"total": {"hour": 5}}, "invalid_value", "total.hour"),
    ],
)
async def test_caps_that_are_none_are_refused_and_leave_those_of_before(
    town: World, body: Any, code: str, field: str | None
) -> None:
    before = await town.get("bob", "/v1/spending")
    problem = await set_caps(town, "bob", body, 422)
    assert problem["code"] == code, problem
    assert field is None or problem["field"] == field
    assert await town.get("bob", "/v1/spending") == before


async def test_a_sudden_rise_to_one_country_is_held_back_until_the_operator_lifts_it(
    town: World,
) -> None:
    # Given a guarded account that has sent up to 8 an hour to France a week ago, never to Germany
    await open_account(town, "pumped")
    await operate(town, '[[velocity_guard]]\naccount = "pumped"\nfloor = 5\nfactor = 2\n')
    await _had_sent(town, "pumped", "FR", 8, timedelta(days=7))
    # and much to Germany within the last day, which is no past yet
    await _had_sent(town, "pumped", "DE", 500, timedelta(hours=12))

    # When it sends to both, Then twice its past passes to one, and the floor to the other
    assert await send_batch(town, "pumped", 20) == {"accepted": 16, "velocity_guard": 4}
    assert await send_batch(town, "pumped", 20, BERLIN) == {"accepted": 5, "velocity_guard": 15}
    problem = await town.post("pumped", "/v1/messages", {"to": BERLIN, "text": "hi"}, 429)
    assert (problem["code"], problem["field"]) == ("velocity_guard", "to")
    assert "to DE" in problem["detail"]
    assert "lets 5 pass" in problem["detail"]
    assert datetime.fromisoformat(problem["possible_at"]) > datetime.now(UTC)
    guard = {each["country"]: each for each in (await town.get("pumped", "/v1/spending"))["guard"]}
    assert (guard["FR"]["allowed"], guard["FR"]["used"], guard["FR"]["busiest_hour"]) == (16, 16, 8)

    # When the operator lifts it for Germany, Then everything to it passes, and nothing to France
    account_id = await _account_id(town.pool, "pumped")
    async with town.pool.acquire() as opened:
        until_at = datetime.now(UTC) + timedelta(hours=1)
        await spending.lift_guard(opened, account_id, "DE", until_at, "a campaign")
    assert await send_batch(town, "pumped", 20, BERLIN) == {"accepted": 20}
    assert await send_batch(town, "pumped", 1) == {"velocity_guard": 1}

    # And a guard that is ended holds nothing back
    await operate(town, '[[velocity_guard]]\naccount = "pumped"\nfactor = 0\n')
    assert await send_batch(town, "pumped", 50) == {"accepted": 50}
    assert (await town.get("pumped", "/v1/spending"))["guard"] is None


async def test_what_was_spent_before_anybody_watched_counts_added_up_or_not(town: World) -> None:
    # Given an account that nobody watches, and that has spent; some of it is added up already
    await open_account(town, "unwatched")
    assert await send_batch(town, "unwatched", 4) == {"accepted": 4}
    await spending.add_up(town.pool)
    async with town.pool.acquire() as opened, opened.transaction():
        await opened.execute("SELECT FROM sweeps WHERE name = 'spending' FOR UPDATE")
        assert await send_batch(town, "unwatched", 2) == {"accepted": 2}
        assert await send_batch(town, "unwatched", 3, BERLIN) == {"accepted": 3}
        await spending.add_up(town.pool)
        assert await _spent_counts(town, "unwatched") == {"*": 4, "FR": 4}

        # When a cap leaves room for one more message to France, Then all that was spent counts
        cap = money.format_amount(7 * PRICES["FR"])
        await set_caps(town, "unwatched", {"countries": {"FR": {"hour": cap}}})
        assert await send_batch(town, "unwatched", 3) == {"accepted": 1, "spend_cap_reached": 2}

    # And it is the same once the rest is added up, each message once
    await asyncio.gather(spending.add_up(town.pool), spending.add_up(town.pool))
    await spending.add_up(town.pool)
    assert await _spent_counts(town, "unwatched") == {"*": 10, "FR": 7, "DE": 3}
    assert await send_batch(town, "unwatched", 1) == {"spend_cap_reached": 1}


async def _spent_counts(town: World, account: str) -> dict[str, int]:
    """Segments by country, as far as they are added up."""
    rows = await town.pool.fetch(
        "SELECT country, sum(segment_count)::int FROM spending JOIN wallets USING (wallet_id)"
        " JOIN accounts USING (account_id) WHERE name = $1 GROUP BY country",
        account,
    )
    return dict(map(tuple, rows))


async def _account_id(pool: asyncpg.Pool, name: str) -> int:
    return int(await pool.fetchval("SELECT account_id FROM accounts WHERE name = $1", name))


async def _had_sent(town: World, account: str, country: str, count: int, ago: timedelta) -> None:
    await town.pool.execute(
        "INSERT INTO spending SELECT wallet_id, place,"
        " floor(extract(epoch FROM now() - $4::interval) / 900)::bigint, $3, $3"
        " FROM wallets JOIN accounts USING (account_id), unnest(ARRAY['*', $2]) AS place"
        " WHERE name = $1 ON CONFLICT (wallet_id, country, slot)"
        " DO UPDATE SET segment_count = spending.segment_count + excluded.segment_count,"
        " amount_micro = spending.amount_micro + excluded.amount_micro",
        account,
        country,
        count,
        ago,
    )


async def test_what_was_spent_is_counted_for_everybody_and_forgotten_in_time(town: World) -> None:
    # Given all that was sent above, Then sums and debits agree
    await spending.add_up(town.pool)
    async with town.pool.acquire() as opened:
        found = {each.check.name: each for each in await audit.examine(opened)}
    assert found["spending"].examined_count > 0
    assert not found["spending"].rows
    counted = await town.pool.fetchval(
        "SELECT sum(segment_count) FROM spending JOIN wallets USING (wallet_id)"
        " JOIN accounts USING (account_id) WHERE country = '*' AND name = 'careful'"
    )
    assert counted == 34

    # When some of it is old, Then that is taken away, and the rest stays
    await _had_sent(town, "careful", "FR", 7, timedelta(days=40))
    await spending.forget(town.pool)
    days = await town.pool.fetchval(
        "SELECT max(floor(extract(epoch FROM now()) / 900)::bigint - slot) FROM spending"
    )
    assert days < 33 * 96


async def test_nobody_who_has_no_cap_pays_a_round_trip_for_it(town: World) -> None:
    # Given an account without caps, and one with, on a connection that tells what it is asked
    asked: list[str] = []
    async with town.pool.acquire() as opened:
        opened.add_query_logger(lambda record: asked.append(record.query))
        for account, expected in (("bob", 0), ("careful", 2)):
            account_id = await _account_id(town.pool, account)
            async with opened.transaction():
                purses = await ledger.lock_purses(opened, [account_id])
                # The types of what is asked are learnt once; what was asked is told a turn later.
                await watching.watchers(opened, purses.values(), [])
                await asyncio.sleep(0)
                asked.clear()
                await watching.watchers(opened, purses.values(), [])
                await asyncio.sleep(0)
                assert len(asked) == expected, account
