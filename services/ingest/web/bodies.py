"""Reading what a producer sends: how much of it, for how long, and of which kind."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from services.ingest.native.problems import Refused
from shared.rules.compose import Refusal

SINGLE_SIZE_MAX = 256 * 1024
BATCH_SIZE_MAX = 1024 * 1024
BODY_SECONDS = 30.0

_JSON = "application/json"
_MEDIA_TYPE = re.compile(r'application/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?\s*', re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def read(request: web.Request, size_max: int) -> bytes:
    """The body, as UTF-8 of at most `size_max` bytes. Raises Refused."""
    _check_headers(request)
    announced = request.content_length
    if announced is not None and announced > size_max:
        raise _too_large(size_max)
    content = request.content
    # Nearly every body has come with its head.
    body = content.read_nowait() if content.is_eof() else await _gather(request, size_max)
    if len(body) > size_max:
        raise _too_large(size_max)
    try:
        body.decode()
    except UnicodeDecodeError:
        raise Refused(Refusal(400, "not_utf8", "The body is not UTF-8.")) from None
    return body


async def _gather(request: web.Request, size_max: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(body) <= size_max and (chunk := await request.content.readany()):
                body += chunk
    except TimeoutError:
        detail = f"The body did not arrive within {BODY_SECONDS:.0f} seconds."
        raise Refused(Refusal(408, "body_too_slow", detail), {"Connection": "close"}) from None
    return bytes(body)


def _too_large(size_max: int) -> Refused:
    detail = f"The body is larger than {size_max // 1024} KiB."
    return Refused(Refusal(413, "body_too_large", detail))


def _check_headers(request: web.Request) -> None:
    headers = request.headers
    if "Content-Encoding" in headers:
        raise Refused(
            Refusal(415, "encoded_body", "Compressed bodies are not accepted.", "Content-Encoding")
        )
    media_type = headers.get("Content-Type", "")
    if media_type != _JSON and not _MEDIA_TYPE.fullmatch(media_type):
        detail = f"The body must be {_JSON} in UTF-8."
        raise Refused(Refusal(415, "unsupported_media_type", detail, "Content-Type"))


def idempotency_key(request: web.Request) -> str | None:
    """The producer's name for the request, or None. Raises Refused."""
    keys = request.headers.getall("Idempotency-Key", ())
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise Refused(
            Refusal(
                400,
                "invalid_idempotency_key",
                "The key is one value of 1 to 255 visible ASCII characters.",
                "Idempotency-Key",
            )
        )
    return keys[0]
