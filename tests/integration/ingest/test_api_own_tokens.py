"""Tokens by the API: made with a name, shown once, listed without their value, deleted."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from services.ingest.web import auth, uses
from shared.access.rights import AccessScope, UserRole
from shared.db import tokens
from shared.web.problems import Refused
from tests.integration.ingest.people import account_id, call, with_role
from tests.integration.ingest.world import KEYS, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _names(town: World, who: str) -> list[str]:
    listed = await call(town, who, "GET", "/v1/tokens", status=200)
    return [token["name"] for token in listed["tokens"]]


async def test_m13_missing_malformed_unknown_and_deleted_tokens_all_give_401(town: World) -> None:
    made = await town.post("alice", "/v1/tokens", {"name": "gone"}, status=201)
    town.tokens["gone"] = made["token"]
    await call(town, "gone", "DELETE", f"/v1/tokens/{made['id']}", status=204)
    for header in (
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {made['token']} more",
        f"Token {made['token']}",
        made["token"],
        "Bearer slu_" + "w" * 43,
        f"Bearer {made['token']}",
    ):
        headers = {} if header is None else {"Authorization": header}
        async with asyncio.timeout(1.5):
            while True:
                async with town.client.get("/v1/account", headers=headers) as answer:
                    if answer.status != 200:
                        break
        assert answer.status == 401, header
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="sluice"'


async def test_m14_a_name_is_required_and_unique_among_an_accounts_tokens(town: World) -> None:
    await town.post("alice", "/v1/tokens", {}, status=422)
    await town.post("alice", "/v1/tokens", {"name": "same"}, status=201)
    again = await town.post("alice", "/v1/tokens", {"name": "same"}, status=409)
    assert (again["code"], again["field"]) == ("token_name_taken", "name")
    # Another account's names are its own.
    await town.post("bob", "/v1/tokens", {"name": "same"}, status=201)
    for bad in ("", " a", "a ", "a\nb", "a\0b", "x" * 65, "‮"):
        await town.post("alice", "/v1/tokens", {"name": bad}, status=422)


async def test_m15_m18_the_value_is_in_the_answer_to_its_making_and_in_no_other(
    town: World,
) -> None:
    # Given a token that was made just now and used
    body = {"name": "shown once", "scopes": ["read", "admin"], "expires_in_days": 30}
    made = await town.post("alice", "/v1/tokens", body, status=201)
    town.tokens["shown once"] = value = made.pop("token")

    # When tokens are listed, Then it is there with all that is known of it but its value
    headers = town.bearer("shown once")
    async with town.client.get("/v1/tokens", headers=headers) as answer:
        raw = await answer.text()
    assert value not in raw
    assert made in json.loads(raw)["tokens"]
    assert made["scopes"] == ["read", "admin"]
    assert set(made) == {"id", "name", "scopes", "created_at", "expires_at", "last_used_at"}


async def test_m16_only_a_keyed_hash_is_stored(town: World) -> None:
    made = await town.post("alice", "/v1/tokens", {"name": "hashed"}, status=201)
    (row,) = await town.pool.fetch("SELECT * FROM tokens WHERE name = 'hashed'")
    assert row["token_hash"] == KEYS.sign(made["token"].encode())
    assert made["token"] not in str(dict(row))


async def test_m17_an_account_has_ten_tokens_also_when_twenty_are_made_at_once(
    town: World,
) -> None:
    # Given an account with one token, When twenty more are asked for at once
    async def make(number: int) -> int:
        body = {"name": f"one of twenty {number}"}
        headers = town.bearer("lineless")
        async with town.client.post("/v1/tokens", json=body, headers=headers) as answer:
            if answer.status == 409:
                assert (await answer.json(content_type=None))["code"] == "too_many_tokens"
            return answer.status

    told = await asyncio.gather(*map(make, range(20)))

    # Then there are ten
    assert sorted(told) == [201] * (tokens.COUNT_MAX - 1) + [409] * 11
    assert len(await _names(town, "lineless")) == tokens.COUNT_MAX

    # And M20: one that is deleted leaves its place and its name to another
    listed = await call(town, "lineless", "GET", "/v1/tokens", status=200)
    freed = listed["tokens"][-1]
    await call(town, "lineless", "DELETE", f"/v1/tokens/{freed['id']}", status=204)
    await town.post("lineless", "/v1/tokens", {"name": freed["name"]}, status=201)
    await town.post("lineless", "/v1/tokens", {"name": "the eleventh"}, status=409)


async def test_m20_a_token_that_has_expired_leaves_its_place_and_its_name(town: World) -> None:
    await town.new_token("special", "brief", good_for=timedelta(milliseconds=1))
    await asyncio.sleep(0.01)
    await town.post("special", "/v1/tokens", {"name": "brief"}, status=201)


async def test_m19_a_deleted_token_opens_nothing_after_a_second_in_any_process(
    town: World,
) -> None:
    # Given a token that another process knows too, and an account that is not its own
    made = await town.post("alice", "/v1/tokens", {"name": "to delete"}, status=201)
    other = auth.Authenticator(town.pool, KEYS, uses.Uses(town.pool))
    header = f"Bearer {made['token']}"
    assert await other.caller(header, "1.2.3.4")
    path = f"/v1/tokens/{made['id']}"
    await call(town, "bob", "DELETE", path, status=404)

    # When it is deleted, Then it is refused there, and a second time it is not found
    await call(town, "alice", "DELETE", path, status=204)
    await asyncio.sleep(auth.CACHE_SECONDS)
    assert other.served(header) is None
    with pytest.raises(Refused):
        await other.caller(header, "1.2.3.4")
    await call(town, "alice", "DELETE", path, status=404)
    for absurd in ("0", "-1", "x", "99999999999999999999", "١"):
        await call(town, "alice", "DELETE", f"/v1/tokens/{absurd}", status=404)


async def test_nobody_hands_on_more_than_they_have(town: World) -> None:
    # Given a token that may administrate alone, and a developer
    town.tokens["admin"] = await town.new_token("bob", "admin", scopes={AccessScope.ADMIN})
    developer = await with_role(town, "bob", UserRole.DEVELOPER)

    for who, asked, status in (
        ("admin", ["send"], 403),
        ("admin", ["admin", "read"], 403),
        ("admin", ["admin"], 201),
        (developer, ["admin"], 403),
        (developer, ["read", "send"], 201),
        ("bob", ["everything"], 422),
        ("bob", [], 422),
    ):
        body = {"name": f"{who} {asked}"[:60], "scopes": asked}
        told = await town.post(who, "/v1/tokens", body, status=status)
        if status == 403:
            assert told["code"] == "scope_not_yours"

    # And without a word of scopes it is as many as they may
    made = await town.post(developer, "/v1/tokens", {"name": "all of mine"}, status=201)
    assert made["scopes"] == ["read", "send"]
    assert await town.pool.fetchval(
        "SELECT count(*) FROM tokens WHERE name = 'all of mine' AND account_id = $1",
        await account_id(town, "bob"),
    )


async def test_m21_the_scheme_is_bearer_in_capitals_or_not(town: World) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {town.tokens['alice']}"}
        async with town.client.get("/v1/account", headers=headers) as answer:
            assert answer.status == 200
