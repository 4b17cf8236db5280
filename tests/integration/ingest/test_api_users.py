"""People: they sign in, each may what their role says, and guessing a password is slow."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from services.ingest.native import sessions
from services.ingest.web import guesses, passwords
from shared.access import passwords as hashes
from shared.access.rights import UserRole
from shared.db import sessions as stored
from shared.web.problems import Refused
from tests.integration.ingest.people import (
    COST,
    PASSWORD,
    account_id,
    call,
    new_user,
    sign_in,
    with_role,
)
from tests.integration.ingest.world import KEYS, PROXY, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = "another horse, battery and staple"


async def _is_served(town: World, who: str) -> bool:
    async with town.client.get("/v1/account", headers=town.bearer(who)) as answer:
        return answer.status == 200


async def _until_refused(town: World, who: str) -> None:
    """Within the second that a process may remember a session for."""
    async with asyncio.timeout(1.5):
        while await _is_served(town, who):
            await asyncio.sleep(0.02)


# Sessions ----------------------------------------------------------------------------------------


async def test_a_user_signs_in_and_out(town: World) -> None:
    # Given a user, When they sign in, however they write their address
    made = await new_user(town, "alice", "ada@alice.example", UserRole.VIEWER)
    session = await sign_in(town, "alice", "Ada@Alice.example")
    town.tokens["ada"] = session["token"]

    # Then they are let in for an hour, in their role, and the account's users see when
    assert session["user"]["id"] == str(made.user_id)
    home = await call(town, "ada", "GET", "/v1/account", status=200)
    assert home["you"] == {"role": "viewer"}
    seen = await call(town, "ada", "GET", f"/v1/users/{made.user_id}", status=200)
    assert seen["last_signed_in_at"]
    ends = await town.pool.fetchval(
        "SELECT max(expires_at - created_at) FROM sessions WHERE user_id = $1", made.user_id
    )
    assert ends == sessions.LASTS

    # When they sign out, Then the token is good no more
    await call(town, "ada", "DELETE", "/v1/sessions/current", status=204)
    await _until_refused(town, "ada")
    assert (
        await town.pool.fetchval("SELECT count(*) FROM sessions WHERE user_id = $1", made.user_id)
        == 0
    )


async def test_who_is_wrong_is_not_told_about_what(town: World) -> None:
    await new_user(town, "alice", "eve@alice.example", UserRole.VIEWER)

    told = [
        await sign_in(town, *asked, status=401)
        for asked in (
            ("alice", "eve@alice.example", OTHER),
            ("alice", "nobody@alice.example", PASSWORD),
            ("nobody", "eve@alice.example", PASSWORD),
            ("bob", "eve@alice.example", PASSWORD),
        )
    ]

    assert {each["code"] for each in told} == {"wrong_credentials"}
    assert all(each == told[0] for each in told)


async def test_an_expired_session_is_refused(town: World) -> None:
    who = await with_role(town, "bob", UserRole.VIEWER)
    assert await _is_served(town, who)

    await town.pool.execute("UPDATE sessions SET expires_at = now() - interval '1 second'")

    await _until_refused(town, who)
    async with town.pool.acquire() as opened:
        await stored.forget_old(opened)
    assert await town.pool.fetchval("SELECT count(*) FROM sessions") == 0
    del town.tokens[who]


async def test_one_session_too_many_ends_the_oldest(town: World) -> None:
    made = await new_user(town, "bob", "busy@bob.example", UserRole.VIEWER)
    first = (await sign_in(town, "bob", "busy@bob.example"))["token"]
    for _ in range(stored.COUNT_MAX):
        await sign_in(town, "bob", "busy@bob.example")

    count = "SELECT count(*) FROM sessions WHERE user_id = $1"
    assert await town.pool.fetchval(count, made.user_id) == stored.COUNT_MAX
    town.tokens["first"] = first
    assert not await _is_served(town, "first")


def _from(town: World, address: str) -> aiohttp.ClientSession:
    """A client that calls from another address of this machine."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    return aiohttp.ClientSession(f"http://127.0.0.1:{town.port}", connector=connector)


async def _guess(
    client: aiohttp.ClientSession, email: str, password: str = OTHER, forwarded: str = ""
) -> int:
    """The status of an attempt to be a user of Alice."""
    body = {"account": "alice", "email": email, "password": password}
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    async with client.post("/v1/sessions", json=body, headers=headers) as answer:
        if answer.status == 429:
            assert (await answer.json(content_type=None))["code"] == "too_many_sign_ins"
            assert 0 < int(answer.headers["Retry-After"]) <= 900
        return answer.status


async def test_guesses_are_slow_for_a_user_however_many_come_at_once(town: World) -> None:
    # Given a user, and one who is none
    await new_user(town, "alice", "target@alice.example", UserRole.OWNER)
    async with _from(town, PROXY) as client:
        for email in ("target@alice.example", "no-target@alice.example"):
            # When 25 addresses guess at once
            told = await asyncio.gather(
                *(_guess(client, email, forwarded=f"203.0.113.{n}") for n in range(25))
            )

            # Then ten guesses were looked at, and no more, also of the right password
            assert sorted(told) == [401] * guesses.USER_COUNT_MAX + [429] * 15
            assert await _guess(client, email, PASSWORD, forwarded="203.0.113.99") == 429


async def test_a_blocked_user_comes_in_when_the_time_is_over(town: World) -> None:
    # Given a user for whom too many passwords were tried
    clock = [0.0]
    counting = guesses.Guesses(town.pool, lambda: clock[0])
    attempt = guesses.SignIn.of(KEYS, "192.0.2.1", "alice", "late@alice.example")
    for _ in range(guesses.USER_COUNT_MAX):
        await counting.count(attempt)
    with pytest.raises(Refused):
        await counting.count(attempt)
    count = "SELECT attempt_count FROM sign_in_attempts WHERE subject = $1"
    counted = await town.pool.fetchval(count, attempt.user)

    # When that one goes on, Then the answer comes from memory
    with pytest.raises(Refused) as refused:
        await counting.count(attempt)
    assert refused.value.headers["Retry-After"] == "900"
    assert await town.pool.fetchval(count, attempt.user) == counted

    # And when the time is over, they may try again, and what was counted is swept
    clock[0] += guesses.WINDOW.total_seconds()
    await town.pool.execute("UPDATE sign_in_attempts SET ends_at = now()")
    await counting.count(attempt)
    await counting.forgive(attempt)
    assert await town.pool.fetchval(count, attempt.user) == 0
    await town.pool.execute("UPDATE sign_in_attempts SET ends_at = now()")
    async with town.pool.acquire() as opened:
        await stored.forget_old(opened)
    assert await town.pool.fetchval("SELECT count(*) FROM sign_in_attempts") == 0


async def test_an_address_that_guesses_on_shuts_nobody_out(town: World) -> None:
    # Given an address that has tried as many passwords as it may
    async with _from(town, "127.0.0.77") as client:
        told = [
            await _guess(client, f"u{number}@alice.example")
            for number in range(guesses.ADDRESS_COUNT_MAX + 1)
        ]
        assert told == [401] * guesses.ADDRESS_COUNT_MAX + [429]

        # When it goes on against one user, Then that is not counted against the user
        rows = "SELECT count(*) FROM sign_in_attempts"
        counted = await town.pool.fetchval(rows)
        for _ in range(guesses.USER_COUNT_MAX):
            assert await _guess(client, "spared@alice.example") == 429
        assert await town.pool.fetchval(rows) == counted


def _held_count(town: World) -> int:
    return town.pool.get_size() - town.pool.get_idle_size()


async def test_a_flood_of_sign_ins_holds_two_connections(town: World) -> None:
    # Given a database that does not answer for a while
    counting = guesses.Guesses(town.pool)
    async with town.pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE sign_in_attempts IN ACCESS EXCLUSIVE MODE")
        waits = [
            asyncio.create_task(
                counting.count(guesses.SignIn.of(KEYS, f"192.0.2.{n}", "a", f"{n}@a.example"))
            )
            for n in range(guesses.WAITING_COUNT_MAX)
        ]
        async with asyncio.timeout(5):
            while _held_count(town) < 1 + guesses.CONNECTION_COUNT:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

        # Then what is asked meanwhile waits on two connections, and more is told to come again
        assert _held_count(town) == 1 + guesses.CONNECTION_COUNT
        with pytest.raises(Refused) as refused:
            await counting.count(guesses.SignIn.of(KEYS, "192.0.2.99", "a", "z@a.example"))
        assert refused.value.problem.status == 503
    await asyncio.gather(*waits)


async def test_hashing_leaves_the_event_loop_alone_and_is_bounded() -> None:
    # Given hashes that take a while
    hashing = passwords.Passwords(hashes.Cost(memory_kib=19_456, passes=2))
    loop = asyncio.get_running_loop()
    waits = [asyncio.create_task(hashing.make(PASSWORD)) for _ in range(8)]

    # When the loop is asked for its turn meanwhile, Then it comes at once
    longest = 0.0
    while not all(task.done() for task in waits):
        asked_at = loop.time()
        await asyncio.sleep(0)
        longest = max(longest, loop.time() - asked_at)
        await asyncio.sleep(0.001)
    assert longest < 0.1
    await asyncio.gather(*waits)

    # And one more than may wait is told to come again
    waits = [
        asyncio.create_task(hashing.make(PASSWORD)) for _ in range(passwords.WAITING_COUNT_MAX)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Refused) as refused:
        await hashing.make(PASSWORD)
    assert refused.value.problem.status == 503
    hashing.close()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_a_hash_goes_over_to_the_cost_that_is_set(town: World) -> None:
    made = await new_user(town, "bob", "old@bob.example", UserRole.VIEWER)
    old = hashes.make(PASSWORD, hashes.Cost(memory_kib=32, passes=1))
    await town.pool.execute(
        "UPDATE users SET password_hash = $2 WHERE user_id = $1", made.user_id, old
    )

    await sign_in(town, "bob", "old@bob.example")

    now = await town.pool.fetchval(
        "SELECT password_hash FROM users WHERE user_id = $1", made.user_id
    )
    assert not hashes.is_outdated(now, COST)
    await sign_in(town, "bob", "old@bob.example")


# Users -------------------------------------------------------------------------------------------


async def test_an_owner_makes_changes_and_removes_users(town: World) -> None:
    # Given an owner, When they make a user
    owner = await with_role(town, "alice", UserRole.OWNER)
    body = {"email": "Dev@alice.example", "role": "developer", "password": PASSWORD}
    made = await call(town, owner, "POST", "/v1/users", body, status=201)
    assert (made["email"], made["role"]) == ("dev@alice.example", "developer")
    again = await call(town, owner, "POST", "/v1/users", body, status=409)
    assert again["code"] == "email_taken"

    # Then that one may what a developer may, until they have another role
    town.tokens["dev"] = (await sign_in(town, "alice", "dev@alice.example"))["token"]
    await call(town, "dev", "POST", "/v1/tokens", {}, status=422)
    path = f"/v1/users/{made['id']}"
    changed = await call(town, owner, "PATCH", path, {"role": "viewer"}, status=200)
    assert changed["role"] == "viewer"
    async with asyncio.timeout(1.5):
        while (await town.client.post("/v1/tokens", headers=town.bearer("dev"))).status != 403:
            await asyncio.sleep(0.02)

    # And a removed one is not let in any more
    await call(town, owner, "DELETE", path, status=204)
    await _until_refused(town, "dev")
    await sign_in(town, "alice", "dev@alice.example", status=401)
    await call(town, owner, "GET", path, status=404)


async def test_an_account_keeps_an_owner_also_when_two_go_at_once(town: World) -> None:
    # Given an account with two owners
    ids = [
        str((await new_user(town, "poor", f"o{n}@poor.example", UserRole.OWNER)).user_id)
        for n in range(2)
    ]
    town.tokens["poor owner"] = (await sign_in(town, "poor", "o0@poor.example"))["token"]
    headers = town.bearer("poor owner")

    # When one is removed and the other made a viewer at the same time
    async def gone(user_id: str) -> int:
        async with town.client.delete(f"/v1/users/{user_id}", headers=headers) as answer:
            return answer.status

    async def viewer(user_id: str) -> int:
        body = {"role": "viewer"}
        async with town.client.patch(f"/v1/users/{user_id}", json=body, headers=headers) as answer:
            return answer.status

    told = await asyncio.gather(viewer(ids[0]), gone(ids[1]))

    # Then one of both is refused: for the last owner's sake, or because whoever asks is none now
    assert sorted(told)[0] in (200, 204)
    assert sorted(told)[1] in (403, 409)
    owners = "SELECT count(*) FROM users WHERE role = 'owner' AND account_id = $1"
    assert await town.pool.fetchval(owners, await account_id(town, "poor")) == 1


async def test_a_new_password_ends_the_sessions_of_the_one_before(town: World) -> None:
    # Given a user with two sessions
    await new_user(town, "bob", "pw@bob.example", UserRole.VIEWER)
    for name in ("pw one", "pw two"):
        town.tokens[name] = (await sign_in(town, "bob", "pw@bob.example"))["token"]

    # When they change their password in one, after a wrong try
    wrong = {"current_password": OTHER, "password": OTHER}
    told = await call(town, "pw one", "PUT", "/v1/password", wrong, status=422)
    assert told["code"] == "wrong_password"
    right = {"current_password": PASSWORD, "password": OTHER}
    await call(town, "pw one", "PUT", "/v1/password", right, status=204)

    # Then the other ends, and the new password signs in
    await _until_refused(town, "pw two")
    assert await _is_served(town, "pw one")
    await sign_in(town, "bob", "pw@bob.example", status=401)
    await sign_in(town, "bob", "pw@bob.example", OTHER)

    # And an owner who gives another ends all
    owner = await with_role(town, "bob", UserRole.OWNER)
    (user_id,) = [
        user["id"]
        for user in (await call(town, owner, "GET", "/v1/users", status=200))["users"]
        if user["email"] == "pw@bob.example"
    ]
    await call(town, owner, "PATCH", f"/v1/users/{user_id}", {"password": PASSWORD}, status=200)
    await _until_refused(town, "pw one")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": "no address"}, None),
        ({"email": "a@b.example\n"}, None),
        ({"email": "ünï@b.example"}, None),
        ({"role": "king"}, None),
        ({"password": "short"}, "invalid_password"),
        ({"password": "aaaaaaaaaaaaaaaa"}, "invalid_password"),
        ({"password": "new@b.example"}, "invalid_password"),
        ({"password": "x" * 129}, None),
        ({"more": "of it"}, None),
    ],
)
async def test_a_bad_user_is_refused_and_nothing_is_stored(
    town: World, change: dict[str, object], code: str | None
) -> None:
    owner = await with_role(town, "alice", UserRole.OWNER)
    before = await town.pool.fetchval("SELECT count(*) FROM users")
    good = {"email": "new@b.example", "role": "viewer", "password": PASSWORD}

    told = await call(town, owner, "POST", "/v1/users", good | change, status=422)

    assert code in (None, told["code"])
    assert str(next(iter(change.values()))) not in told["detail"]
    assert await town.pool.fetchval("SELECT count(*) FROM users") == before


async def test_no_user_is_made_by_a_token(town: World) -> None:
    body = {"email": "t@alice.example", "role": "owner", "password": PASSWORD}
    told = await call(town, "alice", "POST", "/v1/users", body, status=403)
    assert told["code"] == "session_needed"


# Home --------------------------------------------------------------------------------------------


async def test_m12_the_home_leads_to_tokens_balance_deposits_and_statistics(town: World) -> None:
    owner = await with_role(town, "alice", UserRole.OWNER)

    home = await call(town, owner, "GET", "/v1/account", status=200)

    assert (home["name"], home["kind"], home["currency"]) == ("alice", "main", "EUR")
    balance = await call(town, owner, "GET", "/v1/balance", status=200)
    assert home["balance"] == {key: balance[key] for key in ("amount", "currency")}
    tokens = await call(town, owner, "GET", home["links"]["tokens"], status=200)
    assert home["tokens"] == {"count": len(tokens["tokens"]), "max": 10}
    assert home["links"] == {
        "tokens": "/v1/tokens",
        "balance": "/v1/balance",
        "deposits": "/v1/deposits",
        "statistics": "/v1/statistics",
    }
