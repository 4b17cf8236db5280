"""What a carrier's web API says before it is asked for anything: reached, believed, in step."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

import aiohttp
import yarl

from shared.carriers import findings
from shared.carriers.findings import CheckFinding

_CONNECT_SECONDS: Final = 8.0
_ANSWER_SECONDS: Final = 15.0
_SKEW_SECONDS: Final = 30.0
_CREDENTIALS: Final = ("secrets", "headers", "auth")


class HarmlessRequest(NamedTuple):
    """A request that sends nothing and costs nothing, such as one for the balance; `setting` names
    it."""

    url: yarl.URL
    headers: Mapping[str, str]
    setting: str


async def check(
    url: yarl.URL, *, where: str = "url", harmless: HarmlessRequest | None = None
) -> tuple[CheckFinding, ...]:
    """Connect to what the setting `where` says, as a submit would, and hang up; then make the
    harmless request, if there is one."""
    found = [await _connect(url, where)]
    if url.scheme == "http" and not _is_here(url.host or ""):
        found.append(
            findings.note("credentials and texts cross the network in clear, without TLS", where)
        )
    if harmless is not None and found[0].weight is not findings.FindingWeight.BAD:
        found += await _ask(harmless)
    elif harmless is None:
        found.append(
            findings.note(
                "nothing was asked of it, for no harmless request is known: whether it believes our"
                " credentials, `sluice carrier probe` tells"
            )
        )
    return tuple(found)


def _is_here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


async def _connect(url: yarl.URL, where: str) -> CheckFinding:
    host, port = url.host or "", url.port or 443
    began = time.monotonic()
    context = ssl.create_default_context() if url.scheme == "https" else None
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError) as error:
        return findings.not_connected(error, host, port, where)
    writer.transport.abort()
    believed = ", and its certificate is believed" if context else ""
    ms = (time.monotonic() - began) * 1000
    return findings.good(f"{host}:{port} is reached in {ms:.0f} ms{believed}")


async def _ask(harmless: HarmlessRequest) -> list[CheckFinding]:
    began = time.monotonic()
    limits = aiohttp.ClientTimeout(total=_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=limits, auto_decompress=False) as client,
            client.get(harmless.url, headers=harmless.headers, allow_redirects=False) as answer,
        ):
            status, date = answer.status, answer.headers.get("Date", "")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return [findings.bad(f"the question ended by {type(error).__name__}", harmless.setting)]
    ms = (time.monotonic() - began) * 1000
    return [_judged(status, ms, harmless.setting), *_clock(date)]


def _judged(status: int, ms: float, setting: str) -> CheckFinding:
    if status in (401, 403, 407):
        return findings.bad(f"it refuses our credentials ({status})", *_CREDENTIALS)
    if status == 402:
        return findings.bad("the account has no credit left there (402)")
    if status == 404:
        return findings.bad("there is nothing at this address (404)", setting)
    if 300 <= status < 400:
        return findings.bad(f"it sends us elsewhere ({status}), which is never followed", setting)
    if status >= 400:
        return findings.note(f"it answered {status} within {ms:.0f} ms", setting)
    return findings.good(f"it answered {status} within {ms:.0f} ms, so it believes us")


def _clock(date: str) -> list[CheckFinding]:
    """What the answer's Date says of this machine's clock; signatures with a time depend on it."""
    try:
        told = parsedate_to_datetime(date)
    except ValueError:
        return []
    if told.tzinfo is None:
        return []
    skew = (datetime.now(UTC) - told).total_seconds()
    if abs(skew) <= _SKEW_SECONDS:
        return []
    side = "ahead of" if skew > 0 else "behind"
    return [findings.bad(f"this machine's clock is {abs(skew):.0f} s {side} the carrier's")]
