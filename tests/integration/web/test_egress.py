"""The way out to URLs of customers: nothing inside is reached, whatever a name server says."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from shared.rules.destinations import HostPort
from shared.web import egress
from tests.integration.web import canary, certificates, name_server

OUTSIDE = "2000::1"
"""A public address that nobody has."""


def client(
    ports: set[int],
    *allowed: HostPort,
    look_up: egress.LookUp | None = None,
    deadline_seconds: float = 3.0,
    trust: ssl.SSLContext | None = None,
) -> egress.GuardedClient:
    """A client that may go to these ports, and to what an operator has allowed."""
    return egress.GuardedClient(
        lambda: set(allowed),
        look_up=look_up,
        ports=ports,
        deadline_seconds=deadline_seconds,
        trust=trust,
    )


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def receiver(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[HostPort]:
    """A customer's server, where it listens."""
    app = web.Application()
    app.router.add_post("/hook", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield HostPort("127.0.0.1", runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def test_no_hostile_url_reaches_the_inside() -> None:
    # Given a canary, its port among those that may be asked, and URLs that lead to it
    async with canary.listening() as inside:
        hostile = [*canary.urls(inside.port)]
        assert len(set(hostile)) >= 500
        out = client({inside.port})

        # When each of them is asked
        reached = []
        for url in hostile:
            try:
                await out.post(url, {}, b"{}")
            except egress.NotAllowed:
                continue
            except egress.NoStatus as error:
                reached.append((url, error.why))
        await out.close()

        # Then each is refused before anything is dialled
        assert reached == []
        assert inside.count == 0


async def test_a_name_server_that_changes_its_mind_leads_nowhere() -> None:
    async with canary.listening() as inside:
        # Given a name that is outside when it is first asked for, and inside the next time
        answers: list[Sequence[str]] = []

        def says(_name: str) -> Sequence[str]:
            answers.append((OUTSIDE,) if len(answers) % 2 == 0 else ("127.0.0.1",))
            return answers[-1]

        async with name_server.serving(says) as port:

            async def look_up(host: str, _port: int) -> list[str]:
                return await name_server.ask(port, host)

            out = client({inside.port}, look_up=look_up, deadline_seconds=0.3)

            # When it is asked again and again
            refused_count = 0
            for _ in range(50):
                try:
                    await out.post(f"https://rebound.example:{inside.port}/hook", {}, b"{}")
                except egress.NotAllowed:
                    refused_count += 1
                except egress.NoStatus:
                    pass
            await out.close()

        # Then each time is one look-up, and what it said was judged, or dialled
        assert len(answers) == 50
        assert refused_count == 25
        assert inside.count == 0


@pytest.mark.parametrize(
    "addresses",
    [
        (OUTSIDE, "127.0.0.1"),
        ("127.0.0.1", OUTSIDE),
        ("::1",),
        ("::ffff:127.0.0.1",),
        ("64:ff9b::7f00:1",),
        ("10.0.0.1",),
        ("169.254.169.254",),
        (),
    ],
)
async def test_one_address_inside_spoils_a_name(addresses: tuple[str, ...]) -> None:
    async with canary.listening() as inside, name_server.serving(lambda _: addresses) as port:

        async def look_up(host: str, _port: int) -> list[str]:
            return await name_server.ask(port, host)

        out = client({inside.port}, look_up=look_up)
        with pytest.raises(egress.NotAllowed if addresses else egress.NoStatus):
            await out.post(f"https://mixed.example:{inside.port}/hook", {}, b"{}")
        await out.close()
        assert inside.count == 0


async def test_the_last_wall_judges_what_is_dialled() -> None:
    # Given a resolver, whoever was asked before it
    async def nobody(_host: str, _port: int) -> list[str]:
        return []

    resolver = egress.GuardedResolver(set, nobody)

    # Then it makes no socket for an address inside
    with pytest.raises(egress.NotAllowed):
        resolver.open_socket((2, 1, 6, "", ("127.0.0.1", 443)))


async def test_an_operator_may_allow_a_place_and_no_other() -> None:
    async def take(request: web.Request) -> web.Response:
        assert await request.read() == b"{}"
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(status=204)

    async with receiver(take) as place, canary.listening() as inside:
        # Given a place that is allowed by its name, and by its address
        named = HostPort("localhost", place.port)
        out = client({inside.port}, place, named)

        # Then both are asked, without https, and their neighbour is not
        for allowed in (place, named):
            assert (await out.post(f"http://{allowed}/hook", {}, b"{}")).status == 204
        with pytest.raises(egress.NotAllowed):
            await out.post(f"https://127.0.0.1:{inside.port}/hook", {}, b"{}")
        await out.close()
        assert inside.count == 0


async def test_redirects_are_answers() -> None:
    async with canary.listening() as inside:

        async def away(_request: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect(f"http://127.0.0.1:{inside.port}/hook")

        async with receiver(away) as place:
            out = client(set(), place)
            assert (await out.post(f"http://{place}/hook", {}, b"{}")).status == 307
            await out.close()
        assert inside.count == 0


async def test_a_long_answer_is_not_read_and_a_bomb_not_inflated() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    sent_count = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent_count
        if "bomb" in request.query:
            return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(1_000):
            await answer.write(bytes(64 * 1024))
            sent_count += 1
        return answer

    async with receiver(flood) as place:
        out = client(set(), place)
        assert (await out.post(f"http://{place}/hook?bomb", {}, b"{}")).status == 200
        assert (await out.post(f"http://{place}/hook", {}, b"{}")).status == 200
        await out.close()
    assert sent_count < 500


async def test_a_silent_server_costs_its_deadline_and_a_slow_body_a_second() -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        if "body" not in request.query:
            await asyncio.sleep(30)
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(300):
            await answer.write(b".")
            await asyncio.sleep(0.1)
        return answer

    async with receiver(silent) as place:
        out = client(set(), place, deadline_seconds=0.5)
        began_at = time.monotonic()
        with pytest.raises(egress.NoStatus, match="too_slow"):
            await out.post(f"http://{place}/hook", {}, b"{}")
        assert time.monotonic() - began_at < 2
        await out.close()

        out = client(set(), place, deadline_seconds=10)
        began_at = time.monotonic()
        assert (await out.post(f"http://{place}/hook?body", {}, b"{}")).status == 200
        assert time.monotonic() - began_at < 3
        await out.close()


async def test_the_name_of_the_url_must_be_that_of_the_certificate(tmp_path: Path) -> None:
    # Given a server with a certificate for its name
    async def take(request: web.Request) -> web.Response:
        assert request.host.startswith("hooks.example")
        return web.Response()

    async def look_up(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    server, trust = certificates.contexts("hooks.example", tmp_path)
    async with receiver(take, server) as place:
        named, other = (HostPort(name, place.port) for name in ("hooks.example", "other.example"))

        # Then it is asked by that name, if who has signed it is trusted, and by no other
        out = client(set(), named, other, look_up=look_up, trust=trust)
        assert (await out.post(f"https://{named}/hook", {}, b"{}")).status == 200
        with pytest.raises(egress.NoStatus, match="tls_failed"):
            await out.post(f"https://{other}/hook", {}, b"{}")
        await out.close()
        out = client(set(), named, look_up=look_up)
        with pytest.raises(egress.NoStatus, match="tls_failed"):
            await out.post(f"https://{named}/hook", {}, b"{}")
        await out.close()
