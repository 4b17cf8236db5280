"""Carriers' HTTP calls, on a real socket and a real broker."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import aiohttp
import msgspec
import pytest
from aiohttp import web

from services.dlr import callbacks, inbound, interpreters, reading
from shared.broker import link, publish, topology
from shared.db import inbound as kept
from shared.web import addresses, server
from tests.integration.dlr import conftest, forgeries, world
from tests.keys import SEALS

REPORT = {"id": "abc-1", "state": "DELIVRD", "code": "000"}
REPORTS = msgspec.json.encode({"reports": [REPORT]})
JSON = {"Content-Type": "application/json"}
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
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


@asynccontextmanager
async def opened(
    town: world.World,
    readers: interpreters.Interpreters,
    broker: conftest.Broker,
    proxies: addresses.Proxies | None = None,
) -> AsyncIterator[Door]:
    """The door, perhaps behind proxies."""
    publisher = publish.Publisher(
        broker.gated_url, "test", lambda: (topology.RECEIPTS,), _nothing_lost
    )
    app: web.Application = callbacks.Callbacks(
        readers, publisher, partial(inbound.keep, town.pool, SEALS), proxies
    ).application()
    async with AsyncExitStack() as parts:
        await parts.enter_async_context(link.supervised(publisher.link))
        assert await publisher.link.wait_up(10)
        port = await parts.enter_async_context(server.listening(app, "127.0.0.1", 0))
        client = await parts.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
        yield Door(client, port, broker)


@pytest.fixture
async def door(
    town: world.World, readers: interpreters.Interpreters, broker: conftest.Broker
) -> AsyncIterator[Door]:
    async with opened(town, readers, broker) as found:
        yield found


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
    ("/carriers/acme/receipts", {}, 404),
    ("/carriers/acme/receipts/wrong", {}, 404),
    ("/carriers/acme/receipts/%00", {}, 404),
    ("/carriers/acme/receipts/%ff%fe", {}, 404),
    ("/carriers/sealed/receipts", {}, 404),
    ("/carriers/sealed/receipts", {"X-Signature": "0" * 64}, 404),
    ("/carriers/sealed/receipts", {"X-Signature": "\xff"}, 404),
    ("/carriers/sealed/receipts", _signed(REPORTS, "guessed"), 404),
    ("/carriers/sealed/receipts", _signed(b"another body"), 404),
    (f"/carriers/sealed/receipts/{world.HMAC_SECRET}", {}, 404),
    (f"/carriers/nobody/receipts/{world.SECRET}", {}, 404),
    (f"/carriers/bound/receipts/{world.SECRET}", {}, 404),
    (PATH, {"Content-Encoding": "gzip"}, 415),
    ("/carriers/acme", {}, 404),
)


async def test_a_forged_call_is_refused_and_nothing_is_published(door: Door) -> None:
    for path, headers, status in FORGERIES:
        answered, problem, response = await door.post(path, REPORTS, headers)

        assert (answered, problem["status"]) == (status, status), (path, headers)
        assert problem["type"] == f"urn:sluice:problem:{problem['code']}"
        assert world.SECRET not in str(problem)
        assert response.content_type == "application/problem+json"
    assert await door.broker.take() == []


@pytest.mark.parametrize(
    ("paths", "headers"),
    [
        ([f"/carriers/{name}/receipts/x" for name in ("acme", "sealed", "bound", "nobody")], {}),
        ([f"/carriers/{name}/receipts" for name in ("acme", "sealed", "bound", "nobody")], {}),
        (
            [f"/carriers/{name}/receipts" for name in ("sealed", "nobody")],
            {"X-Signature": "0" * 64},
        ),
    ],
    ids=["wrong secret", "no proof", "wrong signature"],
)
async def test_carriers_names_cannot_be_tried_out(
    door: Door, paths: list[str], headers: dict[str, str]
) -> None:
    answers = [(await door.post(path, REPORTS, headers))[:2] for path in paths]

    assert [status for status, _ in answers] == [404] * len(paths)
    assert all(answer == answers[0] for answer in answers)


async def test_where_a_call_comes_from_is_taken_from_a_trusted_proxy_alone(
    town: world.World, readers: interpreters.Interpreters, broker: conftest.Broker
) -> None:
    # Given a carrier that calls from 127.0.0.1, whose proof is right
    call = forgeries.valid("asking", "abc-1")

    async def told(door: Door, said: str) -> int:
        headers = {**call.headers, "X-Forwarded-For": said}
        async with door.client.get(call.path, headers=headers) as response:
            return response.status

    # Then what the header says counts behind a proxy of ours, and not otherwise
    async with opened(town, readers, broker, addresses.Proxies(["127.0.0.0/8"])) as behind:
        assert await told(behind, "203.0.113.9") == 404
        assert await told(behind, "203.0.113.9, 127.0.0.1") == 404
        assert await told(behind, "127.0.0.1") == 200
    async with opened(town, readers, broker) as bare:
        assert await told(bare, "203.0.113.9") == 200


async def test_a_carrier_that_asks_is_told_its_method_once_it_has_proved_itself(
    door: Door,
) -> None:
    call = forgeries.valid("asking", "abc-1")
    for headers, status, allow in ((call.headers, 405, "GET"), ({}, 404, None)):
        async with door.client.post(call.path, headers=headers) as response:
            problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["status"]) == (status, status)
        assert response.headers.get("Allow") == allow
    async with door.client.get(call.path, headers=call.headers) as response:
        assert response.status == 200
    assert len(await door.broker.take()) == 1


# Before the caller is known ----------------------------------------------------------------------


async def _begin(door: Door, path: str, body: bytes, sent: int, headers: str = "") -> Stream:
    """A call of which only so many bytes of the body are sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body[:sent]
    )
    await writer.drain()
    return reader, writer


async def _status(reader: asyncio.StreamReader) -> int:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 8)
    return int(head.split()[1])


@pytest.mark.parametrize("name", ["acme", "sealed", "nobody"])
async def test_no_body_is_read_when_the_path_s_secret_is_wrong(door: Door, name: str) -> None:
    # Given a call with a wrong secret, of whose body nothing comes
    body = b" " * reading.BODY_MAX_BYTES
    reader, writer = await _begin(door, f"/carriers/{name}/receipts/wrong", body, sent=0)

    # Then it is answered all the same
    assert await _status(reader) == 404
    writer.close()


async def test_a_signed_call_is_taken_when_others_hold_bodies_back_in_its_name(door: Door) -> None:
    # Given more calls in the carrier's name than are read at a time, all of which stop half-way
    path, body = "/carriers/sealed/receipts", msgspec.json.encode(REPORT)
    count = reading.UNPROVEN_COUNT_MAX
    held = [await _begin(door, path, b" " * 1_000, sent=10) for _ in range(count)]
    proof = f"X-Signature: {_signed(body)['X-Signature']}\r\n"

    # When the carrier calls, and its body comes a moment after the head
    reader, writer = await _begin(door, path, body, sent=0, headers=proof)
    assert await _status(held[0][0]) == 503
    writer.write(body)

    # Then it is taken, and who took longest has made room
    assert await _status(reader) == 200
    assert len(await door.broker.take()) == 1
    for _, opened in [*held, (reader, writer)]:
        opened.close()


async def test_what_is_no_call_is_answered_with_a_problem(door: Door) -> None:
    for method, path, status in (("GET", PATH, 405), ("PUT", PATH, 405), ("POST", "/x", 404)):
        async with door.client.request(method, path) as answer:
            problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["status"]) == (status, status)


async def test_a_call_is_refused_when_no_receipt_can_be_read_from_it(door: Door) -> None:
    for body in (b"", b"{", b"[]", b"null", b"{}", b'{"reports":[{}]}', b"\xff", b"[" * 5_000):
        status, problem, _ = await door.post(PATH, body)

        assert (status, problem["status"]) == (400, 400), body[:20]
    assert await door.broker.take() == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_refused_when_it_is_one_byte_too_long(door: Door, chunked: bool) -> None:
    limit = reading.BODY_MAX_BYTES
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
    assert int(response.headers["Retry-After"]) == reading.RETRY_AFTER_SECONDS
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


INBOUND = {"mid": "m-1", "msisdn": "+33612345678", "short": "36180", "content": "STOP"}
INBOUND_PATH = f"/carriers/acme/inbound/{world.SECRET}"


async def _texts_of(town: world.World) -> list[str | None]:
    async with town.pool.acquire() as connection:
        return [each.body for each in await kept.of_nobody(connection, 100)]


async def test_what_phones_send_is_stored_when_a_call_was_answered_and_once_if_it_is_repeated(
    door: Door, town: world.World
) -> None:
    body = msgspec.json.encode(INBOUND)
    for _ in range(2):
        status, _, _ = await door.post(INBOUND_PATH, body)
        assert status == 200
    assert await _texts_of(town) == ["STOP"]
    # And the same text of another name is another message
    status, _, _ = await door.post(INBOUND_PATH, msgspec.json.encode({**INBOUND, "mid": "m-2"}))
    assert status == 200
    assert await _texts_of(town) == ["STOP", "STOP"]
    assert await door.broker.take() == []


async def test_what_phones_send_is_believed_of_a_carrier_that_proves_itself_only(
    door: Door, town: world.World
) -> None:
    body = msgspec.json.encode(INBOUND)
    for path in ("/carriers/acme/inbound", "/carriers/acme/inbound/wrong", "/carriers/x/inbound"):
        status, problem, _ = await door.post(path, body)
        assert (status, problem["code"]) == (404, "not_found")
    # Nor of one that is not set up for it
    status, _, _ = await door.post("/carriers/sealed/inbound", body, _signed(body))
    assert status == 404
    assert await _texts_of(town) == []


async def test_a_call_is_to_be_repeated_when_what_phones_sent_cannot_be_stored(
    door: Door, town: world.World
) -> None:
    async with town.pool.acquire() as opened, opened.transaction():
        await opened.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await opened.execute("LOCK TABLE inbound_seen IN ACCESS EXCLUSIVE MODE")
        status, problem, response = await door.post(INBOUND_PATH, msgspec.json.encode(INBOUND))
        assert (status, problem["code"]) == (503, "unavailable")
        assert int(response.headers["Retry-After"]) >= 1
    status, _, _ = await door.post(INBOUND_PATH, msgspec.json.encode(INBOUND))
    assert status == 200
    assert await _texts_of(town) == ["STOP"]
