"""A platform that takes cards, and the provider to practise on: what payers do, and what passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from deploy.local.servers import Servers
from services.simulator import options, simulator
from services.simulator.payment_face import signature
from shared.access import tokens
from shared.db import apply, audit, configuration
from shared.db import tokens as stored
from tests.integration.ingest import world
from tests.integration.ingest.world import KEYS, World
from tests.integration.invoices import seller
from tests.ports import free_port

SECRET = "whsec_of_the_test"
OLD_SECRET = "whsec_of_last_year"
API_KEY = "sk_test_of_the_test"
OPERATOR = "operator's token"
WAIT_SECONDS = 20.0


@dataclass
class Till:
    """The two of them, and what they say."""

    town: World
    provider: aiohttp.ClientSession
    event_path: str = "/payments/stripe/events"

    async def account(self, name: str, currency: str = "USD") -> None:
        """A new account without money, whose messages to GB cost 25 units of any currency."""
        token = tokens.make(KEYS)
        token_hash, *_ = tokens.hashes(token, KEYS)
        async with self.town.pool.acquire() as opened, opened.transaction():
            account = apply.Account(
                name,
                currency,
                daily_limit=100_000,
                requests_per_minute=1_000_000,
                registration_enforced=False,
            )
            await apply.put(opened, account, None)
            line = apply.Line(name, "Sluice", "alphanumeric", "FR", True, 10_000, 10_000, 10_000)
            await apply.put(opened, line, None)
            for each in ("EUR", "GBP", "USD"):
                await apply.put(opened, apply.Price("GB", each, 25_000_000), None)
            await configuration.bump(opened)
            account_id = await opened.fetchval(
                "SELECT account_id FROM accounts WHERE name = $1", name
            )
            await stored.create(opened, account_id, stored.NewToken("test", token_hash))
        self.town.tokens[name] = token

    async def begin(self, account: str, amount: str, currency: str) -> str:
        """The first step; the deposit's id."""
        body = {"amount": amount, "currency": currency}
        made = await self.town.post(account, "/v1/deposits", body, 201)
        return str(made["id"])

    async def ordered(self, account: str, amount: str, currency: str) -> dict[str, Any]:
        """All four steps."""
        deposit_id = await self.begin(account, amount, currency)
        path = f"/v1/deposits/{deposit_id}"
        body = {"amount": amount, "currency": currency}
        await self.town.post(account, f"{path}/confirm-details", body, 200)
        await self.town.post(account, f"{path}/method", {"method": "card"}, 200)
        terms = await self.town.get(account, "/v1/terms")
        order = {"terms_version": terms["version"], "accept_terms": True}
        made: dict[str, Any] = await self.town.post(account, f"{path}/order", order, 200)
        return made

    async def enter_card(self, deposit: dict[str, Any], card: str, status: int = 200) -> None:
        """What the payer does on the provider's page."""
        async with self.provider.post(deposit["checkout_url"], json={"card": card}) as answer:
            assert answer.status == status, await answer.text()

    async def happens(self, what: str, **asked: object) -> None:
        """Something happens at the provider."""
        path = f"/payments/simulator/{what}"
        async with self.provider.post(path, json=asked) as answer:
            assert answer.status == 204, await answer.text()

    async def books(self) -> dict[str, dict[str, Any]]:
        """What the provider has held and charged, by deposit."""
        async with self.provider.get("/payments/simulator/books") as answer:
            return {each["deposit"]: each for each in await answer.json()}

    async def until(self, account: str, deposit: dict[str, Any], state: str) -> dict[str, Any]:
        """The deposit, once it is there."""
        path = f"/v1/deposits/{deposit['id']}"
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                found: dict[str, Any] = await self.town.get(account, path)
                if found["state"] == state:
                    return found
                await asyncio.sleep(0.02)

    async def paid(
        self, account: str, amount: str, currency: str, card: str = "a card of mine"
    ) -> dict[str, Any]:
        """A deposit that has come to its end: with a card that was validated, or is now."""
        made = await self.ordered(account, amount, currency)
        await self.enter_card(made, card)
        async with asyncio.timeout(WAIT_SECONDS):
            while (await self.town.get(account, f"/v1/deposits/{made['id']}"))["state"] not in (
                "pending",
                "credited",
            ):
                await asyncio.sleep(0.02)
        await self.validation_is_over(made)
        return await self.until(account, made, "credited")

    async def validation_is_over(self, deposit: dict[str, Any]) -> None:
        """48 hours pass here: as the table tells it."""
        await self.town.pool.execute(
            "UPDATE deposits SET validate_by = now() - interval '1 second',"
            " look_at = now() WHERE deposit_id = $1 AND state = 'pending'",
            deposit["id"],
        )

    async def balance(self, account: str) -> tuple[str, dict[str, str], dict[str, str]]:
        """("400.00 USD", pending, dormant)."""
        found = await self.town.get(account, "/v1/balance")
        return (
            f"{found['amount']} {found['currency']}",
            {each["currency"]: each["amount"] for each in found["pending"]},
            {each["currency"]: each["amount"] for each in found["dormant"]},
        )

    async def send(self, account: str, count: int = 1) -> None:
        """So many messages, each of 25 units."""
        for number in range(count):
            to = f"+4474001{number:05d}"
            await self.town.post(account, "/v1/messages", {"to": to, "text": "Hello"})

    async def event(
        self, body: bytes, secret: str = SECRET, at_seconds: float | None = None
    ) -> int:
        """The status that an event gets which was signed so."""
        at = asyncio.get_running_loop().time() if at_seconds is None else at_seconds
        headers = {"Stripe-Signature": signature(body, secret, at)}
        async with self.town.client.post(self.event_path, data=body, headers=headers) as answer:
            return answer.status

    async def types(self, account: str, deposit: dict[str, Any]) -> list[str]:
        """The types of what the account was told of the deposit."""
        found = await self.town.get(account, "/v1/events?limit=1000")
        return [each["type"] for each in found["events"] if each.get("deposit_id") == deposit["id"]]

    async def breaches(self) -> dict[str, object]:
        """What the audit finds."""
        async with self.town.pool.acquire() as opened:
            found = await audit.examine(opened)
        return {each.check.name: each.rows for each in found if each.is_breach}


@asynccontextmanager
async def standing(servers: Servers, **further: Any) -> AsyncIterator[Till]:
    """A running ingest that takes cards, and its provider."""
    port, provider_port = free_port(), free_port()
    wanted = options.Options(
        http_port=provider_port,
        token=OPERATOR,
        payments_key=API_KEY,
        payments_event_secret=SECRET,
        payments_event_url=f"http://127.0.0.1:{port}/payments/stripe/events",
    )
    settings: dict[str, Any] = {
        "ingest_port": port,
        "payments_provider": "stripe",
        "payments_key": API_KEY,
        "payments_event_secrets": (OLD_SECRET, SECRET),
        "payments_url": f"http://127.0.0.1:{provider_port}/payments",
        "payments_return_url": "https://shop.example.com/",
    }
    provider = await simulator.serve(wanted)
    try:
        async with (
            world.running(servers, "", **(settings | further)) as town,
            aiohttp.ClientSession(
                f"http://127.0.0.1:{provider_port}",
                headers={"Authorization": f"Bearer {OPERATOR}"},
            ) as client,
        ):
            await seller.set_up(town.pool)
            yield Till(town, client)
    finally:
        await provider.close()
