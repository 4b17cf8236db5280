"""Reading what a producer sends: how much of it, for how long, and of which kind."""

from __future__ import annotations

import re

from aiohttp import web

from shared.web import bodies, problems
from shared.web.problems import Refused

SINGLE_SIZE_MAX = 256 * 1024
BATCH_SIZE_MAX = 1024 * 1024
BODY_SECONDS = 30.0

_JSON = "application/json"
_MEDIA_TYPE = re.compile(r'application/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?\s*', re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def read(request: web.Request, size_max: int) -> bytes:
    """The body, as UTF-8 of at most `size_max` bytes. Raises Refused."""
    _check_headers(request)
    body = await bodies.read(request, size_max, BODY_SECONDS)
    try:
        body.decode()
    except UnicodeDecodeError:
        raise Refused(problems.of(400, "not_utf8", "The body is not UTF-8.")) from None
    return body


def _check_headers(request: web.Request) -> None:
    headers = request.headers
    if "Content-Encoding" in headers:
        raise bodies.encoded()
    media_type = headers.get("Content-Type", "")
    if media_type != _JSON and not _MEDIA_TYPE.fullmatch(media_type):
        detail = f"The body must be {_JSON} in UTF-8."
        raise Refused(problems.of(415, "unsupported_media_type", detail, "Content-Type"))


def idempotency_key(request: web.Request) -> str | None:
    """The producer's name for the request, or None. Raises Refused."""
    keys = request.headers.getall("Idempotency-Key", ())
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        detail = "The key is one value of 1 to 255 visible ASCII characters."
        raise Refused(problems.of(400, "invalid_idempotency_key", detail, "Idempotency-Key"))
    return keys[0]
