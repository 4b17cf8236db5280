"""The two carriers that docs/http-carriers.md invents, without any code of the product's."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import re
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode
from xml.etree import ElementTree

import aiohttp
from aiohttp import web

PAGE = Path(__file__).parents[2] / "docs" / "http-carriers.md"
TRY_COUNT_MAX = 20
TRY_SECONDS = 0.5
BLOCK = re.compile(r"^```toml\n(\[\[carrier\]\]\n.*?)^```", re.MULTILINE | re.DOTALL)


def configurations() -> dict[str, str]:
    """The page's whole carriers, by name."""
    found = BLOCK.findall(PAGE.read_text("utf-8"))
    return {tomllib.loads(block)["carrier"][0]["name"]: block for block in found}


class Carriers:
    """Both, on one port; each tells `dlr_url` what became of what it took, at once, and again until
    it is heard."""

    def __init__(self, dlr_url: str) -> None:
        self.taken: dict[str, list[dict[str, str]]] = {"maple": [], "fern": []}
        self.answers: list[int] = []
        self.more_parts = 0
        self._dlr_url = dlr_url
        self._ids = itertools.count(1)
        self._calls: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/submit", self._maple)
        app.router.add_post("/api/send", self._fern)
        return app

    # maple -----------------------------------------------------------------------------------

    async def _maple(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != _basic("sluice", "a-password-of-ours"):
            return web.Response(status=401)
        said = ElementTree.fromstring(await request.read())
        fields = {child.tag: child.text or "" for child in said} | said.attrib
        self.taken["maple"].append(fields)
        if fields["to"].endswith("999"):
            return web.Response(text="<response><status>11</status></response>")
        name = f"m-{next(self._ids)}"
        self._tell(
            partial(
                self.maple_calls,
                "receipts",
                id=name,
                st="ok",
                err="0",
                to=fields["to"],
                ref=fields["ref"],
            )
        )
        unit = 67 if any(ord(letter) > 255 for letter in fields["text"]) else 153
        parts = -(-len(fields["text"]) // unit) + self.more_parts
        return web.Response(
            text=f'<r:response xmlns:r="urn:maple"><r:status>0</r:status>'
            f'<r:message id="{name}" parts="{parts}"/></r:response>'
        )

    async def maple_calls(self, what: str, **fields: str) -> int:
        """One GET with basic auth; the answer's status."""
        headers = {"Authorization": _basic("maple", "what-maple-calls-with")}
        url = f"{self._dlr_url}/carriers/maple/{what}?{urlencode(fields)}"
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(url) as answer,
        ):
            self.answers.append(answer.status)
            return answer.status

    # fern ------------------------------------------------------------------------------------

    async def _fern(self, request: web.Request) -> web.Response:
        if request.headers.get("X-Fern-Key") != "a-key-that-fern-gave-us":
            return web.Response(status=403)
        fields = {name: str(value) for name, value in (await request.post()).items()}
        self.taken["fern"].append(fields)
        if fields["to"].endswith("999"):
            return web.Response(text="ERR 105: no such phone\n")
        name = f"f-{next(self._ids)}"
        self._tell(
            partial(
                self.fern_calls,
                "receipts",
                msgid=name,
                state="DELIVRD",
                to=fields["to"].lstrip("+"),
            )
        )
        return web.Response(text=f"OK {name}\n")

    async def fern_calls(self, what: str, **fields: str) -> int:
        """One POST of a form, signed over the URL that fern was given, in the key of before; the
        answer's status."""
        target = f"/carriers/fern/{what}"
        message = f"https://sms.example.com{target}" + "".join(
            name + value for name, value in sorted(fields.items())
        )
        mac = hmac.new(b"the-key-it-signed-with", message.encode(), hashlib.sha1).digest()
        headers = {"X-Fern-Signature": base64.b64encode(mac).decode()}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(self._dlr_url + target, data=fields) as answer,
        ):
            self.answers.append(answer.status)
            return answer.status

    def _tell(self, call: Callable[[], Awaitable[int]]) -> None:
        task = asyncio.create_task(_until_heard(call))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)


async def _until_heard(call: Callable[[], Awaitable[int]]) -> None:
    for _ in range(TRY_COUNT_MAX):
        with suppress(aiohttp.ClientError, TimeoutError):
            if await call() == HTTPStatus.OK:
                return
        await asyncio.sleep(TRY_SECONDS)


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@asynccontextmanager
async def carriers(dlr_url: str) -> AsyncIterator[tuple[Carriers, Mapping[str, str]]]:
    """Both, and where each hosts."""
    both = Carriers(dlr_url)
    runner = web.AppRunner(both.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield both, {"https://api.maple.example": host, "https://fern.example": host}
    finally:
        await runner.cleanup()
