"""What a running ingest does by itself now and then."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from deploy.local.servers import Servers
from services.ingest import app
from services.ingest.web import uses
from tests.integration.ingest.world import running

_LEFT = """
SELECT (SELECT count(*) FROM idempotency_keys),
       (SELECT count(*) FROM concatenations),
       (SELECT count(*) FROM tokens WHERE name = 'over'),
       (SELECT count(*) FROM tokens WHERE last_used_at IS NOT NULL)"""


async def test_what_is_over_is_forgotten_and_uses_are_written_down(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (app, "FORGET_KEYS_SECONDS"),
        (app, "FORGET_REFERENCES_SECONDS"),
        (app, "END_TOKENS_SECONDS"),
        (uses, "WRITE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.1)
    async with running(servers) as town:
        # given a key, a phone's count and a token whose time is over, and one that was used
        await town.pool.execute(
            "INSERT INTO idempotency_keys VALUES (1, 'old', '', 202, '', now() - interval '8 days')"
        )
        await town.pool.execute(
            "INSERT INTO concatenations VALUES ('+33612345678', 1, now() - interval '1 second')"
        )
        await town.new_token("alice", "over", good_for=timedelta(seconds=-1))
        await town.get("bob", "/v1/balance")
        # then soon the first three are gone, and the use of the last is known
        async with asyncio.timeout(10):
            while tuple(*await town.pool.fetch(_LEFT)) != (0, 0, 0, 1):
                await asyncio.sleep(0.05)
