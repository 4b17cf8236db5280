"""A11: a text that is not to be kept is nowhere: not while it is on its way, and not after that."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import asyncpg
import pytest

from deploy.local.servers import Servers
from shared.access.keys import Keys
from shared.access.seals import Seals
from shared.db import sealed_texts
from tests import fleet
from tests.e2e import canary
from tests.e2e.places import NOWHERE, look
from tests.e2e.producer import Producer

NUMBER = "+33698765432"
"""A number that phones write to."""
CHANGE_SECONDS = 2.5
"""Until every process knows of a changed account."""
QUIET_SECONDS = 2.0
"""How long a text waits to be looked for on its way."""
LONG = "{0} and a counter that is open from nine to five, with {0} in every part; " * 4


@pytest.fixture(scope="module", autouse=True)
def number(platform: fleet.Fleet) -> None:
    """A number of the shop."""
    line = fleet.line("shop", NUMBER, limits=(1000, 1000, 1000))
    platform.apply(line.replace('"alphanumeric"', '"mobile"'), response_seconds=3.0)


@pytest.fixture
async def database(platform: fleet.Fleet) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(platform.servers.database_url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


@pytest.fixture
async def unkept(database: asyncpg.Connection) -> AsyncIterator[None]:
    """The shop keeps no texts meanwhile."""
    change = """
WITH changed AS (UPDATE accounts SET store_body = $1 WHERE name = 'shop')
UPDATE configuration_version SET version = version + 1"""
    await database.execute(change, False)
    await asyncio.sleep(CHANGE_SECONDS)
    yield
    await database.execute(change, True)
    await asyncio.sleep(CHANGE_SECONDS)


async def seals_count(database: asyncpg.Connection) -> int:
    return int(await database.fetchval("SELECT count(*) FROM sealed_texts"))


@pytest.mark.parametrize("text", ["Your code is {}", LONG], ids=["one part", "many parts"])
async def test_a11_a_text_on_its_way_is_sealed_and_then_nowhere(
    servers: Servers, platform: fleet.Fleet, shop: Producer, database: asyncpg.Connection, text: str
) -> None:
    # Given a message that waits for its time, and whose text is not to be kept
    word, to = canary.make(), "+33612345301"
    whole = text.format(word)
    due = datetime.now(UTC) + timedelta(seconds=QUIET_SECONDS)
    key = {"Idempotency-Key": f"order-{word[:4]}"}
    body = {"to": to, "text": whole, "send_at": due.isoformat(), "store_body": False}
    status, accepted = await shop.post("/v1/messages", body, key)
    assert status == 202, accepted

    # Then it is there, for it will be sent, but sealed
    assert await seals_count(database) == 1
    assert await look(servers, platform, database, word) == NOWHERE

    # When it has arrived
    message = await shop.until(accepted["id"], "delivered")
    (*_, last) = [entry for entry in platform.journal() if entry["recipient"] == to]
    assert last["whole"] == whole
    assert message["body_stored"] is False

    # Then the key is gone, and nothing that is left opens with the platform's
    assert await seals_count(database) == 0
    opener = Seals(Keys.read(platform.environment["SLUICE_SECRET_KEY"]))
    subject_ids = [row[0] for row in await database.fetch("SELECT message_id FROM messages")]
    assert await sealed_texts.opened(database, opener, subject_ids) == {}
    assert await look(servers, platform, database, word) == NOWHERE

    # And a repetition has the same answer, and tells nothing either
    assert (await shop.post("/v1/messages", body, key))[1]["id"] == accepted["id"]
    assert await look(servers, platform, database, word) == NOWHERE


async def test_a11_the_same_search_finds_a_text_that_is_kept(
    servers: Servers, platform: fleet.Fleet, shop: Producer, database: asyncpg.Connection
) -> None:
    word = canary.make()

    accepted = await shop.send("+33612345302", f"Your code is {word}", store_body=True)
    message = await shop.until(accepted["id"], "delivered")

    place = await look(servers, platform, database, word)
    assert message["body_stored"] is True
    assert place.tables == ["messages"]
    assert any("base" in name for name in place.files)
    assert any("pg_wal" in name for name in place.files)
    assert place.elsewhere == []


async def test_a11_what_a_phone_sends_is_sealed_until_it_is_handed_over(
    servers: Servers,
    platform: fleet.Fleet,
    shop: Producer,
    database: asyncpg.Connection,
    unkept: None,
) -> None:
    # When a phone writes to an account that keeps no texts, in several parts
    word = canary.make()
    text = LONG.format(word)
    sent = {"from": "+33612345303", "to": NUMBER, "text": text}
    url = f"http://127.0.0.1:{platform.ports['simulator']}/inbound"
    async with aiohttp.ClientSession() as session, session.post(url, json=sent) as answer:
        assert answer.status == 202, await answer.text()
    _, page = await shop.get("/v1/inbound", after="0", wait="20")

    # Then its account can read it, and it is nowhere else
    (message,) = page["inbound"]
    assert (message["text"], message["body_stored"]) == (text, False)
    assert await seals_count(database) == 1
    assert await look(servers, platform, database, word) == NOWHERE

    # When its day is over
    await database.execute("UPDATE sealed_texts SET until = now() - interval '1 second'")
    async with asyncpg.create_pool(platform.servers.database_url, min_size=1, max_size=1) as opened:
        await sealed_texts.sweep(opened, Seals(Keys.read("a key of nobody's that is long enough")))

    # Then nobody reads it any more
    _, page = await shop.get("/v1/inbound", after="0")
    assert [each["text"] for each in page["inbound"]] == [None]
    assert await seals_count(database) == 0
    assert await look(servers, platform, database, word) == NOWHERE


async def test_a11_a_phones_number_is_in_no_log_metric_or_limit(
    servers: Servers, platform: fleet.Fleet, shop: Producer, database: asyncpg.Connection
) -> None:
    digits = f"3361{secrets.randbelow(10**4):04}301"

    accepted = await shop.send(f"+{digits}", "Your parcel is here.", store_body=False)
    await shop.until(accepted["id"], "delivered")

    # Then it is kept with the message and its receipt, for the retention, and told nowhere
    place = await look(servers, platform, database, digits)
    assert set(place.tables) <= {"messages", "receipts", "receipt_pages"}
    assert place.elsewhere == []


def test_the_search_knows_each_way_of_writing() -> None:
    word = "canary"
    written = {
        "utf-8": f"a {word} b".encode(),
        "utf-16": f"a {word} b".encode("utf-16-be"),
        "hex": f"a {word} b".encode().hex().encode(),
        "packed, hello": bytes.fromhex("e8329bfd06"),
    }
    assert any(form in written["packed, hello"] for form in canary.forms("hello"))
    del written["packed, hello"]
    for how, octets in written.items():
        assert any(form in octets for form in canary.forms(word)), how
    for shift in range(3):
        octets = base64.b64encode(b"x" * shift + word.encode() + b" and more")
        assert any(form in octets for form in canary.forms(word)), shift
