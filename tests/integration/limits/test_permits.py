"""Permits one case at a time: throughput, gate, epoch, lost Redis, and controls that must fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
import redis.asyncio

from shared.limits import permits
from shared.runtime import redis_link
from tests.integration.limits import oracle, virtual_clock

LINE = "line:a"
EPOCH = 7


async def _limiter(link: redis.asyncio.Redis, *names: str) -> permits.Permits:
    limiter = permits.Permits(link)
    await limiter.install_epoch(EPOCH)
    await limiter.fill(EPOCH, {name: [] for name in names or (LINE,)})
    return limiter


def _scope(window: int, limit: int, name: str = LINE) -> permits.Scope:
    limits = [permits.UNLIMITED] * 3
    limits[window] = limit
    return permits.Scope(name, *limits)


async def _take(
    limiter: permits.Permits, scope: permits.Scope, segments: int = 1, bypass: bool = False
) -> permits.Verdict:
    [verdict] = await limiter.take(EPOCH, [permits.Request((scope,), segments, bypass)])
    return verdict


async def _take_all_there_is(limiter: permits.Permits, scope: permits.Scope) -> permits.Verdict:
    """Take what can be had now; the answer tells when there is more."""
    [seen] = await limiter.peek(EPOCH, [[scope]])
    if seen.answer is permits.Answer.OPEN:
        taken = await _take(limiter, scope, seen.segments, bypass=True)
        assert taken.answer is permits.Answer.GRANTED
        return taken
    return seen


@pytest.mark.parametrize("window", [0, 1, 2])
@pytest.mark.parametrize("warm_up", ["at once", "evenly"])
async def test_saturated_line_reaches_its_limit_within_two_percent(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock, window: int, warm_up: str
) -> None:
    # Given a line whose first window was used up at once, or evenly
    limit, (slot_ms, length_ms) = 1_000, oracle.WINDOWS[window]
    limiter, scope = await _limiter(link), _scope(window, limit)
    await clock.set(clock.now - clock.now % slot_ms + slot_ms)
    if warm_up == "evenly":
        for _ in range(100):
            await _take(limiter, scope, limit // 100)
            await clock.advance(length_ms // 100)
    else:
        await _take(limiter, scope, limit)
    # When everything that comes back is taken at once for ten windows
    start, total = clock.now, 0
    while clock.now < start + 10 * length_ms:
        found = await _take_all_there_is(limiter, scope)
        total += found.segments
        if found.answer is permits.Answer.REFUSED:
            await clock.set(found.at_ms)
    total += (await _take_all_there_is(limiter, scope)).segments
    # Then the line moved at 98 % of its limit or better
    assert total >= 0.98 * limit * (clock.now - start) / length_ms


async def test_two_workers_share_one_limit_when_they_take_at_the_same_time(
    link: redis.asyncio.Redis, redis_url: str
) -> None:
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=100)
    async with redis_link.connect(redis_url) as second_link:
        workers = [limiter, permits.Permits(second_link)]
        batch = [permits.Request((scope,), 1)] * 10
        rounds = await asyncio.gather(
            *(worker.take(EPOCH, batch) for worker in workers for _ in range(10))
        )
    counts = Counter(verdict.answer for verdicts in rounds for verdict in verdicts)
    assert counts == {permits.Answer.GRANTED: 100, permits.Answer.REFUSED: 100}


async def test_nothing_is_taken_anywhere_when_one_scope_of_many_refuses(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    account = "account:1"
    limiter = await _limiter(link, LINE, account)
    line, full = permits.Scope(LINE, hour=10), permits.Scope(account, day=2)
    [refused, granted, refused_again] = await limiter.take(
        EPOCH,
        [
            permits.Request((line, full), 3),
            permits.Request((line, full), 2),
            permits.Request((line, full), 1),
        ],
    )
    assert (refused.answer, refused.scopes) == (permits.Answer.NEVER, (account,))
    assert granted.answer is permits.Answer.GRANTED
    assert (refused_again.answer, refused_again.scopes) == (permits.Answer.REFUSED, (account,))
    [seen] = await limiter.peek(EPOCH, [[line]])
    assert seen.segments == 8


async def test_newcomers_wait_behind_the_gate_until_it_opens(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=10)
    # Given a message of four segments that must wait on a line with three left
    await _take(limiter, scope, 7)
    parked = await _take(limiter, scope, 4)
    assert parked.answer is permits.Answer.REFUSED
    # When a short message comes, then it joins behind, though it would fit
    newcomer = await _take(limiter, scope, 1)
    assert newcomer == parked
    # But the scheduler passes
    assert (await _take(limiter, scope, 1, bypass=True)).answer is permits.Answer.GRANTED
    # And so does anyone once nothing is parked any more
    await limiter.set_gates(EPOCH, {LINE: 0})
    assert (await _take(limiter, scope, 1)).answer is permits.Answer.GRANTED


async def test_gate_opens_by_itself_two_seconds_after_the_line_is_ready(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=1)
    await _take(limiter, scope)
    parked = await _take(limiter, scope)
    await clock.set(parked.at_ms + 1_999)
    assert (await _take(limiter, scope)).answer is permits.Answer.REFUSED
    await clock.set(parked.at_ms + 2_000)
    assert (await _take(limiter, scope)).answer is permits.Answer.GRANTED


async def test_a16_no_second_permits_more_than_its_limit_and_a_waiting_line_uses_it(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    # Given a line that may send three segments a second, and wants more all the time
    limiter, scope = await _limiter(link), permits.Scope(LINE, second=3)
    await clock.set(clock.now - clock.now % 60_000 + 60_000)
    granted_ms: list[int] = []
    start = clock.now
    while clock.now < start + 20_000:
        verdict = await _take(limiter, scope, bypass=True)
        if verdict.answer is permits.Answer.GRANTED:
            granted_ms.append(verdict.at_ms)
            await clock.advance(len(granted_ms) % 7)
        else:
            # Then a refusal tells when, and that it is the second
            assert (verdict.window, verdict.scopes) == (4, (LINE,))
            assert clock.now < verdict.at_ms <= granted_ms[-3] + 1_100
            await clock.set(verdict.at_ms)
    for first, fourth in zip(granted_ms, granted_ms[3:], strict=False):
        assert fourth - first >= 1_000
    assert len(granted_ms) >= 0.9 * 3 * 20


async def test_a_scope_without_a_limit_by_the_second_is_no_larger_for_it(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    limiter = await _limiter(link, LINE, "line:b")
    await _take(limiter, permits.Scope(LINE, hour=20))
    plain_bytes = await link.strlen(f"sluice:limits:{LINE}")
    # When it is limited by the second from now on, what was taken in the minute counts as of now
    paced = permits.Scope(LINE, hour=20, second=2)
    assert (await _take(limiter, paced)).answer is permits.Answer.GRANTED
    assert (await _take(limiter, paced)).answer is permits.Answer.REFUSED
    assert await link.strlen(f"sluice:limits:{LINE}") > plain_bytes
    # And the other, never limited so, is as small as the first was
    await _take(limiter, permits.Scope("line:b", hour=20))
    assert await link.strlen("sluice:limits:line:b") == plain_bytes


async def test_a21_tokens_of_a_second_are_segments_all_or_none_and_come_back(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    limiter, scope = await _limiter(link), permits.Scope(LINE, second=3)
    # A message of more segments than a second ever has could never leave
    assert (await _take(limiter, scope, 4)).answer is permits.Answer.NEVER
    granted = await _take(limiter, scope, 2)
    assert (await _take(limiter, scope, 2, bypass=True)).answer is permits.Answer.REFUSED
    # What is given back can be used at once
    await limiter.give_back(EPOCH, [LINE], 2, granted.at_ms)
    assert (await _take(limiter, scope, 3, bypass=True)).answer is permits.Answer.GRANTED


async def test_tokens_taken_while_the_clock_had_gone_back_over_a_minute_come_back(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    # Given two tokens of a minute, and three that were taken after the clock went back before it
    limiter, scope = await _limiter(link), _scope(0, 5)
    await clock.set(clock.now - clock.now % 60_000 + 60_000)
    await _take(limiter, scope, 2)
    await clock.advance(-500)
    back = await _take(limiter, scope, 3)
    assert back.answer is permits.Answer.GRANTED
    # When these are given back, then they can be had again, and no more
    await limiter.give_back(EPOCH, [LINE], 3, back.at_ms)
    assert (await _take(limiter, scope, 4, bypass=True)).answer is permits.Answer.REFUSED
    assert (await _take(limiter, scope, 3, bypass=True)).answer is permits.Answer.GRANTED


async def test_tokens_that_have_returned_by_themselves_are_not_given_back_again(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    # Given a token that is back since its hour is over, and five that were taken since
    limiter, scope = await _limiter(link), _scope(0, 5)
    old = await _take(limiter, scope)
    await clock.advance(3_600_000 + 120_000)
    assert (await _take(limiter, scope, 5)).answer is permits.Answer.GRANTED
    # When it is given back, then none of the five are
    await limiter.give_back(EPOCH, [LINE], 1, old.at_ms)
    assert (await _take(limiter, scope, bypass=True)).answer is permits.Answer.REFUSED


async def test_a_second_that_redis_forgot_is_taken_for_used(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    # Given three segments of this minute, when Redis is filled anew
    limiter, scope = await _limiter(link), permits.Scope(LINE, second=3)
    await limiter.install_epoch(EPOCH + 1)
    await limiter.fill(EPOCH + 1, {LINE: [(clock.now - clock.now % 60_000, 3)]})
    # Then they may have left just now
    (verdict,) = await limiter.take(EPOCH + 1, [permits.Request((scope,), 1)])
    assert verdict.answer is permits.Answer.REFUSED
    assert verdict.at_ms <= clock.now + 1_100


async def test_limit_set_later_knows_what_was_sent_before(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    limiter = await _limiter(link)
    await _take(limiter, _scope(0, 100), 30)
    assert (await _take(limiter, _scope(2, 30))).answer is permits.Answer.REFUSED


async def test_month_of_minutes_counts_in_full_when_a_busy_scope_is_filled(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    # Given one segment in every minute of the last 32 days
    limiter = permits.Permits(link)
    await limiter.install_epoch(EPOCH)
    minute = clock.now - clock.now % 60_000
    usage = [(minute - age * 60_000, 1) for age in range(32 * 24 * 60)]
    # When the scope is filled
    await limiter.fill(EPOCH, {LINE: usage})
    # Then every window holds what brute force counts
    for window in range(3):
        [seen] = await limiter.peek(EPOCH, [[_scope(window, 100_000)]])
        assert 100_000 - seen.segments == oracle.Tokens(usage).out(window, clock.now)


async def test_thousands_of_scopes_are_filled_by_a_few_calls_when_none_is_known(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    # Given a memory that knows one scope of many, some of which have been busy
    limiter = await _limiter(link, "line:7")
    minute = clock.now - clock.now % 60_000
    usage = {
        f"line:{number}": [(minute - age * 60_000, 1) for age in range(number % 20)]
        for number in range(2_000)
    }
    before = await _calls(link)
    # When all are filled
    assert await limiter.fill(EPOCH, usage) == len(usage) - 1
    # Then each holds what it has used, but the one that was known what it held
    assert await _calls(link) - before < len(usage) / 100
    scopes = [_scope(0, 100, name) for name in usage]
    seen = [
        found
        for start in range(0, len(scopes), permits.BATCH_LIMIT)
        for found in await limiter.peek(
            EPOCH, [[scope] for scope in scopes[start : start + permits.BATCH_LIMIT]]
        )
    ]
    used = {name: 100 - found.segments for name, found in zip(usage, seen, strict=True)}
    assert used == {name: len(pairs) for name, pairs in usage.items()} | {"line:7": 0}


async def _calls(link: redis.asyncio.Redis) -> int:
    stats = await link.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


async def test_tokens_are_held_longer_when_the_clock_goes_back_a_little(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=2)
    await clock.set(clock.now - clock.now % 60_000 + 60_000)
    await _take(limiter, scope)
    before = clock.now + 60_000 + oracle.HOUR_MS + oracle.LATE_MS
    await clock.advance(-900)
    assert (await _take(limiter, scope)).answer is permits.Answer.GRANTED
    assert (await _take(limiter, scope)).at_ms == before


@pytest.mark.parametrize("steps_ms", [[-1_001], [-600, -401], [oracle.HOUR_MS, -oracle.HOUR_MS]])
async def test_memory_counts_for_nothing_when_the_clock_has_gone_back(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock, steps_ms: list[int]
) -> None:
    # Given a limiter that is asked between any two steps of Redis' clock
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=20)
    await _take(limiter, scope)
    for step_ms in steps_ms[:-1]:
        await clock.advance(step_ms)
        assert (await _take(limiter, scope)).answer is permits.Answer.GRANTED
    # When it has gone back by more than a second in all, tokens may have returned too early
    await clock.advance(steps_ms[-1])
    # Then none is given until the epoch is a new one
    with pytest.raises(permits.EpochLost) as lost:
        await _take(limiter, scope)
    assert (lost.value.held, lost.value.stored) == (None, EPOCH)
    assert await limiter.install_epoch(EPOCH + 1) == EPOCH + 1
    [verdict] = await limiter.take(EPOCH + 1, [permits.Request((scope,), 1)])
    assert verdict.answer is permits.Answer.UNKNOWN


async def test_permits_continue_when_redis_forgets_the_script(
    link: redis.asyncio.Redis,
) -> None:
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=2)
    await link.script_flush()
    assert (await _take(limiter, scope)).answer is permits.Answer.GRANTED


async def test_no_permit_is_given_when_redis_was_wiped(link: redis.asyncio.Redis) -> None:
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=2)
    await link.flushall()
    with pytest.raises(permits.EpochLost) as lost:
        await _take(limiter, scope)
    assert lost.value.held is None


async def test_scope_is_unknown_when_it_was_filled_under_an_older_epoch(
    link: redis.asyncio.Redis,
) -> None:
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=2)
    await limiter.install_epoch(EPOCH + 1)
    [verdict] = await limiter.take(EPOCH + 1, [permits.Request((scope,), 1)])
    assert (verdict.answer, verdict.scopes) == (permits.Answer.UNKNOWN, (LINE,))


async def test_key_outlives_every_token_in_it(link: redis.asyncio.Redis) -> None:
    await _limiter(link)
    life_ms = await link.pttl(f"sluice:limits:{LINE}")
    slot_ms, length_ms = oracle.WINDOWS[2]
    assert life_ms > slot_ms + length_ms + oracle.LATE_MS


async def test_a_key_lives_anew_from_each_slot_that_holds_its_last_token_longer(
    link: redis.asyncio.Redis, clock: virtual_clock.Clock
) -> None:
    key = f"sluice:limits:{LINE}"
    slot_ms, length_ms = oracle.WINDOWS[2]
    limiter, scope = await _limiter(link), permits.Scope(LINE)
    await clock.set(clock.now - clock.now % slot_ms + slot_ms)

    async def is_renewed() -> bool:
        await link.pexpire(key, 1_000_000)
        assert (await _take(limiter, scope)).answer is permits.Answer.GRANTED
        return await link.pttl(key) > slot_ms + length_ms + oracle.LATE_MS

    # Given a line that has sent nothing yet, Then its first token makes its key live anew
    assert await is_renewed()
    # When another is taken in its slot, which returns with it, Then the key lives long enough
    await clock.advance(slot_ms - 1)
    assert not await is_renewed()
    # But the next slot's first returns later
    await clock.advance(1)
    assert await is_renewed()
    # And so does the first after all have returned
    await clock.advance(slot_ms + length_ms + oracle.LATE_MS)
    assert await is_renewed()
    # When the gate is shut and tokens are given back, Then nothing is out for longer than before
    await link.pexpire(key, 1_000_000)
    await limiter.set_gates(EPOCH, {LINE: clock.now + 5_000})
    await limiter.give_back(EPOCH, [LINE], 1, clock.now)
    assert 0 < await link.pttl(key) <= 1_000_000


async def test_no_permit_is_given_when_redis_has_no_memory(link: redis.asyncio.Redis) -> None:
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=2)
    await link.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis_link.LimiterUnavailable):
            await _take(limiter, scope)
    finally:
        await link.config_set("maxmemory", 0)
    [seen] = await limiter.peek(EPOCH, [[scope]])
    assert seen.segments == 2


async def test_no_permit_is_given_when_redis_never_answers() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, redis_link.connect(f"redis://127.0.0.1:{port}/0") as silent:
        with pytest.raises(redis_link.LimiterUnavailable):
            await asyncio.wait_for(permits.Permits(silent).install_epoch(1), timeout=5)


@pytest.mark.parametrize("segments", [0, -1])
async def test_request_is_refused_when_it_asks_for_no_segment(
    link: redis.asyncio.Redis, segments: int
) -> None:
    limiter = await _limiter(link)
    with pytest.raises(ValueError):
        await limiter.take(EPOCH, [permits.Request((permits.Scope(LINE),), segments)])


# Controls: the checker of the stateful test must catch limiters that are known to be wrong.


def _sent(
    order: int, granted_at_ms: int, sent_at_ms: int, segments: int, limit: int
) -> oracle.Sent:
    limits = (limit, permits.UNLIMITED, permits.UNLIMITED)
    return oracle.Sent(order, granted_at_ms, sent_at_ms, segments, limits)


def test_checker_catches_a_bucket_that_is_refilled_all_the_time() -> None:
    limit, level, history = 60, 60.0, []
    for minute in range(120):
        level = min(limit, level + limit / 60)
        taken, level = int(level), level - int(level)
        history.append(_sent(minute, minute * 60_000, minute * 60_000, taken, limit))
    with pytest.raises(AssertionError, match="segments in a window of 60"):
        oracle.assert_within_limits(history)


def test_checker_catches_a_counter_that_starts_anew_every_hour() -> None:
    limit, hour = 10, oracle.HOUR_MS
    history = [_sent(0, hour - 1, hour - 1, limit, limit), _sent(1, hour, hour, limit, limit)]
    with pytest.raises(AssertionError, match="20 segments in a window of 10"):
        oracle.assert_within_limits(history)


@pytest.mark.parametrize(("late_ms", "holds"), [(oracle.LATE_MS, True), (0, False)])
async def test_checker_catches_windows_that_forget_how_late_a_permit_may_be_used(
    link: redis.asyncio.Redis,
    clock: virtual_clock.Clock,
    monkeypatch: pytest.MonkeyPatch,
    late_ms: int,
    holds: bool,
) -> None:
    # Given the script as it is, or with windows that are not lengthened
    sum_ms = "AGE_LIMIT_MS + 2 * CLOCKS_APART_MS + CLOCK_BACK_MS"
    change = (f"local LATE_MS = {sum_ms}", f"local LATE_MS = {late_ms}")
    path = Path(permits.__file__).with_name("permit.lua")
    monkeypatch.setattr(permits, "_SCRIPT", virtual_clock.clocked(path, change))
    limiter, scope = await _limiter(link), permits.Scope(LINE, hour=10)
    # When all is taken at the end of a slot and used late, and all again when it is ready
    await clock.set(clock.now - clock.now % 60_000 + 59_999)
    old = await _take(limiter, scope, 10)
    refused = await _take(limiter, scope, 10)
    await clock.set(refused.at_ms)
    new = await _take(limiter, scope, 10, bypass=True)
    history = [
        _sent(0, old.at_ms, old.at_ms + oracle.AGE_LIMIT_MS, 10, 10),
        _sent(1, new.at_ms, new.at_ms, 10, 10),
    ]
    # Then only the lengthened windows keep the law
    if holds:
        oracle.assert_within_limits(history)
    else:
        with pytest.raises(AssertionError, match="20 segments in a window of 10"):
            oracle.assert_within_limits(history)
