"""People in tests: users with a password that costs little, and their sessions."""

from __future__ import annotations

from typing import Any

from shared.access import passwords
from shared.access.rights import UserRole
from shared.db import users
from shared.runtime import ids
from tests.integration.ingest.world import World

PASSWORD = "correct horse battery staple"
COST = passwords.Cost(memory_kib=64, passes=1)
"""That of the running ingest."""


async def account_id(town: World, account: str) -> int:
    """The id of an account."""
    found = await town.pool.fetchval("SELECT account_id FROM accounts WHERE name = $1", account)
    return int(found)


async def new_user(town: World, account: str, email: str, role: UserRole) -> users.StoredUser:
    """A user of this account with PASSWORD, as `sluice user add` makes one."""
    new = users.NewUser(ids.uuid7(), email, role, passwords.make(PASSWORD, COST))
    async with town.pool.acquire() as opened, opened.transaction():
        return await users.create(opened, await account_id(town, account), new)


async def sign_in(
    town: World,
    account: str,
    email: str,
    password: str = PASSWORD,
    *,
    status: int = 201,
    forwarded: str = "",
) -> Any:
    """The answer to a sign-in, which must have this status."""
    body = {"account": account, "email": email, "password": password}
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    async with town.client.post("/v1/sessions", json=body, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def with_role(town: World, account: str, role: UserRole) -> str:
    """The name in `town.tokens` of a session of this account's user with this role."""
    name = f"{account} {role}"
    if name not in town.tokens:
        email = f"{role}@{account.replace('/', '.')}.example"
        await new_user(town, account, email, role)
        town.tokens[name] = (await sign_in(town, account, email))["token"]
    return name


async def call(
    town: World, who: str, method: str, path: str, body: object = None, *, status: int
) -> Any:
    """The answer to a request, which must have this status; None where it has no body."""
    headers = town.bearer(who)
    async with town.client.request(method, path, headers=headers, json=body) as answer:
        assert answer.status == status, (method, path, answer.status, await answer.text())
        return await answer.json(content_type=None) if answer.status != 204 else None
