"""Takes, waits, wipes and changes of limits in any order keep law 6, with no needless no."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.limits import permits
from shared.runtime import redis_link
from tests.integration.limits import oracle, virtual_clock

LINES = ("line:a", "line:b")
SHARED = ("country:1:FR", "account:1")
NAMES = LINES + SHARED
GATE_MARGIN_MS = 2_000
EXAMPLE_COUNT = int(os.environ.get("SLUICE_TEST_EXAMPLES", "30"))

limits_in_force = st.tuples(
    st.integers(3, 20) | st.just(permits.UNLIMITED),
    st.integers(3, 40) | st.just(permits.UNLIMITED),
    st.integers(3, 60) | st.just(permits.UNLIMITED),
)
steps_ms = st.one_of(
    st.integers(0, 5_000),
    st.integers(0, 180_000),
    st.integers(0, 2 * oracle.HOUR_MS),
    st.integers(0, 2 * oracle.DAY_MS),
    st.integers(0, 40 * oracle.DAY_MS),
    st.sampled_from((60_000, 900_000, oracle.HOUR_MS, oracle.DAY_MS, oracle.MONTH_MS)),
)
wishes = st.tuples(
    st.sampled_from(LINES),
    st.sets(st.sampled_from(SHARED)),
    st.integers(1, 6),
    st.booleans(),
)


@dataclass(frozen=True, slots=True)
class Permit:
    """A granted permit that was neither used nor given back yet."""

    epoch: int
    order: int
    granted_at_ms: int
    request: permits.Request


class Limiter(RuleBasedStateMachine):
    """Two workers, one Redis, and the truth in plain lists."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.links = [redis_link.connect(self.url) for _ in range(2)]
        self.workers = [permits.Permits(link) for link in self.links]
        self.epochs = [1, 1]  # what each worker believes
        self.epoch = 1  # what is true
        self.clock = virtual_clock.Clock(self.links[0])
        self.limits: dict[str, oracle.Limits] = {}
        self.tokens: dict[str, oracle.Tokens] = {}
        self.gates: dict[str, int] = {}
        self.gate_windows: dict[str, int] = {}
        self.pending: list[Permit] = []
        self.sent: dict[str, list[oracle.Sent]] = {name: [] for name in NAMES}
        self.granted_count = 0

    def teardown(self) -> None:
        self.runner.run(self._close())
        self.runner.close()
        for history in self.sent.values():
            oracle.assert_within_limits(history)

    async def _close(self) -> None:
        for link in self.links:
            await link.aclose()

    @initialize(
        limits=st.tuples(*[limits_in_force] * len(NAMES)), start=st.integers(0, oracle.MONTH_MS)
    )
    def begin(self, limits: tuple[oracle.Limits, ...], start: int) -> None:
        self.limits = dict(zip(NAMES, limits, strict=True))
        self.runner.run(self._begin(start))

    async def _begin(self, start: int) -> None:
        await self.links[0].flushall()
        await self.clock.set(virtual_clock.START_MS + start)
        assert await self.workers[0].install_epoch(1) == 1

    # What the workers do

    @rule(worker=st.integers(0, 1), batch=st.lists(wishes, min_size=1, max_size=12))
    def take(self, worker: int, batch: list[tuple[str, set[str], int, bool]]) -> None:
        requests = [self._request(*wish) for wish in batch]
        self.runner.run(self._take(worker, requests))

    @rule(worker=st.integers(0, 1), line=st.sampled_from(LINES), bypass=st.booleans())
    def saturate(self, worker: int, line: str, bypass: bool) -> None:
        requests = [self._request(line, set(SHARED), 1, bypass)] * 30
        self.runner.run(self._take(worker, requests))

    @rule(line=st.sampled_from(LINES), others=st.sets(st.sampled_from(SHARED)))
    def look(self, line: str, others: set[str]) -> None:
        request = self._request(line, others, 1, True)
        self.runner.run(self._look(request))

    @rule(line=st.sampled_from(LINES), segments=st.integers(1, 6))
    def come_back_when_told(self, line: str, segments: int) -> None:
        self.runner.run(self._come_back(self._request(line, set(SHARED), segments, True)))

    @rule(line=st.sampled_from(LINES), left_ms=st.integers(1, 5_000), window=st.integers(0, 2))
    def take_all_late_in_a_slot_and_again_when_told(
        self, line: str, left_ms: int, window: int
    ) -> None:
        """The tightest squeeze: old permits used as late as may be, new ones at once."""
        slot_ms, _ = oracle.WINDOWS[window]
        self._pass_time(slot_ms - self.clock.now % slot_ms + slot_ms - left_ms, late=True)
        everything = [self._request(line, set(), 1, True)] * 30
        self.runner.run(self._take(0, everything))
        ready = self._ready(everything[0])
        if ready:
            self._pass_time(ready[line] - self.clock.now, late=True)
            self.runner.run(self._take(1, everything))
            self._use_pending(self.clock.now)

    @rule()
    def use_permits(self) -> None:
        self._use_pending(self.clock.now)

    @precondition(lambda self: self.pending)
    @rule(pick=st.integers(0, 1_000))
    def give_back(self, pick: int) -> None:
        permit = self.pending.pop(pick % len(self.pending))
        names = [scope.name for scope in permit.request.scopes]
        segments, at_ms = permit.request.segments, permit.granted_at_ms
        call = self.workers[0].give_back(permit.epoch, names, segments, at_ms)
        if permit.epoch != self.epoch:
            with pytest.raises(permits.EpochLost):
                self.runner.run(call)
            return
        self.runner.run(call)
        for name in names:
            self.tokens[name].give_back(at_ms, segments)
        if names[0] in self.gates:
            # Whoever waits there was told a time that no longer holds.
            self.gates[names[0]] = min(self.gates[names[0]], self.clock.now + GATE_MARGIN_MS)

    @rule(line=st.sampled_from(LINES))
    def open_gate(self, line: str) -> None:
        self.runner.run(self.workers[0].set_gates(self.epoch, {line: 0}))
        self.gates.pop(line, None)

    # What happens to them

    @rule(step_ms=steps_ms, late=st.booleans())
    def wait(self, step_ms: int, late: bool) -> None:
        self._pass_time(step_ms, late)

    @rule(name=st.sampled_from(NAMES), limits=limits_in_force)
    def change_limits(self, name: str, limits: oracle.Limits) -> None:
        self.limits[name] = limits

    @rule(rebuilder=st.integers(0, 1))
    def wipe_redis(self, rebuilder: int) -> None:
        self.runner.run(self._wipe(rebuilder))

    @rule(rebuilder=st.integers(0, 1))
    def raise_epoch(self, rebuilder: int) -> None:
        self.runner.run(self._raise_epoch(rebuilder))

    @rule()
    def forget_scripts(self) -> None:
        self.runner.run(self._forget_scripts())

    # How

    def _request(self, line: str, others: set[str], segments: int, bypass: bool) -> permits.Request:
        names = (line, *sorted(others))
        scopes = tuple(permits.Scope(name, *self.limits[name]) for name in names)
        return permits.Request(scopes, segments, bypass)

    def _pass_time(self, step_ms: int, late: bool) -> None:
        if late:
            for permit in list(self.pending):
                last_ms = permit.granted_at_ms + oracle.AGE_LIMIT_MS
                if last_ms <= self.clock.now + step_ms:
                    self.pending.remove(permit)
                    self._use(permit, last_ms)
        self.runner.run(self.clock.advance(step_ms))

    def _use_pending(self, now_ms: int) -> None:
        for permit in self.pending:
            self._use(permit, now_ms)
        self.pending.clear()

    def _use(self, permit: Permit, now_ms: int) -> None:
        """Intent and send: the database refuses an old epoch, the worker an old permit."""
        if permit.epoch != self.epoch or now_ms > permit.granted_at_ms + oracle.AGE_LIMIT_MS:
            return
        for scope in permit.request.scopes:
            limits = (scope.hour, scope.day, scope.month)
            sent = oracle.Sent(
                permit.order, permit.granted_at_ms, now_ms, permit.request.segments, limits
            )
            self.sent[scope.name].append(sent)

    async def _forget_scripts(self) -> None:
        await self.links[0].script_flush()

    async def _wipe(self, rebuilder: int) -> None:
        await self.links[0].flushall()
        await self.clock.set(self.clock.now)
        for worker, epoch in zip(self.workers, self.epochs, strict=True):
            with pytest.raises(permits.EpochLost) as lost:
                await worker.take(epoch, [self._request(LINES[0], set(), 1, False)])
            assert lost.value.held is None
        await self._raise_epoch(rebuilder)

    async def _raise_epoch(self, rebuilder: int) -> None:
        self.epoch += 1
        self.epochs[rebuilder] = self.epoch
        assert await self.workers[rebuilder].install_epoch(self.epoch) == self.epoch
        assert await self.workers[1 - rebuilder].install_epoch(self.epoch - 1) == self.epoch
        self.tokens.clear()
        self.gates.clear()

    async def _fill(self, name: str) -> None:
        usage = [
            (one.granted_at_ms - one.granted_at_ms % 60_000, one.segments)
            for one in self.sent[name]
        ]
        assert await self.workers[0].fill(self.epoch, {name: usage}) == 1
        assert await self.workers[1].fill(self.epoch, {name: []}) == 0
        self.tokens[name] = oracle.Tokens(usage)

    async def _ready_worker(self, worker: int, scopes: tuple[permits.Scope, ...]) -> None:
        """Catch up with the epoch, and have every scope of the call filled."""
        if self.epochs[worker] != self.epoch:
            with pytest.raises(permits.EpochLost) as lost:
                await self.workers[worker].peek(self.epochs[worker], [scopes])
            assert lost.value.held == self.epoch
            self.epochs[worker] = self.epoch
        [seen] = await self.workers[worker].peek(self.epoch, [scopes])
        missing = tuple(scope.name for scope in scopes if scope.name not in self.tokens)
        assert (seen.answer is permits.Answer.UNKNOWN) == bool(missing)
        if missing:
            assert seen.scopes == missing
            for name in missing:
                await self._fill(name)

    async def _take(self, worker: int, requests: list[permits.Request]) -> None:
        for request in requests:
            await self._ready_worker(worker, request.scopes)
        verdicts = await self.workers[worker].take(self.epoch, requests)
        for request, verdict in zip(requests, verdicts, strict=True):
            self._judge(request, verdict)

    def _judge(self, request: permits.Request, verdict: permits.Verdict) -> None:
        now = self.clock.now
        line = request.scopes[0].name
        ready = self._ready(request)
        if max(ready.values(), default=-1) < 0:
            assert verdict.answer is permits.Answer.NEVER
            return
        gate_until = self.gates.get(line, 0)
        if not request.bypass and gate_until > now:
            expected = permits.Verdict(
                permits.Answer.REFUSED,
                gate_until - GATE_MARGIN_MS,
                0,
                (line,),
                self.gate_windows[line],
            )
            assert verdict == expected
        elif max(ready.values()) > now:
            assert verdict.answer is permits.Answer.REFUSED
            assert verdict.at_ms == max(ready.values())
            assert ready[verdict.scopes[0]] == verdict.at_ms
            assert verdict.window in self._last_windows(request, verdict.scopes[0])
            if ready[line] > now:
                self.gates[line] = ready[line] + GATE_MARGIN_MS
                self.gate_windows[line] = min(self._last_windows(request, line))
        else:
            assert verdict == permits.Verdict(permits.Answer.GRANTED, now, request.segments, ())
            self._keep(request)

    def _ready(self, request: permits.Request) -> dict[str, int]:
        """When each scope would have room; empty when one never has."""
        limits = {scope.name: (scope.hour, scope.day, scope.month) for scope in request.scopes}
        if any(request.segments > min(limit) for limit in limits.values()):
            return {}
        return {
            name: self.tokens[name].ready_at(limit, request.segments, self.clock.now)
            for name, limit in limits.items()
        }

    def _last_windows(self, request: permits.Request, name: str) -> list[int]:
        """The numbers of the windows that have room last in a scope, each looked at alone."""
        (scope,) = [scope for scope in request.scopes if scope.name == name]
        moments = []
        for window, limit in enumerate((scope.hour, scope.day, scope.month)):
            alone = [permits.UNLIMITED] * 3
            alone[window] = limit
            hour, day, month = alone
            moments.append(
                self.tokens[name].ready_at((hour, day, month), request.segments, self.clock.now)
            )
        return [number for number, at in enumerate(moments, 1) if at == max(moments)]

    def _keep(self, request: permits.Request) -> None:
        self.granted_count += 1
        self.pending.append(Permit(self.epoch, self.granted_count, self.clock.now, request))
        for scope in request.scopes:
            self.tokens[scope.name].take(self.clock.now, request.segments)

    async def _look(self, request: permits.Request) -> None:
        await self._ready_worker(0, request.scopes)
        [seen] = await self.workers[0].peek(self.epoch, [request.scopes])
        now = self.clock.now
        room = min(
            self.tokens[scope.name].room((scope.hour, scope.day, scope.month), now)
            for scope in request.scopes
        )
        if room >= 1:
            assert seen == permits.Verdict(permits.Answer.OPEN, now, room, ())
        else:
            assert seen.answer is permits.Answer.REFUSED
            assert seen.at_ms == max(self._ready(request).values())

    async def _come_back(self, request: permits.Request) -> None:
        """A refusal's time is true: a moment before it is too early, then it is not."""
        await self._ready_worker(0, request.scopes)
        [first] = await self.workers[0].take(self.epoch, [request])
        self._judge(request, first)
        if first.answer is not permits.Answer.REFUSED:
            return
        self._use_pending(self.clock.now)
        await self.clock.set(first.at_ms - 1)
        [early] = await self.workers[0].take(self.epoch, [request])
        assert early.answer is permits.Answer.REFUSED
        self._judge(request, early)
        await self.clock.set(first.at_ms)
        [second] = await self.workers[0].take(self.epoch, [request])
        assert second.answer is permits.Answer.GRANTED
        self._judge(request, second)


def test_law_six_holds_when_anything_happens_in_any_order(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(permits.__file__).with_name("permit.lua")
    monkeypatch.setattr(permits, "_SCRIPT", virtual_clock.clocked(path))
    monkeypatch.setattr(Limiter, "url", redis_url)
    run_state_machine_as_test(
        Limiter,
        settings=settings(
            max_examples=EXAMPLE_COUNT, stateful_step_count=40, deadline=None, derandomize=True
        ),
    )
