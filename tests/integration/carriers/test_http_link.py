"""The HTTP adapter's link against a scripted web server, and against bare sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import msgspec
import pytest
from aiohttp import web

from shared.carriers import contract, outcomes, registry
from tests.integration.carriers import segments

Kind = outcomes.OutcomeKind
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def web_of(handler: Handler) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(
        application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/send"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def socket_of(script: Script) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads a request's head and does what it likes; and the heads it read."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head)
                await script(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/send", heads
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def link_to(url: str, **values: object) -> AsyncIterator[contract.Link]:
    described = {
        "url": url,
        "headers": {"Authorization": "Bearer {secret.key}"},
        "secrets": {"key": "hunter2"},
        "body": {"to": "{recipient}", "text": "{text}", "part": "{part}"},
        "id_path": "messages.0.id",
        "error_path": "error.code",
        "rejected_codes": ["bad_number"],
        "throttled_codes": ["slow"],
        "deferred_codes": ["absent"],
        "elsewhere_codes": ["no_route", "422"],
        "halted_codes": ["no_credit"],
        "timeout_seconds": 5,
    }
    settings = registry.settings("http", described | values)
    link = registry.adapter("http").open_link("acme", settings, segments.Sink(), segments.Inbox())
    try:
        yield link
    finally:
        await link.close(1)


async def outcome(link: contract.Link, segment: contract.Segment) -> outcomes.Outcome:
    return await asyncio.wait_for(segments.submit(link, segment), 10)


ACCEPTED = {"messages": [{"id": "m-1"}]}


@pytest.mark.parametrize(
    ("status", "answer", "kind", "code"),
    [
        (200, ACCEPTED, Kind.ACCEPTED, ""),
        (202, {"messages": [{"id": 17}]}, Kind.ACCEPTED, ""),
        (200, {**ACCEPTED, "error": {"code": 0}}, Kind.ACCEPTED, "0"),
        (200, {"error": {"code": "bad_number"}}, Kind.REJECTED, "bad_number"),
        (200, {"error": {"code": "unheard_of"}}, Kind.REJECTED, "unheard_of"),
        (200, {"error": {"code": "slow"}}, Kind.THROTTLED, "slow"),
        (200, {}, Kind.LOST, ""),
        (200, [], Kind.LOST, ""),
        (200, {"messages": [{"id": "x" * 200}]}, Kind.LOST, ""),
        (204, ACCEPTED, Kind.REJECTED, "204"),
        (302, ACCEPTED, Kind.REJECTED, "302"),
        (400, {"error": {"code": "slow"}}, Kind.THROTTLED, "slow"),
        (400, {}, Kind.REJECTED, "400"),
        (401, {}, Kind.HALTED, "401"),
        (402, {}, Kind.HALTED, "402"),
        (403, {}, Kind.HALTED, "403"),
        (403, {"error": {"code": "bad_number"}}, Kind.REJECTED, "bad_number"),
        (407, {}, Kind.HALTED, "407"),
        (400, {"error": {"code": "absent"}}, Kind.DEFERRED, "absent"),
        (400, {"error": {"code": "no_route"}}, Kind.ELSEWHERE, "no_route"),
        (200, {"error": {"code": "no_credit"}}, Kind.HALTED, "no_credit"),
        (422, {}, Kind.ELSEWHERE, "422"),
        (404, {}, Kind.REJECTED, "404"),
        (408, {}, Kind.LOST, ""),
        (422, {"error": {"code": "x\ny\u00e9"}}, Kind.REJECTED, "x?y?"),
        (429, {}, Kind.THROTTLED, "429"),
        (500, {}, Kind.LOST, ""),
        (500, {"error": {"code": "bad_number"}}, Kind.REJECTED, "bad_number"),
        (502, {}, Kind.LOST, ""),
        (503, {}, Kind.THROTTLED, "503"),
        (504, {}, Kind.LOST, ""),
    ],
)
async def test_every_answer_has_its_outcome(
    status: int, answer: object, kind: outcomes.OutcomeKind, code: str
) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(answer, status=status, headers={"Location": "/elsewhere"})

    async with web_of(handler) as url, link_to(url) as link:
        said = await outcome(link, segments.segment())
    assert said.kind is kind
    assert said.code == code


async def test_the_request_looks_as_the_settings_describe_it() -> None:
    seen: list[tuple[str, str, object, str]] = []

    async def handler(request: web.Request) -> web.Response:
        body = await request.json() if request.content_type == "application/json" else None
        form = dict(await request.post()) if body is None else body
        seen.append((request.method, request.path_qs, form, request.headers["Authorization"]))
        return web.json_response(ACCEPTED)

    part = segments.segments(text="ä&=? " * 60)[1]
    async with web_of(handler) as url:
        async with link_to(url) as link:
            await outcome(link, part)
        form = {"to": "{recipient_digits}", "udh": "{udh_hex}", "n": "{part}/{part_count}"}
        async with link_to(url, body_kind="form", body=form) as link:
            await outcome(link, part)
        async with link_to(url + "?t={text}&k={secret.key}", method="GET") as link:
            await outcome(link, part)
    json, posted, got = seen
    assert json[2] == {"to": "+33612340000", "text": part.text, "part": 2}
    assert posted[2] == {"to": "33612340000", "udh": part.udh.hex(), "n": f"2/{part.part_count}"}
    assert got[0] == "GET"
    assert got[1].startswith("/send?t=")
    assert got[1].endswith("&k=hunter2")
    assert {each[3] for each in seen} == {"Bearer hunter2"}


@pytest.mark.parametrize(
    ("header", "low_ms", "high_ms"),
    [
        ("1", 1000, 1000),
        ("nonsense", 0, 0),
        ("-5", 0, 0),
        ("99999999999", 86_400_000, 86_400_000),
        ("date", 1_000, 61_000),
    ],
)
async def test_the_carrier_s_wish_is_kept_when_it_throttles(
    header: str, low_ms: int, high_ms: int
) -> None:
    wish = formatdate(time.time() + 60, usegmt=True) if header == "date" else header

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": wish})

    async with web_of(handler) as url, link_to(url) as link:
        said = await outcome(link, segments.segment())
        assert low_ms <= said.retry_after_ms <= high_ms
        assert link.room == 0
        assert link.connected


async def test_nothing_was_sent_when_the_other_side_does_not_speak_tls() -> None:
    async def close(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.close()

    secure = {"timeout_seconds": 0.5}
    async with (
        socket_of(close) as (url, _),
        link_to(url.replace("http", "https"), **secure) as link,
    ):
        assert await outcome(link, segments.segment()) == outcomes.UNAVAILABLE


async def test_the_outcome_is_lost_when_the_answer_is_huge() -> None:
    async def huge(_request: web.Request) -> web.Response:
        return web.json_response({**ACCEPTED, "padding": "x" * 100_000})

    async with web_of(huge) as url, link_to(url) as link:
        assert await outcome(link, segments.segment()) == outcomes.LOST


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_a_request_leaves_once_when_a_kept_connection_turns_out_dead(method: str) -> None:
    """The client would repeat GET and PUT by itself; that would be a second submit."""
    answered: list[bytes] = []

    async def once(head: bytes, writer: asyncio.StreamWriter) -> None:
        if answered:
            writer.transport.abort()
            return
        answered.append(head)
        body = b'{"messages": [{"id": "m-1"}]}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    body = {} if method == "GET" else {"body_kind": "form", "body": {}}
    async with socket_of(once) as (url, heads), link_to(url, method=method, **body) as link:
        assert (await outcome(link, segments.segment())).kind is Kind.ACCEPTED
        assert await outcome(link, segments.segment()) == outcomes.LOST
        assert len(heads) == 2


async def test_a_redirect_is_not_followed() -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=307, headers={"Location": "/stolen"})

    async with web_of(handler) as url, link_to(url) as link:
        assert (await outcome(link, segments.segment())).kind is Kind.REJECTED
    assert paths == ["/send"]


async def test_no_more_than_the_window_is_asked_at_once() -> None:
    gate = asyncio.Event()
    at_once = most = 0

    async def handler(_request: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await gate.wait()
        at_once -= 1
        return web.json_response(ACCEPTED)

    async with web_of(handler) as url, link_to(url, window=3) as link:
        answers = [segments.submit(link, segments.segment()) for _ in range(3)]
        assert link.room == 0
        assert await outcome(link, segments.segment()) == outcomes.UNAVAILABLE
        waiting = asyncio.ensure_future(link.wait_for_room())
        await segments.eventually(lambda: at_once == 3)
        gate.set()
        await asyncio.wait_for(waiting, 10)
        said = await asyncio.gather(*answers)
    assert {each.kind for each in said} == {Kind.ACCEPTED}
    assert most == 3


class BusyListener:
    """A port whose backlog is full: the kernel drops what asks for a connection, until `accept`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/send"
        self._fillers: list[socket.socket] = []
        while self._is_let_in():
            pass

    def _is_let_in(self) -> bool:
        filler = socket.socket()
        filler.settimeout(0.2)
        self._fillers.append(filler)
        try:
            filler.connect(self._listener.getsockname())
        except TimeoutError:
            filler.close()
            return False
        return True

    async def accept(self) -> bytes:
        """Make room, and return the first that is sent over the connection which follows."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        for _ in self._fillers[:-1]:
            (await loop.sock_accept(self._listener))[0].close()
        accepted, _ = await asyncio.wait_for(loop.sock_accept(self._listener), 10)
        with accepted:
            accepted.setblocking(False)
            return await asyncio.wait_for(loop.sock_recv(accepted, 10_000), 10)

    def close(self) -> None:
        for each in (*self._fillers, self._listener):
            each.close()


@pytest.fixture
def busy() -> Iterator[BusyListener]:
    listener = BusyListener()
    yield listener
    listener.close()


async def test_nothing_leaves_when_the_connection_stands_after_the_segment_s_time(
    busy: BusyListener,
) -> None:
    """A connection asked for again by the kernel stands a second late; the permit may be over."""
    segment = segments.segment()
    brief = msgspec.structs.replace(segment, leave_by=time.monotonic() + 0.2)
    async with link_to(busy.url) as link:
        asked = segments.submit(link, brief)
        await asyncio.sleep(0.3)
        assert await busy.accept() == b""
        assert await asked == outcomes.UNAVAILABLE
        assert link.connected


async def test_a_carrier_that_answers_nothing_is_left_alone_and_asked_one_by_one() -> None:
    # Given a carrier behind something that takes requests and hangs up
    is_up = False

    async def hang_up_or_answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        if not is_up:
            writer.close()
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n" + b'{"messages":[{"id":"m-1"}]}'
        )

    async with socket_of(hang_up_or_answer) as (url, heads), link_to(url, window=20) as link:
        # When more wait for it than its window holds
        lost = 0
        while (room := link.room) > 0:
            said = await asyncio.gather(
                *(segments.submit(link, segments.segment()) for _ in range(min(4, room)))
            )
            assert {each.kind for each in said} == {Kind.LOST}
            lost += len(said)
            assert lost <= 8
        # Then a few came into doubt, and the others wait
        assert not link.connected
        for _ in range(2):
            await asyncio.wait_for(link.wait_for_room(), 5)
            assert link.room == 1
            assert (await outcome(link, segments.segment())).kind is Kind.LOST
        assert len(heads) == lost + 2
        # And when one is answered all is as it was
        is_up = True
        await asyncio.wait_for(link.wait_for_room(), 5)
        assert (await outcome(link, segments.segment())).kind is Kind.ACCEPTED
        assert (link.room, link.connected) == (20, True)
