"""A client of Aircall's messaging calls, over running processes: it configures a number, sends, and
is called back about what becomes of it and about what phones write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import asyncpg

from tests import fleet
from tests.e2e import canary
from tests.receiver import Received, Receiver, receiving

NUMBER, PHONE = "+14155550100", "+14155550177"

ACCOUNT = f"""
[[account]]
name = "crm"
currency = "EUR"
consent = "own"
credit = "10"

[[line]]
account = "crm"
sender = "{NUMBER}"
name = "Desk"
kind = "long_code"
country = "US"
registration = {{ state = "approved", brand = "B1", campaign = "C1" }}

[egress]
allow = ["127.0.0.1:{{port}}"]
"""


async def test_a01_a_message_goes_out_and_an_answer_comes_in_over_http_and_a_callback(
    platform: fleet.Fleet,
) -> None:
    async with receiving() as receiver:
        # Given an account with a registered number, and a token with its id
        platform.apply(ACCOUNT.replace("{port}", str(receiver.port)))
        made = json.loads(platform.sluice("token", "create", "crm", "phone", "--json").stdout)
        root = f"http://127.0.0.1:{platform.ports['ingest']}/aircall"
        basic = {"Authorization": aiohttp.encode_basic_auth(str(made["id"]), made["token"])}
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(headers=basic, timeout=timeout) as client:
            assert await _ask(client, "GET", f"{root}/v1/ping") == {"ping": "pong"}
            (number,) = (await _ask(client, "GET", f"{root}/v1/numbers"))["numbers"]
            assert number["digits"] == "+1 415-555-0100"

            # When the number is configured, and a message sent
            path = f"{number['direct_link']}/messages"
            url = {"callbackUrl": receiver.url}
            configured = await _configured(client, f"{path}/configuration", url)
            word, answered = canary.make(), canary.make()
            wanted = {"to": PHONE, "body": f"Your table is booked: {word}."}
            sent = await _ask(client, "POST", f"{path}/send", wanted)
            assert sent["status"] == "pending"

            # Then its way to the phone is told, with the token, and where it ended
            await _until(lambda: _statuses(receiver, sent["id"]) >= {"sent", "delivered"})

            # When the phone writes back
            answer = {"from": PHONE, "to": NUMBER, "text": f"See you then, {answered}"}
            simulator = f"http://127.0.0.1:{platform.ports['simulator']}/inbound"
            async with client.post(simulator, json=answer) as taken:
                assert taken.status == 202
            await _until(lambda: bool(_of(receiver, "message.received")))

        # Then that is told too
        (arrived,) = _of(receiver, "message.received")
        data = arrived.body["data"]
        assert (data["body"], data["external_number"]) == (f"See you then, {answered}", PHONE)
        assert data["number"]["id"] == number["id"]
        assert {each.body["token"] for each in receiver.received} == {configured["token"]}
        verdict = platform.audit()
        assert verdict["ok"], [check for check in verdict["checks"] if check["breaches"]]

        # And once it was told, what was written is kept nowhere (A11)
        database = await asyncpg.connect(platform.servers.database_url, timeout=10)
        try:
            async with asyncio.timeout(10):
                while await database.fetchval("SELECT count(*) FROM sealed_texts"):
                    await asyncio.sleep(0.05)
            for each in (word, answered):
                assert await canary.in_tables(database, each) == []
        finally:
            await database.close(timeout=10)
        for log in platform.folder.glob("*.log"):
            told = log.read_text("utf-8")
            assert word not in told
            assert answered not in told


async def _ask(client: aiohttp.ClientSession, method: str, url: str, body: object = None) -> Any:
    async with client.request(method, url, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def _configured(client: aiohttp.ClientSession, url: str, body: object) -> Any:
    """The configuration, as soon as ingest knows that its URL is allowed."""
    async with asyncio.timeout(10):
        while True:
            async with client.post(url, json=body) as answer:
                if answer.status == 200:
                    return await answer.json()
            await asyncio.sleep(0.05)


def _of(receiver: Receiver, event: str) -> list[Received]:
    return [each for each in receiver.received if each.body["event_name"] == event]


def _statuses(receiver: Receiver, message_id: str) -> set[str]:
    told = [each.body["data"] for each in _of(receiver, "message.updated")]
    return {data["status"] for data in told if data["id"] == message_id}


async def _until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not check():
            await asyncio.sleep(0.02)
