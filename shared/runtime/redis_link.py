"""The link to Redis, which carries limits and nothing else: how to connect, how to run a script."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

CONNECTION_COUNT = 8
POOL_WAIT_SECONDS = 2.0
SOCKET_SECONDS = 1.0


class LimiterUnavailable(Exception):
    """Redis did not answer, or refused to write; whatever was asked for may have been taken."""


def connect(url: str) -> redis.asyncio.Redis:
    """A client whose commands run at most once: no retries, bounded pool, one-second sockets.

    Nothing is opened until the first command. The limiter's Redis runs without persistence,
    without fail-over and with `noeviction`, so that a loss is total and therefore seen.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTION_COUNT,
        timeout=POOL_WAIT_SECONDS,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.asyncio.Redis.from_pool(pool)


class Script:
    """A Lua script that answers with one packed string."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def read(cls, path: Path) -> Script:
        return cls(path.read_text(encoding="utf-8"))

    async def run(
        self, link: redis.asyncio.Redis, keys: Sequence[str], arguments: Sequence[str | int | bytes]
    ) -> bytes:
        """Run atomically and at most once; raises LimiterUnavailable when the outcome is unknown.

        The source travels only when Redis does not know the script, in which case nothing ran.
        """
        try:
            try:
                answer = await link.evalsha(self._digest, len(keys), *keys, *arguments)
            except NoScriptError:
                answer = await link.eval(self._source, len(keys), *keys, *arguments)
        except (RedisError, OSError) as error:
            # After a restart of Redis the idle connections are dead too, and would fail one by one.
            await link.connection_pool.disconnect(inuse_connections=False)
            raise LimiterUnavailable(f"redis: {type(error).__name__}") from error
        if not isinstance(answer, bytes):
            raise LimiterUnavailable("redis: the script answered something else")
        return answer
