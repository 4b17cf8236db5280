"""One fleet a module, in a database of its own on the session's servers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import redis

from deploy.local import kept
from deploy.local.servers import Servers
from tests import fleet
from tests.e2e import producer
from tests.servers import in_database

CALLBACK_KEY = "a key for callbacks"
VENDOR_LOGIN = "sluice:vendor_key_of_practice"

WEB_CARRIER = """
[[carrier]]
name = "web"
adapter = "http"
url = "http://127.0.0.1:{simulator_port}/http/messages"
headers = {{ Authorization = "Bearer {{secret.token}}" }}
secrets = {{ token = "practice" }}
id_path = "id"
error_path = "error"

[carrier.body]
to = "{{recipient}}"
from = "{{source}}"
payload_hex = "{{payload_hex}}"
udh_hex = "{{udh_hex}}"
encoding = "{{encoding}}"

[carrier.callback]
auth = "hmac"
secret = "{key}"
id_field = "id"
state_field = "status"
code_field = "error"
states = {{ DELIVRD = "delivered", UNDELIV = "undelivered", REJECTD = "rejected" }}

[[route]]
country = "GB"
carrier = "web"
priority = 1
"""


@pytest.fixture(scope="module")
def platform(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[fleet.Fleet]:
    """One process of each role; accounts `shop` and `rival`; SMPP everywhere, HTTP to GB."""
    folder = tmp_path_factory.mktemp("platform")
    with redis.Redis.from_url(servers.redis_url) as limiter:
        limiter.flushdb()
    name = f"{folder.name}_{_RUN}"
    asyncio.run(_execute(servers.database_url, f'CREATE DATABASE "{name}"'))
    urls = {**servers.urls, kept.OWNER_URL: servers.database_url}
    given = urls | {
        variable: in_database(urls[variable], name)
        for variable in ("SLUICE_DATABASE_URL", kept.OWNER_URL)
    }
    with fleet.fleet(Servers(folder, given), folder) as running:
        running.environment |= {
            "SLUICE_SIMULATOR_SYSTEM_ID": "sluice",
            "SLUICE_SIMULATOR_CALLBACK_URL": (
                f"http://127.0.0.1:{running.ports['dlr']}/carriers/web/receipts"
            ),
            "SLUICE_SIMULATOR_CALLBACK_SECRET": CALLBACK_KEY,
            "SLUICE_SIMULATOR_VENDOR_INBOUND_URL": (
                f"http://{VENDOR_LOGIN}@127.0.0.1:{running.ports['dlr']}"
                "/carriers/{vendor}/inbound"
            ),
        }
        web = WEB_CARRIER.format(simulator_port=running.ports["simulator"], key=CALLBACK_KEY)
        running.apply(fleet.account("shop") + fleet.account("rival") + web, response_seconds=3.0)
        asyncio.run(running.start_all())
        yield running
    asyncio.run(_execute(servers.database_url, f'DROP DATABASE "{name}"'))


_RUN = uuid.uuid4().hex[:8]


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement, timeout=30)
    finally:
        await connection.close(timeout=10)


@pytest.fixture(scope="module")
def tokens(platform: fleet.Fleet) -> dict[str, str]:
    """A token of each account."""
    return {name: platform.token(name) for name in ("shop", "rival")}


@pytest.fixture
async def shop(platform: fleet.Fleet, tokens: dict[str, str]) -> AsyncIterator[producer.Producer]:
    """The producer most tests are about."""
    async with producer.producer(platform, tokens["shop"]) as client:
        yield client


@pytest.fixture
async def rival(platform: fleet.Fleet, tokens: dict[str, str]) -> AsyncIterator[producer.Producer]:
    """Another account's producer."""
    async with producer.producer(platform, tokens["rival"]) as client:
        yield client
