"""Bodies of callers who have not proved who they are: so many at a time, and no waiting in line."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from aiohttp import web

from shared.web import bodies, problems

BODY_MAX_BYTES = 256 * 1024
READ_SECONDS = 10.0
RETRY_AFTER_SECONDS = 5
UNPROVEN_COUNT_MAX = 64
"""Bodies under way under one carrier's name: 16 MiB at most."""
NOBODY = ""
"""The name under which all calls count that name no carrier."""


async def read(request: web.Request) -> bytes:
    """The body as it was sent, for a signature is over its bytes. Raises Refused."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise bodies.encoded()
    return await bodies.read(request, BODY_MAX_BYTES, READ_SECONDS)


class Unproven:
    """Reads what must be read before its sender is known. When too much is under way, who takes
    longest makes room: a carrier sends its few hundred bytes at once."""

    def __init__(self) -> None:
        self._under_way: defaultdict[str, dict[asyncio.Timeout, None]] = defaultdict(dict)

    async def read(self, request: web.Request, name: str) -> bytes:
        """As `read`; Refused with 503 when the place was needed."""
        if request.content.is_eof():
            return await read(request)
        under_way = self._under_way[name]
        if len(under_way) >= UNPROVEN_COUNT_MAX:
            oldest = next(iter(under_way))
            del under_way[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(None) as turn:
                under_way[turn] = None
                try:
                    return await read(request)
                finally:
                    under_way.pop(turn, None)
        except TimeoutError:
            raise come_again("too many calls are under way") from None


def come_again(detail: str) -> problems.Refused:
    """Nothing was stored; the carrier repeats the call."""
    problem = problems.of(503, "unavailable", detail)
    return problems.Refused(problem, {"Retry-After": str(RETRY_AFTER_SECONDS)})
