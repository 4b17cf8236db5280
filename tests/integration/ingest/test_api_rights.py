"""Who may call what: every route of every face, as everybody, held against the page for operators.

What stands in `docs/accounts.md` is what is expected, so page and code cannot differ. A new route
is asked like all others; one whose path holds an id says here how another account comes to have it.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from services.ingest.aircall import answers as aircall_answers
from services.ingest.aircall import routes as aircall_routes
from services.ingest.mailjet import answers as mailjet_answers
from services.ingest.mailjet import routes as mailjet_routes
from services.ingest.native import routes
from services.ingest.native.route import Route
from services.ingest.web.entrance import Visit
from shared.access.rights import AccessScope, UserRole
from tests.integration.ingest.people import account_id, call, new_user, with_role
from tests.integration.ingest.world import KEYS, World
from tests.integration.invoices import seller

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = (Path(__file__).parents[3] / "docs" / "accounts.md").read_text("utf-8")
DENIALS = {"main_account_only", "scope_missing", "role_missing", "session_needed"}
OF_USERS = {"users", "own"}
"""Areas that no token opens."""
UNKNOWN = {"{id}": str(uuid.UUID(int=0)), "{number}": "%2B33600000000"}


class Row(NamedTuple):
    """A row of the page's table: what each role may do below these paths."""

    area: str
    words: frozenset[str]
    may: dict[UserRole, set[str]]
    main_only: bool


def _rows() -> list[Row]:
    found = []
    table = PAGE.split("| area |")[1].split("\n\n")[0]
    for line in table.splitlines()[2:]:
        area, paths, *roles, main_only = (cell.strip() for cell in line.strip("|").split("|"))
        may = {
            role: {word for word in cell.split() if word != "–"}
            for role, cell in zip(UserRole, roles, strict=True)
        }
        words = frozenset(re.findall(r"`([a-z-]+)`", paths))
        found.append(Row(area, words, may, main_only == "yes"))
    return found


ROWS = _rows()


def _row_of(route: Route[Visit]) -> Row:
    word = route.path.split("/")[2]
    rows = [row for row in ROWS if word in row.words]
    assert len(rows) == 1, f"say in docs/accounts.md who may do what below /v1/{word}"
    return rows[0]


# Who asks ----------------------------------------------------------------------------------------


async def _narrow(town: World, scope: AccessScope, account: str = "bob") -> str:
    """The name of an account's token of this scope alone."""
    name = f"{account} {scope}"
    if name not in town.tokens:
        town.tokens[name] = await town.new_token(account, name, scopes={scope})
    return name


async def _of_sub_account(town: World) -> str:
    """The name of a token of a sub-account of Bob's, which may all that such tokens may."""
    if "bob/branch" not in town.tokens:
        made = await call(town, "bob", "POST", "/v1/accounts", {"name": "branch"}, status=201)
        path = f"/v1/accounts/{made['id']}/tokens"
        token = await call(town, "bob", "POST", path, {"name": "till"}, status=201)
        town.tokens["bob/branch"] = token["token"]
    return "bob/branch"


async def _told(
    town: World, who: str | None, method: str, path: str
) -> tuple[int, str | None, bytes]:
    """Status, code and body of the answer to a request without a body."""
    headers = {} if who is None else town.bearer(who)
    async with town.client.request(method, path, headers=headers) as answer:
        raw = await answer.read()
        is_problem = answer.headers.get("Content-Type") == "application/problem+json"
        code = (await answer.json(content_type=None))["code"] if is_problem else None
        return answer.status, code, raw


def _path(route: Route[Visit], ids: dict[str, str] | None = None) -> str:
    """The path with these ids, or with such as nobody has."""
    known = UNKNOWN | (ids or {})
    return re.sub(r"{\w+}", lambda found: known.get(found[0], "2000000000"), route.path)


@asynccontextmanager
async def _untouched(town: World) -> AsyncIterator[None]:
    """What the body asks for leaves the books alone."""
    before = await town.books()
    yield
    assert await town.books() == before


# Another face, asked first: below, so much is refused that its address is told no more -----------


async def test_a_session_opens_no_other_face(town: World) -> None:
    who = await with_role(town, "bob", UserRole.OWNER)
    pair = base64.b64encode(f"1:{town.tokens[who]}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}"}
    async with town.client.get(f"{aircall_answers.PREFIX}/v1/ping", headers=headers) as answer:
        assert answer.status == 403


# The table ---------------------------------------------------------------------------------------

every_route = pytest.mark.parametrize(
    "route", routes.ROUTES, ids=lambda route: f"{route.method} {route.path}"
)


@every_route
async def test_m13_nobody_comes_in_without_a_good_token(town: World, route: Route[Visit]) -> None:
    town.tokens["made up"] = "slu_" + "w" * 43
    for who in (None, "made up"):
        status, code, _ = await _told(town, who, route.method, _path(route))
        # Behind one address that has sent very many, no more is said.
        assert (status, code) in ((401, "unauthorized"), (429, "too_many_failures")), who


@every_route
async def test_a_token_opens_what_its_scope_is_for_and_nothing_else(
    town: World, route: Route[Visit]
) -> None:
    row = _row_of(route)
    async with _untouched(town):
        for scope in AccessScope:
            who = await _narrow(town, scope)
            status, code, _ = await _told(town, who, route.method, _path(route))
            if row.area in OF_USERS:
                assert (status, code) == (403, "session_needed"), scope
            elif scope is route.needs:
                assert status != 401, scope
                assert code not in DENIALS, scope
            else:
                assert (status, code) == (403, "scope_missing"), scope


@every_route
@pytest.mark.parametrize("role", UserRole)
async def test_a_user_may_what_the_page_says(
    town: World, route: Route[Visit], role: UserRole
) -> None:
    row = _row_of(route)
    who = await with_role(town, "bob", role)
    async with _untouched(town):
        status, code, _ = await _told(town, who, route.method, _path(route))
    if route.needs in row.may[role]:
        assert status != 401
        assert code not in DENIALS
    else:
        assert (status, code) == (403, "role_missing")
    if route.path == "/v1/sessions/current":
        del town.tokens[who]
        await town.pool.execute("DELETE FROM users WHERE email = $1", f"{role}@bob.example")


@every_route
async def test_m08_a_sub_account_is_refused_what_the_page_says(
    town: World, route: Route[Visit]
) -> None:
    who = await _of_sub_account(town)
    async with _untouched(town):
        status, code, _ = await _told(town, who, route.method, _path(route))
    if _row_of(route).main_only:
        assert (status, code) == (403, "main_account_only")
    else:
        assert code != "main_account_only"


# Another account's ids ---------------------------------------------------------------------------

Maker = Callable[[World], Awaitable[dict[str, str]]]


async def _message(town: World) -> dict[str, str]:
    sent = await town.post("alice", "/v1/messages", {"to": "+33612345678", "text": "Mine"})
    return {"{id}": sent["id"]}


async def _webhook(town: World) -> dict[str, str]:
    body = {"url": "https://example.com/hook", "events": ["message.*"]}
    made = await town.post("alice", "/v1/webhooks", body, status=201)
    return {"{id}": made["id"]}


async def _line(town: World) -> dict[str, str]:
    (first, *_) = (await town.get("alice", "/v1/lines"))["lines"]
    return {"{line_id}": str(first["id"])}


async def _token(town: World) -> dict[str, str]:
    body = {"name": f"foreign {uuid.uuid4()}"[:60]}
    made = await town.post("alice", "/v1/tokens", body, status=201)
    return {"{token_id}": str(made["id"])}


async def _user(town: World) -> dict[str, str]:
    email = f"{uuid.uuid4()}@alice.example"
    return {"{id}": str((await new_user(town, "alice", email, UserRole.VIEWER)).user_id)}


async def _account(town: World) -> dict[str, str]:
    name = {"name": f"f{uuid.uuid4().hex[:8]}"}
    made = await town.post("alice", "/v1/accounts", name, status=201)
    path = f"/v1/accounts/{made['id']}/tokens"
    token = await town.post("alice", path, {"name": "till"}, status=201)
    return {"{account_id}": str(made["id"]), "{token_id}": str(token["id"])}


async def _invoice(town: World) -> dict[str, str]:
    await seller.set_up(town.pool)
    paid = seller.deposit(await account_id(town, "alice"))
    async with town.pool.acquire() as opened, opened.transaction():
        return {"{id}": str((await seller.credit(opened, paid)).invoice_id)}


async def _deposit(town: World) -> dict[str, str]:
    body = {"amount": "5.00", "currency": "EUR"}
    return {"{id}": (await town.post("alice", "/v1/deposits", body, status=201))["id"]}


async def _export(town: World) -> dict[str, str]:
    body = {"created_from": "2026-01-01T00:00:00Z"}
    return {"{export_id}": str((await town.post("alice", "/v1/exports", body))["id"])}


FOREIGN: dict[str, Maker] = {
    "messages": _message,
    "webhooks": _webhook,
    "lines": _line,
    "tokens": _token,
    "users": _user,
    "accounts": _account,
    "invoices": _invoice,
    "deposits": _deposit,
    "exports": _export,
}
"""How Alice comes to have what a path below this word names."""
BODIES: dict[str, Any] = {
    "/v1/messages/{id}": {"send_at": "2030-01-31T09:00:00Z"},
    "/v1/webhooks/{id}": {"state": "disabled"},
    "/v1/users/{id}": {"role": "viewer"},
    "/v1/accounts/{account_id}/tokens": {"name": "stolen"},
    "/v1/deposits/{id}/confirm-details": {"amount": "5.00", "currency": "EUR"},
    "/v1/deposits/{id}/method": {"method": "card"},
    "/v1/deposits/{id}/order": {"terms_version": "1", "accept_terms": True},
}
"""What a request must say to come as far as the id."""
QUERIES = {"/v1/webhooks/{id}/replay": "?after=0"}
NO_ID = {"{number}"}
"""What anybody may name: a phone is no account's."""


def _ids_in(route: Route[Visit]) -> set[str]:
    return set(re.findall(r"{\w+}", route.path)) - NO_ID


@pytest.mark.parametrize(
    "route",
    [route for route in routes.ROUTES if _ids_in(route)],
    ids=lambda route: f"{route.method} {route.path}",
)
async def test_another_accounts_ids_are_as_absent_as_those_of_nothing(
    town: World, route: Route[Visit]
) -> None:
    # Given what Alice has, and somebody of Bob's who may do everything
    word = route.path.split("/")[2]
    assert word in FOREIGN, f"say in FOREIGN how an account comes to have one of /v1/{word}"
    ids = await FOREIGN[word](town)
    assert ids.keys() >= _ids_in(route)
    if word == "messages":
        await town.pool.execute(
            "UPDATE messages SET status = 'scheduled' WHERE message_id = $1", uuid.UUID(ids["{id}"])
        )
    who = await with_role(town, "bob", UserRole.OWNER)
    before = await _everything(town)

    # When he asks for it, and for what nobody has
    answers = []
    for path in (_path(route, ids), _path(route)):
        headers = town.bearer(who)
        body = BODIES.get(route.path) if route.body else None
        address = path + QUERIES.get(route.path, "")
        async with town.client.request(route.method, address, headers=headers, json=body) as answer:
            answers.append((answer.status, await answer.read(), answer.headers["Content-Type"]))

    # Then the answers are the same, and nothing has changed
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert await _everything(town) == before


async def _everything(town: World) -> tuple[Any, ...]:
    """What Alice has that somebody else could have changed."""
    alice = await account_id(town, "alice")
    (row,) = await town.pool.fetch(
        """
SELECT (SELECT jsonb_agg(to_jsonb(w) ORDER BY w.webhook_id) FROM webhooks w
        WHERE w.account_id = $1)::text,
       (SELECT jsonb_agg(to_jsonb(u) ORDER BY u.user_id) FROM users u
        WHERE u.account_id = $1)::text,
       (SELECT array_agg(d.state ORDER BY d.deposit_id) FROM deposits d WHERE d.account_id = $1),
       (SELECT array_agg(e.state ORDER BY e.export_id) FROM exports e WHERE e.account_id = $1),
       (SELECT array_agg(m.status ORDER BY m.message_id) FROM messages m WHERE m.account_id = $1),
       (SELECT array_agg(t.token_id ORDER BY t.token_id) FROM tokens t
        JOIN accounts a USING (account_id) WHERE a.payer_account_id = $1)""",
        alice,
    )
    return tuple(row)


# The other face, and the release before ----------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [(method, path, need.scope) for method, path, _handler, need in aircall_routes.ROUTES],
)
async def test_the_aircall_face_asks_for_the_same_scopes(
    town: World, method: str, path: str, needed: AccessScope
) -> None:
    for scope in AccessScope:
        name = await _narrow(town, scope)
        token_id = await town.pool.fetchval("SELECT token_id FROM tokens WHERE name = $1", name)
        pair = base64.b64encode(f"{token_id}:{town.tokens[name]}".encode()).decode()
        address = aircall_answers.PREFIX + path.replace("{id}", "2000000000")
        headers = {"Authorization": f"Basic {pair}"}
        async with town.client.request(method, address, headers=headers) as answer:
            told = await answer.text()
            is_refused = answer.status == 403 and "the scope" in told
            assert is_refused is (scope is not needed), (scope, told)


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [(method, path, need.scope) for method, path, _handler, need in mailjet_routes.ROUTES],
)
async def test_the_mailjet_face_asks_for_the_same_scopes(
    town: World, method: str, path: str, needed: AccessScope
) -> None:
    for scope in AccessScope:
        headers = town.bearer(await _narrow(town, scope))
        address = mailjet_answers.PREFIX + path.replace("{id}", UNKNOWN["{id}"])
        async with town.client.request(method, address, headers=headers) as answer:
            told = await answer.text()
            is_refused = answer.status == 403 and "mj-0021" in told
            assert is_refused is (scope is not needed), (scope, told)


async def test_the_release_before_finds_no_token_that_is_narrower_than_it_knows(
    town: World,
) -> None:
    # Given a token that may read alone, and the hash by which code without scopes looks for it
    token = town.tokens[await _narrow(town, AccessScope.READ)]
    sought = KEYS.sign(token.encode())

    # Then it is not there, as that of a token of all scopes is
    known = "SELECT count(*) FROM tokens WHERE token_hash = $1"
    assert await town.pool.fetchval(known, sought) == 0
    assert await town.pool.fetchval(known, KEYS.sign(town.tokens["bob"].encode())) == 1
