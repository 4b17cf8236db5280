"""`sluice carrier`: what carriers are set to, and what they say when asked."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import asyncpg
import pytest

from shared.carriers import findings, registry
from shared.carriers.findings import CheckFinding, FindingWeight
from tests.integration.commands.sluice import Command
from tests.integration.simulator.running import options_with, simulated
from tests.integration.web.certificates import contexts

SMPP = {"host": "127.0.0.1", "system_id": "sluice", "password": "secret"}
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def says_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(16)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def greets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\x1b[2J\r\n")


async def hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    writer.close()


async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await writer.drain()
    writer.close()


async def checked(key: str, **values: object) -> tuple[CheckFinding, ...]:
    adapter = registry.adapter(key)
    assert adapter.check is not None
    async with asyncio.timeout(30):
        return await adapter.check(registry.settings(key, values))


def the_bad(found: tuple[CheckFinding, ...]) -> CheckFinding:
    (bad,) = [each for each in found if each.weight is FindingWeight.BAD]
    return bad


async def test_a_check_binds_and_leaves_without_a_message() -> None:
    async with simulated() as running:
        found = await checked("smpp", **SMPP, port=running.smpp_port)
        assert [each for each in found if each.weight is FindingWeight.BAD] == []
        assert "sluice as transceiver: connected and bound in" in found[0].said
        assert running.carrier.counters.of("sluice").accepted == 0


@pytest.mark.parametrize(
    ("change", "word", "setting"),
    [
        ({"password": "hunter2"}, "refuses the password", "password"),
        ({"system_id": "nobody"}, "does not know this system_id", "system_id"),
    ],
)
async def test_a_refused_bind_is_told_by_what_is_wrong(
    change: dict[str, object], word: str, setting: str
) -> None:
    async with simulated(options_with(password="secret")) as running:
        found = await checked("smpp", **(SMPP | change), port=running.smpp_port)
    bad = the_bad(found)
    assert word in bad.said
    assert setting in bad.settings
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("serve", "word"),
    [
        (says_http, "speaks HTTP"),
        (greets, "something else than SMPP: 'SSH-2.0"),
        (hangs_up, "closes the connection without a word"),
    ],
)
async def test_what_is_no_smsc_is_told_by_what_it_speaks(serve: Serve, word: str) -> None:
    async with listening(serve) as port:
        bad = the_bad(await checked("smpp", **SMPP, port=port))
    assert word in bad.said
    assert "\x1b" not in bad.said
    assert "port" in bad.settings


@pytest.mark.parametrize(
    ("answer", "date", "word"),
    [
        (b"200 OK", None, ""),
        (b"401 Unauthorized", None, "refuses our credentials"),
        (b"404 Not Found", None, "nothing at this address"),
        (b"200 OK", b"Thu, 01 Jan 2026 00:00:00 GMT", "clock is"),
    ],
)
async def test_a_harmless_request_tells_whether_credentials_and_clock_are_right(
    answer: bytes, date: bytes | None, word: str
) -> None:
    asked: list[bytes] = []

    async def balance(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        told = date or format_datetime(datetime.now(UTC), usegmt=True).encode()
        writer.write(b"HTTP/1.1 %b\r\nDate: %b\r\nContent-Length: 0\r\n\r\n" % (answer, told))
        await writer.drain()

    async with listening(balance) as port:
        found = await checked(
            "http",
            url=f"http://127.0.0.1:{port}/send?to={{recipient}}",
            check_url=f"http://127.0.0.1:{port}/balance?key={{secret.key}}",
            headers={"X-Trace": "{reference}"},
            auth={"kind": "bearer", "token": "hunter2"},
            secrets={"key": "hunter3"},
        )
    # Then it was asked as the settings say, and not for a message
    (request,) = [each for each in asked if each]
    assert request.startswith(b"GET /balance?key=hunter3 ")
    assert b"Bearer hunter2" in request
    bad = [each.said for each in found if each.weight is FindingWeight.BAD]
    assert [word in said for said in bad] == ([True] if word else [])
    assert "hunter" not in repr(found)


async def test_a_port_that_speaks_tls_is_found(tmp_path: Path) -> None:
    server, _ = contexts("localhost", tmp_path)
    async with listening(waits, server) as port:
        bad = the_bad(await checked("smpp", **SMPP, port=port))
        web = the_bad(await checked("http", url=f"https://localhost:{port}/send"))
        plain = await checked("http", url=f"http://127.0.0.1:{port}/send")
    assert "speaks TLS" in bad.said
    assert "tls" in bad.settings
    assert "is not believed" in web.said
    assert plain[0].weight is FindingWeight.GOOD


async def test_nobody_and_no_such_host_are_told() -> None:
    async with listening(waits) as port:
        pass
    nobody = the_bad(await checked("smpp", **SMPP, port=port))
    web = the_bad(await checked("http", url=f"http://127.0.0.1:{port}/"))
    nowhere = the_bad(await checked("smpp", **(SMPP | {"host": "smsc.invalid"}), port=port))
    assert "nobody listens" in nobody.said
    assert "nobody listens" in web.said
    assert "no such host" in nowhere.said


async def test_an_operator_lists_shows_and_checks_carriers(
    command: Command, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    # Given a carrier whose password is right, and one whose is not
    async with simulated() as running:
        text = "".join(
            f"""
[[carrier]]
name = "{name}"
adapter = "smpp"
host = "127.0.0.1"
port = {running.smpp_port}
system_id = "sluice"
password = "{password}"
"""
            for name, password in (("acme", "secret"), ("wrong", "hunter2"))
        )
        file = tmp_path / "operator.toml"
        file.touch(0o600)
        await asyncio.to_thread(file.write_text, text)
        assert (await command("apply", str(file))).code == 0
        listed = await command("carrier", "list", "--json")
        closed = await command.without("SLUICE_SECRET_KEY")("carrier", "list", "--json")
        shown = await command("carrier", "show", "acme")
        good = await command("carrier", "check", "acme")
        bad = await command("carrier", "check", "wrong", "--json")
        none = await command("carrier", "check", "none")

    # Then each says what it is asked, and no credential is in any of it
    assert [row["credentials"] for row in json.loads(listed.output)] == ["sealed", "sealed"]
    assert [row["credentials"] for row in json.loads(closed.output)] == ["closed", "closed"]
    assert "password" in shown.output
    assert "response_seconds" in shown.output
    assert "default" in shown.output
    assert (good.code, bad.code, none.code) == (0, 1, 2), good.output + good.errors
    verdict = json.loads(bad.output)
    assert verdict["ok"] is False
    assert any(each["settings"] == ["password"] for each in verdict["findings"])
    assert "there is no carrier 'none', but acme, wrong" in none.errors
    for told in (listed, shown, good, bad):
        assert "hunter2" not in told.output + told.errors
        assert "sealed:" not in told.output + told.errors


def test_findings_have_three_weights() -> None:
    assert [findings.good("a").weight, findings.note("b").weight, findings.bad("c").weight] == [
        *FindingWeight
    ]
