"""From the first owner to a deleted token, by the command and the API, in processes that run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import pytest

from deploy.local.servers import Servers
from tests import fleet
from tests.e2e.places import NOWHERE, look
from tests.ports import free_port


@pytest.fixture
async def second(platform: fleet.Fleet) -> AsyncIterator[aiohttp.ClientSession]:
    """Another process of ingest."""
    port = free_port()
    platform.start("ingest", "second", SLUICE_INGEST_PORT=str(port))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            async with asyncio.timeout(fleet.READY_SECONDS):
                while not await _is_ready(client):
                    await asyncio.sleep(0.05)
            yield client
    finally:
        platform.retire("second")


async def _is_ready(client: aiohttp.ClientSession) -> bool:
    try:
        async with client.get("/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _status(client: aiohttp.ClientSession, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with client.get("/v1/account", headers=headers) as answer:
        return answer.status


async def test_m16_m19_a_token_and_a_password_are_nowhere_and_a_deleted_token_opens_no_process(
    servers: Servers, platform: fleet.Fleet, second: aiohttp.ClientSession
) -> None:
    # Given the first owner, as an operator makes one
    made = json.loads(
        platform.sluice(
            "user", "add", "shop", "ann@shop.example", "--role", "owner", "--json"
        ).stdout
    )
    url = f"http://127.0.0.1:{platform.ports['ingest']}"
    async with aiohttp.ClientSession(url) as first:
        # When that one signs in, makes a token and sends with it, at two processes
        body = {"account": "shop", "email": "ann@shop.example", "password": made["password"]}
        async with first.post("/v1/sessions", json=body) as answer:
            assert answer.status == 201, await answer.text()
            session = (await answer.json())["token"]
        owner = {"Authorization": f"Bearer {session}"}
        body = {"name": "till", "scopes": ["read", "send"]}
        async with second.post("/v1/tokens", json=body, headers=owner) as answer:
            assert answer.status == 201, await answer.text()
            token = await answer.json()
        value = token["token"]
        own = {"Authorization": f"Bearer {value}"}
        message = {"to": "+33612345678", "text": "Hello"}
        async with first.post("/v1/messages", json=message, headers=own) as answer:
            assert answer.status == 202, await answer.text()
        wrong = {"account": "shop", "email": "ann@shop.example", "password": f"{made['password']}!"}
        async with first.post("/v1/sessions", json=wrong) as answer:
            assert answer.status == 401
        assert [await _status(client, value) for client in (first, second)] == [200, 200]

        # And deletes it at one of them
        loop = asyncio.get_running_loop()
        async with first.delete(f"/v1/tokens/{token['id']}", headers=owner) as answer:
            assert answer.status == 204
        deleted_at = loop.time()

        # Then nothing that begins a second later is served by either
        served_at = deleted_at
        while (began_at := loop.time()) < deleted_at + 1.2:
            for client in (first, second):
                if await _status(client, value) == 200:
                    served_at = max(served_at, began_at)
            await asyncio.sleep(0.02)
        assert served_at < deleted_at + 1.0
        assert [await _status(client, value) for client in (first, second)] == [401, 401]

    # And none of the secrets is in a table, a file of a server, a log, a metric or in Redis
    connection = await asyncpg.connect(platform.servers.database_url, timeout=10)
    try:
        for secret in (value, session, made["password"]):
            assert await look(servers, platform, connection, secret) == NOWHERE
    finally:
        await connection.close(timeout=10)
