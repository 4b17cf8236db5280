"""A town whose events are told: its webhooks, and pushers in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from services.webhooks import app
from shared.access import keys, signatures, vault
from shared.db import apply, configuration, events, webhooks
from shared.runtime import ids
from tests.integration.dlr.world import World

SECRET_KEY = "a key of this platform and long enough"
VAULT = vault.Vault(keys.Keys.read(SECRET_KEY))


@dataclass(frozen=True, slots=True)
class Hooks:
    """The town, and the way to its database as services come."""

    town: World
    database_url: str

    async def allow(self, *ports: int) -> None:
        """Let requests go to these ports of this machine."""
        async with self.town.pool.acquire() as connection, connection.transaction():
            places = tuple(f"127.0.0.1:{port}" for port in ports)
            await apply.put(connection, apply.Egress(places), None)
            await configuration.bump(connection)

    async def add(self, url: str, patterns: Sequence[str] = ("*",)) -> tuple[UUID, str]:
        """A webhook and its secret."""
        webhook_id, secret = ids.uuid7(), signatures.make_secret()
        async with self.town.pool.acquire() as connection, connection.transaction():
            made = await webhooks.insert(
                connection,
                self.town.account_id,
                webhooks.NewWebhook(webhook_id, url, patterns, VAULT.seal(secret)),
            )
        assert made is not None
        return webhook_id, secret

    async def get(self, webhook_id: UUID) -> webhooks.StoredWebhook:
        """How it stands."""
        async with self.town.pool.acquire() as connection:
            found = await webhooks.get(connection, self.town.account_id, webhook_id)
        assert found is not None
        return found

    async def change(self, webhook_id: UUID, *, state: str) -> None:
        """As its owner does."""
        async with self.town.pool.acquire() as connection, connection.transaction():
            assert await webhooks.change(
                connection, self.town.account_id, webhook_id, webhooks.WebhookPatch(state=state)
            )

    async def replay(self, webhook_id: UUID, after: int) -> None:
        """As its owner asks for."""
        async with self.town.pool.acquire() as connection, connection.transaction():
            assert await webhooks.replay(connection, self.town.account_id, webhook_id, after)

    async def tries(self, webhook_id: UUID) -> list[webhooks.StoredTry]:
        """What was tried, newest first."""
        async with self.town.pool.acquire() as connection:
            return await webhooks.tries(
                connection, self.town.account_id, webhook_id, 2**63 - 1, 1_000
            )

    async def logged(self) -> list[events.StoredEvent]:
        """The account's events."""
        async with self.town.pool.acquire() as connection:
            return await events.after(connection, self.town.account_id, 0, 1_000_000)

    @asynccontextmanager
    async def pushing(
        self, *, deadline_seconds: float = 1.0, secret_key: str = SECRET_KEY
    ) -> AsyncIterator[None]:
        """A pusher while the body runs."""
        chosen = app.Settings(
            database_url=self.database_url,
            secret_key=secret_key,
            webhook_deadline_seconds=deadline_seconds,
            webhook_look_seconds=0.02,
        )
        stop = asyncio.Event()
        async with app.serve(chosen, stop):
            yield
        assert not stop.is_set()
