"""Accounts with numbers of every kind, and a client that speaks as Aircall's clients do."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.access import tokens
from shared.db import apply, configuration, ledger
from shared.db import tokens as stored
from tests.integration.ingest.world import CREDIT_MICRO, KEYS, World

PREFIX = "/aircall"
LIMITS = (1_000, 10_000, 50_000)
US = "+14155550100"
"""Registered for what it is used for."""
US_UNREGISTERED = "+14155550101"
US_TOLL_FREE = "+18005550199"
CA_TOLL_FREE = "+18775550111"
CA = "+14165550122"
FR = "+33698765434"
GB = "+447400123456"
SILENT = "+14155550109"
"""It has no messages, only calls."""
REGISTERED = {"registration": "approved", "brand": "B1", "campaign": "C1"}
NUMBERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    US: ("long_code", "US", {"name": "Desk", **REGISTERED}),
    US_UNREGISTERED: ("long_code", "US", {"registration": "pending"}),
    US_TOLL_FREE: ("toll_free", "US", {}),
    CA_TOLL_FREE: ("toll_free", "CA", {"registration": "rejected"}),
    CA: ("long_code", "CA", {}),
    FR: ("mobile", "FR", {"use_case": "appointments"}),
    GB: ("mobile", "GB", {"capabilities": ("sms", "mms")}),
    SILENT: ("long_code", "US", {"capabilities": (), **REGISTERED}),
}
PRICES = {"US": 10_000, "CA": 11_000, "GB": 38_000}


class Answer(NamedTuple):
    """A status, headers and a body."""

    status: int
    headers: Any
    body: Any


@dataclass
class Desk:
    """One account's client, and the ids of its numbers."""

    town: World
    account: str
    token_id: int
    token: str
    ids: dict[str, int]

    @property
    def authorization(self) -> str:
        return basic(self.token_id, self.token)

    async def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> Answer:
        """The answer to a request under the API's root."""
        headers = {"Authorization": self.authorization}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await call(self.town, method, path, body, headers)

    async def send(
        self, sender: str, to: str, text: str, *, key: str | None = None, **members: object
    ) -> Answer:
        """Send from a number in API mode."""
        path = f"/v1/numbers/{self.ids[sender]}/messages/send"
        return await self.ask("POST", path, {"to": to, "body": text, **members}, key=key)

    async def configure(self, sender: str, body: object = None) -> Answer:
        """Put a number into API mode."""
        path = f"/v1/numbers/{self.ids[sender]}/messages/configuration"
        return await self.ask("POST", path, body)

    async def release(self, sender: str) -> Answer:
        """Give it back to the application."""
        path = f"/v1/numbers/{self.ids[sender]}/messages/configuration"
        return await self.ask("DELETE", path)


async def call(
    town: World, method: str, path: str, body: object = None, headers: Any = None
) -> Answer:
    """A request as it comes, with these headers."""
    async with town.client.request(method, PREFIX + path, headers=headers, json=body) as answer:
        read = None if answer.status == 204 else await answer.json(content_type=None)
        return Answer(answer.status, answer.headers, read)


def basic(token_id: int | str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{token_id}:{token}".encode()).decode()


async def opened(
    town: World,
    name: str,
    *,
    plan: str = "professional",
    requests_per_minute: int = 1_000_000,
    credit_micro: int = CREDIT_MICRO,
    **traits: Any,
) -> Desk:
    """A new account with all of the numbers, which ingest knows at once."""
    token = tokens.make(KEYS)
    token_hash, *_ = tokens.hashes(token, KEYS)
    async with town.pool.acquire() as connection, connection.transaction():
        account = apply.Account(
            name,
            "EUR",
            daily_limit=100_000,
            requests_per_minute=requests_per_minute,
            plan=plan,
            **traits,
        )
        await apply.put(connection, account, None)
        for sender, (kind, country, line_traits) in NUMBERS.items():
            line = apply.Line(name, sender, kind, country, False, *LIMITS, **line_traits)
            await apply.put(connection, line, None)
        word = apply.Line(name, "Sluice", "alphanumeric", "FR", True, *LIMITS)
        await apply.put(connection, word, None)
        for country, amount_micro in PRICES.items():
            await apply.put(connection, apply.Price(country, "EUR", amount_micro), None)
        account_id = await connection.fetchval(
            "SELECT account_id FROM accounts WHERE name = $1", name
        )
        if credit_micro:
            await ledger.credit(connection, account_id, "EUR", credit_micro, "test")
        await configuration.bump(connection)
        made = await stored.create(connection, account_id, stored.NewToken("test", token_hash))
        rows = await connection.fetch(
            "SELECT sender, line_id FROM lines WHERE account_id = $1", account_id
        )
    town.tokens[name] = token
    ids = {row["sender"]: row["line_id"] for row in rows}
    return Desk(town, name, made.token_id, token, ids)
