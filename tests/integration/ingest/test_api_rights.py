"""What a token may do by its scopes: every route of every face, before anything is stored."""

from __future__ import annotations

import base64
import uuid

import pytest

from services.ingest.aircall import answers as aircall_answers
from services.ingest.aircall import routes as aircall_routes
from services.ingest.native import routes
from services.ingest.native.route import Route
from shared.access.rights import AccessScope
from tests.integration.ingest.world import KEYS, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _narrow(town: World, scope: AccessScope) -> str:
    """Bob's token of this scope alone."""
    name = f"only {scope}"
    if name not in town.tokens:
        town.tokens[name] = await town.new_token("bob", name, scopes={scope})
    return town.tokens[name]


def _path(route_path: str) -> str:
    """The path with ids of nothing."""
    return (
        route_path.replace("{id}", str(uuid.uuid4()))
        .replace("{line_id}", "2000000000")
        .replace("{number}", "%2B33612345678")
    )


@pytest.mark.parametrize("route", routes.ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_token_opens_what_its_scope_is_for_and_nothing_else(
    town: World, route: Route
) -> None:
    before = await town.books()
    for scope in AccessScope:
        headers = {"Authorization": f"Bearer {await _narrow(town, scope)}"}
        async with town.client.request(route.method, _path(route.path), headers=headers) as answer:
            if scope is route.needs:
                assert answer.status not in (401, 403), scope
            else:
                told = await answer.json(content_type=None)
                assert (answer.status, told["code"]) == (403, "scope_missing"), scope
    assert await town.books() == before


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [(method, path, need.scope) for method, path, _handler, need in aircall_routes.ROUTES],
)
async def test_the_aircall_face_asks_for_the_same_scopes(
    town: World, method: str, path: str, needed: AccessScope
) -> None:
    for scope in AccessScope:
        token = await _narrow(town, scope)
        token_id = await town.pool.fetchval(
            "SELECT token_id FROM tokens WHERE name = $1", f"only {scope}"
        )
        pair = base64.b64encode(f"{token_id}:{token}".encode()).decode()
        address = aircall_answers.PREFIX + path.replace("{id}", "2000000000")
        headers = {"Authorization": f"Basic {pair}"}
        async with town.client.request(method, address, headers=headers) as answer:
            told = await answer.text()
            is_refused = answer.status == 403 and "the scope" in told
            assert is_refused is (scope is not needed), (scope, told)


async def test_the_release_before_finds_no_token_that_is_narrower_than_it_knows(
    town: World,
) -> None:
    # Given a token that may read alone, and the hash by which code without scopes looks for it
    token = await _narrow(town, AccessScope.READ)
    sought = KEYS.sign(token.encode())

    # Then it is not there, as that of a token of all scopes is
    known = "SELECT count(*) FROM tokens WHERE token_hash = $1"
    assert await town.pool.fetchval(known, sought) == 0
    assert await town.pool.fetchval(known, KEYS.sign(town.tokens["bob"].encode())) == 1
