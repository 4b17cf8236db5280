"""Who comes in: good tokens always, ended ones no more, and guessing costs who guesses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from services.ingest.native import requests
from services.ingest.web import auth, faults, intakes, uses
from shared.access import keys
from shared.access import tokens as access
from shared.db import tokens
from shared.db.connection import Connection
from shared.web.problems import Refused
from tests.integration.ingest.world import (
    ADDRESS_CONNECTIONS_MAX,
    KEYS,
    OLD_KEY,
    PROXY,
    World,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "a new key of the platform that comes in"


@asynccontextmanager
async def _client_at(town: World, address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that calls from another address of this machine."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{town.port}", connector=connector
    ) as client:
        yield client


async def _status(client: aiohttp.ClientSession, token: str, forwarded: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    if forwarded:
        headers["X-Forwarded-For"] = forwarded
    async with client.get("/v1/balance", headers=headers) as answer:
        return answer.status


async def _account_id(town: World, account: str) -> int:
    found = await town.pool.fetchval("SELECT account_id FROM accounts WHERE name = $1", account)
    return int(found)


async def _guess(client: aiohttp.ClientSession, forwarded: str = "") -> list[int]:
    """More wrong tokens than an address may send in a minute; their statuses. `{}` in the address
    they are said to be forwarded for is the number of the guess."""
    return [
        await _status(client, f"slu_{number:043}", forwarded.format(number))
        for number in range(auth.FAILURE_COUNT_MAX + 1)
    ]


# The door ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_check", [True, False])
async def test_a_good_token_comes_in_when_its_address_has_sent_many_wrong_ones(
    town: World, with_check: bool
) -> None:
    # Given an address behind which somebody guesses
    async with _client_at(town, f"127.0.0.{20 + with_check}") as client:
        statuses = await _guess(client)
        assert (set(statuses), statuses[-1]) == ({401, 429}, 429)

        # When a customer behind the same address brings a token this process has never seen
        token = await town.new_token("bob", f"unseen {with_check}", with_check=with_check)

        # Then it comes in
        assert await _status(client, token) == 200


async def test_another_address_is_told_401_when_one_has_guessed_too_often(town: World) -> None:
    async with _client_at(town, "127.0.0.30") as guessing, _client_at(town, "127.0.0.31") as other:
        await _guess(guessing)

        assert await _status(guessing, "slu_" + "w" * 43) == 429
        assert await _status(other, "slu_" + "w" * 43) == 401


async def test_guesses_cost_the_client_that_a_proxy_of_ours_names_and_no_other(town: World) -> None:
    async with _client_at(town, PROXY) as proxy, _client_at(town, "127.0.0.41") as stranger:
        # Given a client behind our proxy that guesses, and a stranger that guesses and claims each
        # time to be another
        behind = await _guess(proxy, "203.0.113.7")
        claiming = await _guess(stranger, "203.0.113.{}")

        # Then either is told to stop, and another client behind the proxy is not
        assert (behind[-1], claiming[-1]) == (429, 429)
        assert await _status(proxy, "slu_" + "w" * 43, "203.0.113.8") == 401


async def test_guesses_hold_one_connection_when_the_database_is_slow(town: World) -> None:
    # Given an address that guesses, and a database that does not answer for a while
    door = auth.Authenticator(town.pool, KEYS, uses.Uses(town.pool))
    for number in range(auth.FAILURE_COUNT_MAX):
        with pytest.raises(Refused):
            await door.caller(f"Bearer slu_{number:043}", "1.2.3.4")
    token = await town.new_token("alice", "beside guesses")
    async with town.pool.acquire() as holder:
        async with holder.transaction():
            await holder.execute("LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE")

            # When it sends 1,000 more at once, and one good token comes
            guesses = [
                asyncio.create_task(door.caller(f"Bearer slu_{number:043}", "1.2.3.4"))
                for number in range(1_000)
            ]
            await _until_waiting(holder, 1)
            good = asyncio.create_task(door.caller(f"Bearer {token}", "1.2.3.4"))

            # Then they wait on one connection, and the good token, on another, not behind them
            await _until_waiting(holder, 2)
            assert town.pool.get_size() - town.pool.get_idle_size() == 3

        # And all are answered as soon as the database is back
        assert (await good).account_id == await _account_id(town, "alice")
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Refused}


async def _until_waiting(holder: Connection, count: int) -> None:
    """Until so many sessions wait for what `holder` has locked."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tokens'::regclass"
    async with asyncio.timeout(10):
        while await holder.fetchval(query) < count:
            await asyncio.sleep(0.005)


async def test_an_address_holds_no_more_connections_than_the_operator_has_set(town: World) -> None:
    # Given an address that opens as many as it may, and one more
    async with AsyncExitStack() as opened:
        readers = []
        for _ in range(ADDRESS_CONNECTIONS_MAX + 1):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", town.port, local_addr=("127.0.0.42", 0)
            )
            opened.callback(writer.close)
            readers.append(reader)

        # Then that one is closed without a word, and the others stay
        with suppress(ConnectionError):
            assert await asyncio.wait_for(readers[-1].read(), 10) == b""
        assert not any(reader.at_eof() for reader in readers[:-1])


@pytest.mark.parametrize(("account", "told"), [("alice", b"100 Continue"), ("", b"401")])
async def test_a_body_is_asked_for_when_its_sender_is_known(
    town: World, account: str, told: bytes
) -> None:
    # Given a caller who waits for a word before sending a large body
    reader, writer = await asyncio.open_connection("127.0.0.1", town.port)
    token = town.tokens.get(account, "slu_" + "w" * 43)
    writer.write(
        f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nExpect: 100-continue\r\n"
        "Content-Length: 200000\r\n\r\n".encode()
    )

    # Then only one who may come in is told to go on
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert told in line


# Their end ---------------------------------------------------------------------------------------


async def test_a_revoked_token_is_refused_in_every_process_within_a_second(town: World) -> None:
    # Given a token that two processes serve
    token = await town.new_token("alice", "leaked")
    other = auth.Authenticator(town.pool, KEYS, uses.Uses(town.pool))
    alice = await _account_id(town, "alice")
    assert await _status(town.client, token) == 200
    assert (await other.caller(f"Bearer {token}", "1.2.3.4")).account_id == alice

    # When it is revoked
    async with town.pool.acquire() as connection:
        assert await tokens.revoke(connection, alice, "leaked")
    revoked_at = time.monotonic()

    # Then a process of the release before, which knows the hash alone, finds it no more
    token_hash, *_ = access.hashes(token, KEYS)
    old_query = "SELECT account_id FROM tokens WHERE token_hash = $1"
    assert await town.pool.fetchval(old_query, token_hash) is None

    # And no request is served that begins a second later
    served_at = revoked_at
    while (began_at := time.monotonic()) < revoked_at + 1.1:
        if await _serves(other, token) or await _status(town.client, token) == 200:
            served_at = began_at
        await asyncio.sleep(0.02)
    assert served_at < revoked_at + 1.0
    assert await _status(town.client, token) == 401
    assert not await _serves(other, token)


async def test_a_token_is_believed_without_a_look_up_until_a_token_changes(town: World) -> None:
    # Given a token that a process has found, a while ago
    seconds = 1_000.0
    door = auth.Authenticator(town.pool, KEYS, uses.Uses(town.pool), lambda: seconds)
    header = f"Bearer {await town.new_token('alice', 'believed')}"
    alice = await door.caller(header, "1.2.3.4")
    seconds += auth.CACHE_SECONDS
    assert door.served(header) is None

    # When it comes again while nobody can look for tokens, Then it is let in: none has changed
    async with town.pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(2):
            assert await door.caller(header, "1.2.3.4") == alice
    assert door.served(header) == alice

    # But when its end is set to now, by whoever it may be, it is refused as soon as that is asked
    await town.pool.execute("UPDATE tokens SET expires_at = now() WHERE name = 'believed'")
    seconds += auth.CACHE_SECONDS
    assert not await _serves(door, header[7:])


async def test_uses_of_tokens_are_no_change_of_theirs(town: World) -> None:
    await town.new_token("alice", "counted")
    async with town.pool.acquire() as connection:
        before = await tokens.change(connection)
        await connection.execute("UPDATE tokens SET last_used_at = now()")
        assert await tokens.change(connection) == before
        await connection.execute("UPDATE tokens SET account_id = account_id + 0")
        assert await tokens.change(connection) == before
        assert await tokens.revoke(connection, await _account_id(town, "alice"), "counted")
        assert await tokens.change(connection) == before + 1


async def _serves(door: auth.Authenticator, token: str) -> bool:
    """As a request is let in: from memory, else after a look-up."""
    header = f"Bearer {token}"
    try:
        return bool(door.served(header) or await door.caller(header, "1.2.3.4"))
    except Refused:
        return False


async def test_a_token_is_served_until_it_expires_and_then_moved_away(town: World) -> None:
    # Given a token for a moment
    token = await town.new_token("alice", "brief", good_for=timedelta(milliseconds=400))
    expired_at = time.monotonic() + 0.4
    assert await _status(town.client, token) == 200

    # When its time is over, long before what was found of it is asked for again
    await asyncio.sleep(max(0.0, expired_at - time.monotonic()))

    # Then it is refused, its name is free, and what is left of it says why
    assert await _status(town.client, token) == 401
    async with town.pool.acquire() as connection:
        await tokens.end_expired(connection)
        ended = await tokens.ended_of_account(connection, await _account_id(town, "alice"))
    assert [each.reason for each in ended if each.name == "brief"] == ["expired"]
    await town.new_token("alice", "brief")


# Last use, and the keys --------------------------------------------------------------------------


async def test_last_use_is_written_once_for_many_requests(town: World) -> None:
    # Given many requests with two tokens
    used = uses.Uses(town.pool)
    door = auth.Authenticator(town.pool, KEYS, used)
    headers = [f"Bearer {await town.new_token('bob', name)}" for name in ("used a", "used b")]
    for header in headers * 20:
        assert await door.caller(header, "1.2.3.4")

    async def last_used() -> list[Any]:
        rows = await town.pool.fetch(
            "SELECT now() - last_used_at AS age FROM tokens WHERE name LIKE 'used _' ORDER BY name"
        )
        return [row["age"] for row in rows]

    # When the minute is over, Then each has its time, and until then nothing was written
    assert await last_used() == [None, None]
    await used.write()
    assert all(timedelta(0) <= age < timedelta(seconds=30) for age in await last_used())


async def test_what_could_not_be_written_is_written_the_next_time(town: World) -> None:
    used = uses.Uses(town.pool)
    door = auth.Authenticator(town.pool, KEYS, used)
    header = f"Bearer {await town.new_token('bob', 'noted')}"
    await door.caller(header, "1.2.3.4")

    # When the database stands still, and is back a minute later
    async with town.pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await used.write()
    await used.write()

    assert await town.pool.fetchval("SELECT last_used_at FROM tokens WHERE name = 'noted'")


async def test_a_token_goes_over_to_the_new_key_when_it_is_used(town: World) -> None:
    # Given a token made with the old key, and processes that sign with the new one
    old, both, new = (keys.Keys.read(text) for text in (OLD_KEY, f"{NEW},{OLD_KEY}", NEW))
    header = f"Bearer {await town.new_token('alice', 'rotated', made_with=old)}"
    used = uses.Uses(town.pool)
    assert not await _serves(auth.Authenticator(town.pool, new, used), header[7:])

    # When it is used during the overlap
    assert await auth.Authenticator(town.pool, both, used).caller(header, "1.2.3.4")
    await used.write()

    # Then the new key alone knows it, and so does the overlap
    assert await auth.Authenticator(town.pool, new, used).caller(header, "1.2.3.4")
    assert await auth.Authenticator(town.pool, both, used).caller(header, "1.2.3.4")
    assert not await _serves(auth.Authenticator(town.pool, old, used), header[7:])


async def test_a_request_is_recognised_when_its_key_was_stored_under_the_old_key(
    town: World,
) -> None:
    # Given a request that was answered before the platform's key was replaced
    body = {"to": "+33612345678", "text": "Hello"}
    first = await town.post("alice", "/v1/messages", body, key="rotated")
    read = requests.decode(requests.send_decoder, json.dumps(body).encode())
    assert isinstance(read, requests.SendBody)
    (stored,) = intakes.fingerprints(
        keys.Keys.read(OLD_KEY), "/v1/messages", [faults.canonical(read)]
    )
    await town.pool.execute(
        "UPDATE idempotency_keys SET fingerprint = $1 WHERE key = 'rotated'", stored
    )

    # When it comes again, Then it has the same answer, and another one is still told apart
    assert await town.post("alice", "/v1/messages", body, key="rotated") == first
    await town.post("alice", "/v1/messages", body | {"text": "Bye"}, status=422, key="rotated")
