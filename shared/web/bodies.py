"""Reading what a stranger sends: so many bytes, within so much time, as they were sent."""

from __future__ import annotations

import asyncio

from aiohttp import web

from shared.web import problems
from shared.web.problems import Refused

_CONTINUE = "100-continue"


async def read(request: web.Request, size_max: int, seconds: float) -> bytes:
    """The body, of at most `size_max` bytes. Raises Refused: 400, 408 or 413."""
    announced = request.content_length
    if announced is not None and announced > size_max:
        raise _too_large(size_max)
    content = request.content
    # Nearly every body has come with its head.
    if content.is_eof():
        body = content.read_nowait()
    else:
        body = await _gather(request, size_max, seconds)
    if len(body) > size_max:
        raise _too_large(size_max)
    return body


async def wait_to_continue(request: web.Request) -> None:
    """What routes do about `Expect: 100-continue`: nothing yet. A caller that waits for the word
    gets it when its body is wanted, and so when it is known."""
    if request.headers["Expect"].lower() != _CONTINUE:
        raise web.HTTPExpectationFailed


async def _gather(request: web.Request, size_max: int, seconds: float) -> bytes:
    if "Expect" in request.headers:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # This was not the answer: that has not begun.
        request.writer.output_size = 0
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while len(body) <= size_max and (chunk := await request.content.readany()):
                body += chunk
    except TimeoutError:
        detail = f"The body did not arrive within {seconds:.0f} seconds."
        raise Refused(problems.of(408, "body_too_slow", detail), {"Connection": "close"}) from None
    except (web.RequestPayloadError, ConnectionError):
        raise Refused(problems.of(400, "body_cut_short", "The body was cut short.")) from None
    return bytes(body)


def _too_large(size_max: int) -> Refused:
    detail = f"The body is larger than {size_max // 1024} KiB."
    return Refused(problems.of(413, "body_too_large", detail))


def encoded() -> Refused:
    """A body under a Content-Encoding, which nobody here takes off."""
    detail = "Compressed bodies are not accepted."
    return Refused(problems.of(415, "encoded_body", detail, "Content-Encoding"))
