"""The time of a run: it passes when the run says so, for everybody at once.

Waiting for hours to pass is no test, and shorter windows would be other windows; so the product's
own are kept, and what tells the time is replaced: in permit.lua the one line that asks Redis, by an
argument that comes with each call; in PostgreSQL `now()`, by a function that reads a sequence; in
the workers `time.monotonic`. A jump of Redis' clock alone is then one number. (libfaketime would
turn the clocks of whole servers, their timeouts with them, and is one thing more to install.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import asyncpg
import redis.asyncio

from services.dispatcher import claim, schedule
from shared.limits import limiter, permits
from shared.runtime import redis_link

START_MS = 1_800_000_000_000
_CLOCK = re.compile(r"(local function clock_ms\(\)\n).*?(\nend\n)", re.DOTALL)
_SHIM = """
CREATE SCHEMA run_clock;
CREATE SEQUENCE run_clock.milliseconds;
CREATE FUNCTION run_clock.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT to_timestamp(last_value / 1000.0) FROM run_clock.milliseconds';
GRANT USAGE ON SCHEMA run_clock TO PUBLIC;
GRANT SELECT ON run_clock.milliseconds TO PUBLIC"""


class RunClock:
    """True time in milliseconds since 1970, and by how much Redis is ahead of it."""

    def __init__(self) -> None:
        self.true_ms = START_MS
        self.redis_ahead_ms = 0

    @property
    def redis_ms(self) -> int:
        """What Redis takes the time for."""
        return self.true_ms + self.redis_ahead_ms

    def monotonic(self) -> float:
        """In place of `time.monotonic`, in seconds."""
        return self.true_ms / 1000

    async def set(self, database: asyncpg.Connection, true_ms: int) -> None:
        """Make it `true_ms` for everybody; PostgreSQL is told a moment earlier than the workers."""
        await database.execute("SELECT setval('run_clock.milliseconds', $1)", true_ms)
        self.true_ms = true_ms


class ClockedScript(redis_link.Script):
    """permit.lua, told by each call what time it is; with texts of it changed."""

    def __init__(self, clock: RunClock, changes: Sequence[tuple[str, str]] = ()) -> None:
        source = Path(permits.__file__).with_name("permit.lua").read_text(encoding="utf-8")
        source, count = _CLOCK.subn(r"\1  return tonumber(ARGV[4])\2", source)
        assert count == 1
        for before, after in changes:
            assert source.count(before) == 1, before
            source = source.replace(before, after)
        super().__init__(source)
        self._clock = clock

    async def run(
        self, link: redis.asyncio.Redis, keys: Sequence[str], arguments: Sequence[str | int | bytes]
    ) -> bytes:
        return await super().run(link, keys, [*arguments, self._clock.redis_ms])


async def put_into(database: asyncpg.Connection) -> None:
    """Have `now()` of this migrated database, in sessions opened from now on, tell a run's time."""
    await database.execute(_SHIM)
    name = await database.fetchval("SELECT current_database()")
    # A commit that was answered outlives a crash, also where fsync is off for speed.
    for setting in ("search_path = run_clock, pg_catalog, public", "synchronous_commit = on"):
        await database.execute(f'ALTER DATABASE "{name}" SET {setting}')


@contextmanager
def workers_go_by(clock: RunClock) -> Iterator[None]:
    """Until the end of the block, permits age by this clock."""
    with ExitStack() as stack:
        for module in (limiter, schedule, claim):
            if hasattr(module, "time"):
                stack.enter_context(patch.object(module, "time", clock))
        yield
