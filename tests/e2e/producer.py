"""A producer as the README tells one to be written: send, then ask, or follow the events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp

from tests import fleet

PATIENCE_SECONDS = 30.0
EVENT_PAGE_COUNT = 100

Reply = tuple[int, Any]
"""An HTTP status and the JSON that came with it."""


class Producer:
    """One account's way into the platform."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(
        self, path: str, body: object, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """A POST of JSON."""
        async with self._session.post(path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str, **query: str) -> Reply:
        """A GET."""
        async with self._session.get(path, params=query) as answer:
            return answer.status, await answer.json(content_type=None)

    async def send(self, to: str, text: str, **fields: object) -> dict[str, Any]:
        """Send one message; the answer to its acceptance."""
        status, answer = await self.post("/v1/messages", {"to": to, "text": text, **fields})
        assert status == 202, answer
        return dict(answer)

    async def message(self, message_id: str) -> dict[str, Any]:
        """A message with its parts."""
        status, answer = await self.get(f"/v1/messages/{message_id}")
        assert status == 200, answer
        return dict(answer)

    async def balance(self) -> Decimal:
        """What the wallet holds."""
        _, answer = await self.get("/v1/balance")
        return Decimal(answer["amount"])

    async def until(self, message_id: str, *statuses: str) -> dict[str, Any]:
        """The message once it has one of these statuses."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = await self.message(message_id)
            if found["status"] in statuses:
                return found
            assert time.monotonic() < deadline, f"{found['status']}: {found['reason']}"
            await asyncio.sleep(0.05)

    async def events(self, after: str = "0") -> list[dict[str, Any]]:
        """Every event behind a cursor, page after page."""
        found: list[dict[str, Any]] = []
        while True:
            _, page = await self.get("/v1/events", after=after, limit=str(EVENT_PAGE_COUNT))
            found += page["events"]
            after = page["cursor"]
            if not page["events"]:
                return found

    async def statuses(self, message_id: str) -> list[str]:
        """The statuses a message was said to have, in order."""
        return [
            event["status"]
            for event in await self.events()
            if event.get("message_id") == message_id
        ]


@asynccontextmanager
async def producer(platform: fleet.Fleet, token: str) -> AsyncIterator[Producer]:
    """A producer with this token."""
    async with aiohttp.ClientSession(
        platform.environment["SLUICE_API_URL"],
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=10),
    ) as session:
        yield Producer(session)
