"""Carriers' HTTP calls, on a real socket and a real broker."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import msgspec
import pytest
from aiohttp import web

from services.dlr import callbacks, interpreters
from shared.broker import link, publish, topology
from shared.web import server
from tests.integration.dlr import conftest, world

REPORT = {"id": "abc-1", "state": "DELIVRD", "code": "000"}
REPORTS = msgspec.json.encode({"reports": [REPORT]})
JSON = {"Content-Type": "application/json"}
PATH = f"/carriers/acme/receipts/{world.SECRET}"


async def _nothing_lost(_queue: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Door:
    """The callbacks' own HTTP face, without the rest of dlr, so that what it publishes stays in
    the queue to be looked at."""

    client: aiohttp.ClientSession
    port: int
    broker: conftest.Broker

    async def post(
        self, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, object], aiohttp.ClientResponse]:
        """The status, the problem if it is one, and all the rest."""
        sent = {**JSON, **(headers or {})}
        async with self.client.post(path, data=body, headers=sent) as response:
            content = await response.read()
            problem: dict[str, object] = {}
            if response.content_type == "application/problem+json":
                problem = msgspec.json.decode(content, type=dict[str, object])
            return response.status, problem, response


@pytest.fixture
async def door(readers: interpreters.Interpreters, broker: conftest.Broker) -> AsyncIterator[Door]:
    publisher = publish.Publisher(
        broker.gated_url, "test", lambda: (topology.RECEIPTS,), _nothing_lost
    )
    app: web.Application = callbacks.Callbacks(readers, publisher).application()
    async with AsyncExitStack() as parts:
        await parts.enter_async_context(link.supervised(publisher.link))
        assert await publisher.link.wait_up(10)
        port = await parts.enter_async_context(server.listening(app, "127.0.0.1", 0))
        client = await parts.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
        yield Door(client, port, broker)


def _signed(body: bytes, secret: str = world.HMAC_SECRET) -> dict[str, str]:
    return {"X-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


async def test_receipts_are_in_the_queue_when_a_call_was_answered(
    door: Door, town: world.World
) -> None:
    body = msgspec.json.encode({"reports": [REPORT, {**REPORT, "id": "abc-2"}]})

    status, _, _ = await door.post(PATH, body)

    taken = await door.broker.take()
    assert status == 200
    assert {receipt.carrier_id for receipt in taken} == {town.carrier_ids["acme"]}
    assert [msgspec.json.decode(receipt.body)["id"] for receipt in taken] == ["abc-1", "abc-2"]


async def test_a_signed_call_is_taken_when_its_signature_is_over_its_bytes(door: Door) -> None:
    body = msgspec.json.encode(REPORT)

    status, _, _ = await door.post("/carriers/sealed/receipts", body, _signed(body))

    assert status == 200
    assert len(await door.broker.take()) == 1


async def test_concurrent_calls_share_envelopes(door: Door) -> None:
    answers = await asyncio.gather(*(door.post(PATH, REPORTS) for _ in range(60)))

    assert {status for status, _, _ in answers} == {200}
    assert await door.broker.count(topology.RECEIPTS) < 60
    assert len({receipt.receipt_id for receipt in await door.broker.take()}) == 60


FORGERIES: tuple[tuple[str, dict[str, str], int], ...] = (
    ("/carriers/acme/receipts", {}, 401),
    ("/carriers/acme/receipts/wrong", {}, 403),
    ("/carriers/acme/receipts/%00", {}, 403),
    ("/carriers/acme/receipts/%ff%fe", {}, 403),
    ("/carriers/sealed/receipts", {}, 401),
    ("/carriers/sealed/receipts", {"X-Signature": "0" * 64}, 403),
    ("/carriers/sealed/receipts", {"X-Signature": "\xff"}, 403),
    ("/carriers/sealed/receipts", _signed(REPORTS, "guessed"), 403),
    ("/carriers/sealed/receipts", _signed(b"another body"), 403),
    (f"/carriers/sealed/receipts/{world.HMAC_SECRET}", {}, 401),
    (f"/carriers/nobody/receipts/{world.SECRET}", {}, 404),
    (f"/carriers/bound/receipts/{world.SECRET}", {}, 404),
    (PATH, {"Content-Encoding": "gzip"}, 415),
)


async def test_a_forged_call_is_refused_and_nothing_is_published(door: Door) -> None:
    for path, headers, status in FORGERIES:
        answered, problem, response = await door.post(path, REPORTS, headers)

        assert (answered, problem["status"]) == (status, status), (path, headers)
        assert problem["type"] == f"urn:sluice:problem:{problem['code']}"
        assert world.SECRET not in str(problem)
        assert response.content_type == "application/problem+json"
    assert await door.broker.take() == []


async def test_a_carrier_that_does_not_call_looks_like_one_that_does_not_exist(
    door: Door,
) -> None:
    answers = [
        await door.post(f"/carriers/{name}/receipts/x", REPORTS) for name in ("bound", "nobody")
    ]

    assert answers[0][:2] == answers[1][:2]


async def test_a_call_is_refused_when_no_receipt_can_be_read_from_it(door: Door) -> None:
    for body in (b"", b"{", b"[]", b"null", b"{}", b'{"reports":[{}]}', b"\xff", b"[" * 5_000):
        status, problem, _ = await door.post(PATH, body)

        assert (status, problem["status"]) == (400, 400), body[:20]
    assert await door.broker.take() == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_refused_when_it_is_one_byte_too_long(door: Door, chunked: bool) -> None:
    limit = callbacks.BODY_MAX_BYTES
    fitting = REPORTS.ljust(limit)

    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 32_768):
            yield body[start : start + 32_768]

    statuses = []
    for body in (fitting, fitting + b" "):
        data = pieces(body) if chunked else body
        async with door.client.post(PATH, data=data, headers=JSON) as response:
            statuses.append(response.status)

    assert statuses == [200, 413]
    assert len(await door.broker.take()) == 1


async def test_the_carrier_is_asked_to_repeat_when_the_broker_is_away(door: Door) -> None:
    door.broker.gate.shut()
    status, problem, response = await door.post(PATH, REPORTS)
    nothing = await door.broker.take()
    door.broker.gate.reopen()

    async def repeated_well() -> bool:
        return (await door.post(PATH, REPORTS))[0] == 200

    await world.eventually(repeated_well)
    assert (status, problem["status"]) == (503, 503)
    assert int(response.headers["Retry-After"]) == callbacks.RETRY_AFTER_SECONDS
    assert nothing == []
    assert len(await door.broker.take()) == 1


async def test_a_message_is_delivered_when_its_carrier_calls_a_whole_dlr(
    town: world.World, service: conftest.Service
) -> None:
    [message_id] = await town.submit(1)
    report = {"id": world.carrier_name_of(message_id), "state": "delivrd", "code": "000"}

    async with service.client.post(PATH, json={"reports": [report]}) as response:
        assert response.status == 200

    async def is_delivered() -> bool:
        return await town.status(message_id) == "delivered"

    await world.eventually(is_delivered)


async def test_bytes_that_are_no_text_are_refused_like_any_other_forgery(door: Door) -> None:
    for head in (
        b"POST /carriers/sealed/receipts HTTP/1.1\r\nX-Signature: \xff\xfe\r\n",
        b"POST /carriers/acme/receipts/\xff HTTP/1.1\r\n",
        b"POST /carriers/\xff/receipts HTTP/1.1\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(head + b"Host: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

        assert 400 <= int(answer.split()[1]) < 500, head
