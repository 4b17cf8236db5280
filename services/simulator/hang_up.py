"""How the carrier hangs up over HTTP: without a word, or within an answer, at any octet."""

from __future__ import annotations

import random

from aiohttp import web


def at_once(request: web.Request) -> None:
    """Cut the connection; whatever is answered afterwards goes nowhere."""
    if request.transport is not None:
        request.transport.abort()


def within(request: web.Request, answer: web.Response, chance: random.Random) -> None:
    """Cut the connection after some of the answer's octets, but not all."""
    octets = _octets(answer)
    if request.transport is not None:
        request.transport.write(octets[: chance.randrange(len(octets))])
        request.transport.abort()


def _octets(answer: web.Response) -> bytes:
    """As it would go over the wire."""
    body = bytes(answer.body) if isinstance(answer.body, bytes) else b""
    head = f"HTTP/1.1 {answer.status} {answer.reason}\r\nContent-Type: {answer.content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
