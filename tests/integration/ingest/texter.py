"""A client that speaks as Mailjet's clients do, for an account of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from yarl import URL

from shared.access import tokens
from shared.db import apply, configuration, ledger
from shared.db import tokens as stored
from tests.integration.ingest.world import CREDIT_MICRO, KEYS, World

MEMBERS = ["ErrorIdentifier", "ErrorCode", "StatusCode", "ErrorMessage", "ErrorRelatedTo"]


class Answer(NamedTuple):
    """A status, headers and a body."""

    status: int
    headers: Any
    body: Any

    def says(self, code: str, *related: str, status: int = 400) -> bool:
        """Whether it is the error of this code, in the envelope that clients know."""
        body = self.body
        told = (self.status, body["ErrorCode"], body["StatusCode"], body["ErrorRelatedTo"])
        return list(body) == MEMBERS and told == (status, code, status, list(related))


@dataclass(frozen=True)
class Texter:
    """One account's client."""

    town: World
    account_id: int
    token: str
    root: str

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a request under /v4; its query goes out as it is written."""
        wanted = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            **(headers or {}),
        }
        url = URL(f"{self.root}/v4{path}", encoded=True)
        given = {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        async with self.town.client.request(method, url, headers=wanted, **given) as answer:
            return Answer(answer.status, answer.headers, await answer.json(content_type=None))

    async def send(self, sender: object, to: object, text: object, key: str = "") -> Answer:
        """Send a message."""
        headers = {"Idempotency-Key": key} if key else None
        body = {"From": sender, "To": to, "Text": text}
        return await self.ask("POST", "/sms-send", body, headers=headers)

    async def sent(self, sender: str, to: str, text: str = "x") -> dict[str, Any]:
        """The answer to a message that was taken."""
        answer = await self.send(sender, to, text)
        assert answer.status == 200, answer.body
        body: dict[str, Any] = answer.body
        return body

    async def names(self) -> list[str]:
        """The account's lines that are names."""
        rows = await self.town.pool.fetch(
            "SELECT sender FROM lines WHERE account_id = $1 AND kind = 'alphanumeric'"
            " ORDER BY line_id",
            self.account_id,
        )
        return [row["sender"] for row in rows]


async def opened(
    town: World,
    name: str,
    *,
    credit_micro: int = CREDIT_MICRO,
    daily_limit: int = 100_000,
    requests_per_minute: int = 1_000_000,
    lines: tuple[apply.Line, ...] = (),
    **traits: Any,
) -> Texter:
    """A new account, without lines unless they are given, which ingest knows at once."""
    token = tokens.make(KEYS)
    token_hash, *_ = tokens.hashes(token, KEYS)
    async with town.pool.acquire() as connection, connection.transaction():
        account = apply.Account(name, "EUR", daily_limit, requests_per_minute, **traits)
        await apply.put(connection, account, None)
        for line in lines:
            await apply.put(connection, line, None)
        account_id = int(
            await connection.fetchval("SELECT account_id FROM accounts WHERE name = $1", name)
        )
        if credit_micro:
            await ledger.credit(connection, account_id, "EUR", credit_micro, "test")
        await configuration.bump(connection)
        await stored.create(connection, account_id, stored.NewToken("test", token_hash))
    town.tokens[name] = token
    return Texter(town, account_id, token, f"http://127.0.0.1:{town.port}")
