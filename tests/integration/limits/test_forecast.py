"""A week of a line in compressed time: the real limiter says when messages leave, and so how honest
the forecast was that they were accepted with."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import redis.asyncio

from shared.limits import forecast, permits
from shared.limits.forecast import MessageKind, ScopeOutlook
from shared.rules import line_limits
from tests.integration.limits import oracle, virtual_clock

EPOCH = 7
TIGHT_MS, AMPLE_MS = 5_000, 60_000
"""How old an outlook may be, as in ingest."""
TURN_MS = 500
"""How often the scheduler looks."""
SLACK_MS = 3_000


@dataclass(frozen=True, slots=True)
class _Message:
    number: int
    accepted_at_ms: int
    message_class: int
    segments: int

    @property
    def kind(self) -> MessageKind:
        return MessageKind(self.message_class, "FR")


@dataclass(slots=True)
class _Line:
    """A line with its limiter, what is parked on it, and when everything was to leave and left."""

    limiter: permits.Permits
    scope: permits.Scope
    clock: virtual_clock.Clock
    parked: list[tuple[int, int, _Message]] = field(default_factory=list)
    used: Counter[int] = field(default_factory=Counter)
    promised: dict[int, int] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)
    outlook: ScopeOutlook | None = None
    tempo: forecast.AcceptTempo = field(default_factory=forecast.AcceptTempo)
    ready_at_ms: int = 0

    async def accept(self, message: _Message) -> None:
        await self.clock.set(message.accepted_at_ms)
        outlook = self._known_outlook()
        promised = outlook.leaves_at_ms(self.clock.now, message.kind, message.segments)
        self.promised[message.number] = max(promised, self.clock.now)
        outlook.count(self.clock.now, message.kind, message.segments)
        if self.parked or not await self._try(message, bypass=False):
            heapq.heappush(self.parked, (message.message_class, message.number, message))

    def _known_outlook(self) -> ScopeOutlook:
        now = self.clock.now
        known = self.outlook
        if known is None or now - known.read_at_ms > (TIGHT_MS if known.tight else AMPLE_MS):
            waiting: Counter[MessageKind] = Counter()
            for _, _, message in self.parked:
                waiting[message.kind] += message.segments
            horizon = now - oracle.MONTH_MS - 6 * oracle.HOUR_MS
            used = sorted((at, count) for at, count in self.used.items() if at > horizon)
            known = self.outlook = ScopeOutlook(self.scope, now, used, waiting, self.tempo)
        return known

    async def release_until(self, until_ms: int) -> None:
        """Let go what may leave before then, most urgent and oldest first."""
        while self.parked and self.ready_at_ms <= until_ms:
            turn_ms = self.ready_at_ms - self.ready_at_ms % TURN_MS + TURN_MS
            await self.clock.set(max(self.clock.now, turn_ms))
            while self.parked and await self._try(self.parked[0][2], bypass=True):
                heapq.heappop(self.parked)

    async def _try(self, message: _Message, *, bypass: bool) -> bool:
        request = permits.Request((self.scope,), message.segments, bypass)
        [verdict] = await self.limiter.take(EPOCH, [request])
        if verdict.answer is not permits.Answer.GRANTED:
            self.ready_at_ms = verdict.at_ms
            return False
        self.left[message.number] = self.clock.now
        self.used[self.clock.now - self.clock.now % 60_000] += message.segments
        return True


def _week(chance: random.Random, start_ms: int, per_day: int) -> Iterator[_Message]:
    """Days with quiet nights and codes among the rest, and two mailings of a fifth of the day."""
    times: list[tuple[int, int]] = []
    for day in range(7):
        midnight = start_ms + day * oracle.DAY_MS
        for _ in range(int(0.6 * per_day)):
            hour = min(23.9, max(0.0, chance.gauss(14, 4)))
            message_class = chance.choices((0, 1), (3, 97))[0]
            times.append((midnight + int(hour * oracle.HOUR_MS), message_class))
        for _ in range(2):
            mailing = midnight + chance.randrange(8, 20) * oracle.HOUR_MS
            times += [(mailing + 20 * n, 1) for n in range(per_day // 5)]
    for number, (at, message_class) in enumerate(sorted(times)):
        yield _Message(number, at, message_class, chance.choices((1, 2, 3), (80, 15, 5))[0])


@pytest.mark.parametrize(
    ("limits", "second_limit"),
    [
        (line_limits.FRENCH_MOBILE, None),
        (line_limits.LineLimits(hour=60, day=800, month=4_000), None),
        (line_limits.LineLimits(hour=150, day=1_000, month=10_000), 5),
    ],
    ids=["french", "tight month", "paced"],
)
async def test_in_a_week_19_of_20_messages_leave_when_it_was_said(
    link: redis.asyncio.Redis,
    clock: virtual_clock.Clock,
    limits: line_limits.LineLimits,
    second_limit: int | None,
) -> None:
    # Given a line that is asked for about as much as it may send
    limiter = permits.Permits(link)
    await limiter.install_epoch(EPOCH)
    await limiter.fill(EPOCH, {"line:a": []})
    scope = permits.Scope("line:a", limits.hour, limits.day, limits.month, second_limit)
    line = _Line(limiter, scope, clock)
    # When a week passes, and what is left over has time to leave
    messages = list(_week(random.Random(8), clock.now, limits.day * 7 // 10))
    for message in messages:
        await line.release_until(message.accepted_at_ms)
        await line.accept(message)
    end_ms = messages[-1].accepted_at_ms + 3 * oracle.DAY_MS
    await line.release_until(end_ms)
    # Then 19 of 20 have left within a tenth of their wait of when it was said
    honest, waited = [], []
    for message in messages:
        said, left = line.promised[message.number], line.left.get(message.number)
        if left is None:
            waited.append(said >= end_ms - oracle.DAY_MS // 2)
            continue
        wait = left - message.accepted_at_ms
        is_honest = abs(said - left) <= max(SLACK_MS, wait // 10)
        honest.append(is_honest)
        if wait > SLACK_MS:
            waited.append(is_honest)
    print(
        f"{len(messages)} messages: {sum(honest) / len(honest):.1%} as said;"
        f" {len(waited)} waited: {sum(waited) / len(waited):.1%} as said"
    )
    assert len(waited) > len(messages) // 4
    assert sum(honest) >= 0.95 * len(honest)
    assert sum(waited) >= 0.95 * len(waited)
