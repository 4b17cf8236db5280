"""Permits: leave to send segments now, for all limits of a message at once, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec
import redis.asyncio

from shared.runtime import redis_link

WINDOWS = ("", "hour", "day", "month", "second")
"""By their numbers in permit.lua; 0 is none."""
PERMIT_AGE_LIMIT_MS = 5_000  # as in permit.lua; a permit never leaves the process it was given to
CLOCKS_APART_MS = 2_000  # as in permit.lua
LATE_MS = 10_000
"""By how much longer than its window a token stays out, as in permit.lua, which says why."""
UNLIMITED = 2**40
BATCH_LIMIT = 1_000
FILL_LIMIT = 2_000
"""Scopes and sums of one call that fills; one scope's sums, some 300, are never parted."""

# How young usage must be to need slots this fine: each window with two slots to spare.
_SLOTS_MS = ((3_720_000, 60_000), (88_200_000, 900_000), (math.inf, 21_600_000))

_SCRIPT = redis_link.Script.read(Path(__file__).with_name("permit.lua"))
_encode = msgspec.msgpack.Encoder().encode


class Answer(StrEnum):
    GRANTED = "granted"  # taken from every scope, to be used within PERMIT_AGE_LIMIT_MS
    OPEN = "open"  # only looked at: `segments` could be taken now
    REFUSED = "refused"  # nothing taken; enough tokens return at `at_ms` if nobody else takes any
    UNKNOWN = "unknown"  # nothing taken; `scopes` must be filled first
    NEVER = "never"  # nothing taken; more segments than a limit of the scope allows at all


class EpochLost(Exception):
    """Redis holds another epoch (`held`) or none; no permit was given. None is held after a wipe,
    by a process that was started from a snapshot, and when its clock has gone back; `stored` is the
    epoch that Redis has written down all the same, or 0."""

    def __init__(self, held: int | None, stored: int = 0) -> None:
        super().__init__(f"limits are held under epoch {held}")
        self.held = held
        self.stored = stored


class Scope(NamedTuple):
    """What a limit belongs to, such as `line:<uuid>`, with its limits of this moment in segments.

    Hour, day and month are counted even where nothing is limited. A scope that was left out of
    some requests and is limited later knows nothing of those: raise the epoch then. `second` is for
    the pace of a line: no more than that is permitted within any second of Redis' clock, and used
    at once unless a dispatcher stands still; what it then has in hand, five seconds' worth at most,
    may leave together. None: not limited, and not counted.
    """

    name: str
    hour: int = UNLIMITED
    day: int = UNLIMITED
    month: int = UNLIMITED
    second: int | None = None

    @property
    def limits(self) -> tuple[int, ...]:
        """In the order of WINDOWS, without a second that is not limited."""
        plain = (self.hour, self.day, self.month)
        return plain if self.second is None else (*plain, self.second)


class Request(NamedTuple):
    """Segments of one message, wanted from every scope, each named once; the first is the line.

    `bypass` lets the scheduler through a line's gate, behind which all others wait.
    """

    scopes: tuple[Scope, ...]
    segments: int
    bypass: bool = False


class Verdict(NamedTuple):
    """The limiter's answer to one request.

    `at_ms` is Redis time: when granted or seen open, or when to come back after a refusal; 0
    otherwise. `scopes` names whoever refused, or every scope to fill; `window` is that of the limit
    that refused, by its number in WINDOWS: 0 where the line's gate was shut for others to go first.
    """

    answer: Answer
    at_ms: int
    segments: int
    scopes: tuple[str, ...]
    window: int = 0


class Used(NamedTuple):
    """How many tokens of one window are out, and when the first of them return, by Redis' clock; 0
    where none are out."""

    segments: int
    returns_at_ms: int


class _Answered(msgspec.Struct, array_like=True, frozen=True):
    answer: Answer
    at_ms: int
    segments: int
    indexes: list[int]
    window: int = 0


class _Reply(msgspec.Struct, array_like=True, frozen=True):
    held: int
    result: bool | int | list[_Answered] | None = None
    stored: int = 0


class _Looked(msgspec.Struct, array_like=True, frozen=True):
    held: int
    result: list[list[Used]] | bool
    stored: int = 0


_decode = msgspec.msgpack.Decoder(_Reply).decode
_decode_looked = msgspec.msgpack.Decoder(_Looked).decode


class Permits:
    """The limiter's side of the dispatcher; one Lua script a call, over any number of scopes.

    Every method raises LimiterUnavailable when Redis does not answer (then count the tokens as
    taken, send nothing, do not repeat a `give_back`) and, where it is told an epoch, EpochLost.
    Keys of one call share no hash tag: this is for a single Redis, not a cluster.
    """

    def __init__(self, link: redis.asyncio.Redis, prefix: str = "sluice:limits:") -> None:
        self._link = link
        self._prefix = prefix

    async def take(self, epoch: int, requests: Sequence[Request]) -> list[Verdict]:
        """One verdict per request, decided in order; each takes all its segments or none.

        At most BATCH_LIMIT requests. A line that refuses shuts its gate until two seconds after
        the time it named; meanwhile requests without `bypass` are refused with that same time.
        """
        if len(requests) > BATCH_LIMIT:
            raise ValueError(f"at most {BATCH_LIMIT} requests in one call")
        if not all(request.segments > 0 and request.scopes for request in requests):
            raise ValueError("a permit is for at least one segment of at least one scope")
        scopes = _Numbered()
        wanted = [(scopes.places(group), count, bypass) for group, count, bypass in requests]
        return await self._ask("take", epoch, scopes, wanted)

    async def peek(
        self, epoch: int, groups: Sequence[Sequence[Scope]], segments: Sequence[int] = ()
    ) -> list[Verdict]:
        """For each group of scopes how much could be taken now, or when so many segments (one, if
        none are given) could.

        Takes nothing and looks past the gate. The answers are OPEN, REFUSED, UNKNOWN, NEVER.
        """
        scopes = _Numbered()
        wanted = [
            (scopes.places(group), count)
            for group, count in zip(groups, segments or [1] * len(groups), strict=True)
        ]
        return await self._ask("peek", epoch, scopes, wanted)

    async def look(self, epoch: int, scopes: Sequence[str]) -> dict[str, list[Used]]:
        """What is out of each scope that Redis knows, by window in the order of permit.lua; of the
        second only where it has been counted. Takes, fills and changes nothing."""
        reply = _decode_looked(await self._call("look", epoch, scopes, _encode(())))
        if reply.held != epoch or isinstance(reply.result, bool):
            raise EpochLost(reply.held or None, reply.stored)
        return {name: used for name, used in zip(scopes, reply.result, strict=True) if used}

    async def give_back(
        self, epoch: int, scopes: Sequence[str], segments: int, granted_at_ms: int
    ) -> None:
        """Return the tokens of a permit proven unused, into the slots they came from.

        Call at most once for a permit. Raises EpochLost, and returns nothing, under another epoch.
        """
        await self._run("give_back", epoch, scopes, segments, granted_at_ms)

    async def set_gates(
        self, epoch: int, times_ms: Mapping[str, int], windows: Mapping[str, int] | None = None
    ) -> None:
        """Shut the gates of lines until two seconds after these times, by Redis' clock, in ms: who
        comes meanwhile joins behind what is parked there. 0 opens a gate: nothing is. `windows` are
        those that the lines wait for, as far as it is that."""
        if times_ms:
            causes = [(windows or {}).get(line, 0) for line in times_ms]
            await self._run("set_gates", epoch, list(times_ms), list(times_ms.values()), causes)

    async def install_epoch(self, epoch: int) -> int:
        """Make `epoch` the one in force unless Redis holds a higher; returns the one in force.

        Every scope filled under a lower epoch becomes unknown.
        """
        reply = _decode(await self._call("install", epoch, [], b""))
        return reply.held

    async def fill(self, epoch: int, usage: Mapping[str, Sequence[tuple[int, int]]]) -> int:
        """Tell Redis what scopes have used: (start of a minute in ms, segments) pairs, any order.

        Returns how many it did not know; those known under this epoch already stay as they are.
        Read the usage after the epoch was committed.
        """
        filled_count = 0
        for page in _pages({scope: _coarsened(pairs) for scope, pairs in usage.items()}):
            known = await self._run("fill", epoch, list(page), list(page.values()))
            filled_count += known if isinstance(known, int) else 0
        return filled_count

    async def _ask(
        self, operation: str, epoch: int, scopes: _Numbered, wanted: Sequence[object]
    ) -> list[Verdict]:
        names = list(scopes.numbers)
        answers = await self._run(operation, epoch, names, scopes.limits, wanted)
        if not isinstance(answers, list):
            raise redis_link.LimiterUnavailable("redis: verdicts expected")
        return [
            Verdict(
                found.answer,
                found.at_ms,
                found.segments,
                tuple(names[index - 1] for index in found.indexes),
                found.window,
            )
            for found in answers
        ]

    async def _run(
        self, operation: str, epoch: int, scopes: Sequence[str], *arguments: object
    ) -> bool | int | list[_Answered] | None:
        reply = _decode(await self._call(operation, epoch, scopes, _encode(arguments)))
        if reply.held != epoch:
            raise EpochLost(reply.held or None, reply.stored)
        return reply.result

    async def _call(
        self, operation: str, epoch: int, scopes: Sequence[str], arguments: bytes
    ) -> bytes:
        keys = [f"{self._prefix}{name}" for name in ("epoch", *scopes)]
        return await _SCRIPT.run(self._link, keys, [operation, epoch, arguments])


def _coarsened(usage: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The usage in order, old minutes summed into the slots of the windows that still see them.

    44,640 minutes of a month become at most some 300 sums, so Redis is not held up.
    """
    newest_ms = max((minute_ms for minute_ms, _ in usage), default=0)
    sums: dict[int, int] = {}
    for minute_ms, segments in usage:
        age_ms = newest_ms - minute_ms
        slot_ms = next(slot_ms for younger_ms, slot_ms in _SLOTS_MS if age_ms < younger_ms)
        start_ms = minute_ms - minute_ms % slot_ms
        sums[start_ms] = sums.get(start_ms, 0) + segments
    return sorted(sums.items())


def _pages(
    usage: Mapping[str, list[tuple[int, int]]],
) -> Iterator[dict[str, list[tuple[int, int]]]]:
    """All of it, a call of the script each: no more scopes and sums in one than hold up Redis for a
    few milliseconds."""
    page: dict[str, list[tuple[int, int]]] = {}
    size = 0
    for scope, sums in usage.items():
        page[scope] = sums
        size += 1 + len(sums)
        if size >= FILL_LIMIT:
            yield page
            page, size = {}, 0
    if page:
        yield page


class _Numbered:
    """Every different scope once, by its name, numbered from 1 as Lua counts, and their limits."""

    __slots__ = ("limits", "numbers")

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.limits: list[tuple[int, ...]] = []

    def places(self, group: Iterable[Scope]) -> list[int]:
        """The numbers of these; what was not known gets the next."""
        found = []
        for scope in group:
            number = self.numbers.get(scope.name)
            if number is None:
                number = self.numbers[scope.name] = len(self.numbers) + 1
                self.limits.append(scope.limits)
            found.append(number)
        return found
