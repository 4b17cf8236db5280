"""The limiter with one of its guards taken out: what the judge must see, or it proves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from unittest.mock import patch

from services.dispatcher import record
from shared.db import limits, work
from shared.limits import limiter, permits
from tests.limits import clock
from tests.limits.crew import MakePermits
from tests.limits.run import Fault

Changes = tuple[tuple[str, str], ...]

_ROOM = "math.min(room, limit - scope[WINDOWS[i].used])"
# The level that a bucket of this limit, refilled evenly, would have: what leaks out of it since.
_REFILLED: Changes = (
    (
        """    local excess = scope[window.used] + segments - (limits[i] or math.huge)
    local position = 1
    while excess > 0 do
      local slot, count = struct.unpack(window.pair, scope[window.queue], position)
      excess = excess - count
      if excess <= 0 and returns_at(window, slot) > latest then
        latest, by = returns_at(window, slot), i
      end
      position = position + window.pair_bytes
    end
""",
        """    local level, at = 0, 0
    local leak = limits[i] / window.length_ms
    for position = 1, #scope[window.queue], window.pair_bytes do
      local slot, count = struct.unpack(window.pair, scope[window.queue], position)
      level = math.max(0, level - (slot * window.slot_ms - at) * leak) + count
      at = slot * window.slot_ms
    end
    level = math.max(0, level - (now - at) * leak)
    local excess = level + segments - limits[i]
    if excess > 0 and now + math.ceil(excess / leak) > latest then
      latest, by = now + math.ceil(excess / leak), i
    end
""",
    ),
    (_ROOM, f"math.max(1, {_ROOM})"),
)
_FORCED: Changes = (
    (
        "  if ready > now then\n    local line_ready",
        "  if false then\n    local line_ready",
    ),
)
_IN_THE_FENCE = "pg_advisory_xact_lock_shared"


class ReadThenWrite(permits.Permits):
    """Looks, and takes in a second step what it has seen."""

    forced: clock.ClockedScript

    async def take(self, epoch: int, requests: Sequence[permits.Request]) -> list[permits.Verdict]:
        verdicts = []
        for request in requests:
            (seen,) = await self.peek(epoch, [request.scopes], [request.segments])
            if seen.answer is permits.Answer.OPEN:
                (seen,) = await super().take(epoch, [request])
            verdicts.append(seen)
        return verdicts

    async def _call(
        self, operation: str, epoch: int, scopes: Sequence[str], arguments: bytes
    ) -> bytes:
        if operation != "take":
            return await super()._call(operation, epoch, scopes, arguments)
        keys = [f"{self._prefix}{name}" for name in ("epoch", *scopes)]
        return await self.forced.run(self._link, keys, [operation, epoch, arguments])


@dataclass(frozen=True, slots=True)
class Control:
    """One guard less, and the faults it is there for."""

    name: str
    faults: tuple[Fault, ...]
    changes: Changes = ()
    make_permits: MakePermits = permits.Permits
    without: AbstractContextManager[object] | None = None


def _claim_of_any_epoch() -> str:
    statement = work._CLAIM
    for before, after in (
        ("AND f.epoch = $4", "AND $4::bigint IS NOT NULL"),
        ("SELECT f.epoch, pg_current_xact_id()", "SELECT $4::bigint, pg_current_xact_id()"),
    ):
        assert statement.count(before) == 1
        statement = statement.replace(before, after)
    return statement


@contextmanager
def _returned_twice() -> Iterator[None]:
    once = limiter.Limiter.give_back

    async def twice(self: limiter.Limiter, permit: limiter.Permit) -> None:
        await once(self, permit)
        await once(self, permit)

    with patch.object(limiter.Limiter, "give_back", twice):
        yield


def all_controls() -> tuple[Control, ...]:
    """Made anew for each use, for a context is good for once."""
    return (
        Control("a bucket that is refilled all the time", (Fault.PAUSED,), _REFILLED),
        Control(
            "no epoch at the fence",
            (Fault.WIPED, Fault.PAUSED),
            without=patch.object(work, "_CLAIM", _claim_of_any_epoch()),
        ),
        Control(
            "permits of any age",
            (Fault.PAUSED,),
            without=patch.object(limiter, "PERMIT_AGE_SECONDS", float("inf")),
        ),
        Control("read, then written", (Fault.PAUSED,), make_permits=ReadThenWrite),
        Control(
            "windows that end when they end",
            (Fault.PAUSED,),
            (("AGE_LIMIT_MS + 2 * CLOCKS_APART_MS + CLOCK_BACK_MS", "0"),),
        ),
        Control(
            "a memory out of a snapshot",
            (Fault.ROLLED_BACK,),
            (("return holder == process and", "return"),),
        ),
        Control(
            "clocks that nobody compares",
            (Fault.JUMPED,),
            without=patch.object(limiter.Permit, "in_time", lambda *_: True),
        ),
        Control(
            "a clock that may go back",
            (Fault.JUMPED,),
            ((" and newest_ms - now <= CLOCK_BACK_MS", ""),),
        ),
        Control("tokens given back twice", (Fault.PAUSED,), without=_returned_twice()),
        Control(
            "a new epoch that waits for no claim",
            (Fault.STALLED,),
            without=patch.object(
                limits, "_BEGIN", limits._BEGIN.replace(f"{_IN_THE_FENCE}({limits._FENCE})", "1")
            ),
        ),
    )


@contextmanager
def played(told: clock.RunClock, control: Control | None = None) -> Iterator[None]:
    """Workers go by the run's clock, and one guard is missing, until the end of the block."""
    script = clock.ClockedScript(told, control.changes if control else ())
    ReadThenWrite.forced = clock.ClockedScript(told, _FORCED)
    with (
        clock.workers_go_by(told),
        patch.object(permits, "_SCRIPT", script),
        patch.object(record, "PACE_SECONDS", 0.0),
        (control and control.without) or nullcontext(),
    ):
        yield
