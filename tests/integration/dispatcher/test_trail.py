"""What the rows of a message do not keep is told by its trace; the plain way writes nothing."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from services.dispatcher import park
from services.dispatcher.dispatch import dispatch
from services.dispatcher.schedule import Scheduler
from services.dispatcher.sweep import Sweeper
from shared.carriers import outcomes
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import traces
from shared.limits.limiter import FullBucket, Never
from shared.runtime import ids
from shared.shapes import message_trace
from shared.shapes.timeline import LimitBucket
from tests.integration.dispatcher.carrier import ACCEPTED, REJECTED, desk_of, send
from tests.integration.dispatcher.conftest import LINE_LIMIT, Town
from tests.integration.dispatcher.timelines import told, traced

THROTTLED = Outcome(OutcomeKind.THROTTLED, code="0x58", retry_after_ms=60_000)


async def trail_page_count(town: Town) -> int:
    return int(await town.pool.fetchval("SELECT count(*) FROM trail_pages"))


async def test_the_plain_way_is_told_and_has_written_nothing(town: Town) -> None:
    # given a message that its carrier took at once
    (item,) = await town.accept(1)
    await send(town, item, [ACCEPTED])
    # then its trace has the whole way, by the rows that are there in any case
    trace = await traced(town, item)
    assert [entry.what for entry in trace.timeline if entry.what != "event"] == [
        "accepted",
        "debited",
        "attempt",
        "answered",
    ]
    assert [event.state for event in told(trace, "event")] == ["submitted"]
    (answered,) = told(trace, "answered")
    assert (answered.outcome, answered.carrier_message_id) == ("accepted", "id")
    assert (trace.route.carrier, trace.price.segment_price) == ("practice", "0.0453")
    assert trace.not_known == []
    # and nothing was written for it
    assert await trail_page_count(town) == 0


async def test_each_attempt_is_told_with_its_answer(town: Town) -> None:
    # given a message that was throttled, found no link, and was taken at last
    (item,) = await town.accept(1)
    for outcome in (THROTTLED, outcomes.UNAVAILABLE, ACCEPTED):
        await send(town, item, [outcome])
    # then each attempt has its answer, and what was not taken is charged no more
    trace = await traced(town, item)
    answers = told(trace, "answered")
    assert [each.outcome for each in answers] == ["throttled", "unavailable", "accepted"]
    assert [each.at for each in told(trace, "attempt")] == [each.of for each in answers]
    assert [each.limits_returned is True for each in answers] == [True, True, False]
    assert answers[0].code == "0x58"
    assert isinstance(answers[0].until, datetime)
    assert (answers[0].until - answers[0].at).total_seconds() > 55


async def test_a_refusal_is_told_with_the_carrier_s_word_and_the_refunds(town: Town) -> None:
    (item,) = await town.accept(1, segment_count=2)
    await send(town, item, [REJECTED])
    trace = await traced(town, item)
    assert [(each.part, each.code) for each in told(trace, "answered")] == [(1, "0x0B")]
    assert [(each.part, each.state) for each in told(trace, "ended")] == [(2, "canceled")]
    assert [each.part for each in told(trace, "refunded")] == [1, 2]
    assert [each.state for each in told(trace, "event")] == ["rejected"]


async def test_a_wait_is_told_with_the_bucket_that_caused_it(town: Town) -> None:
    # given one more than the line may send in an hour, and one that comes behind it
    items = await town.accept(LINE_LIMIT + 2, line=town.small)
    await dispatch(desk_of(town), 1, items[:-1])
    await dispatch(desk_of(town), 1, items[-1:])
    # then both wait for the hour, the second by the gate that the first has shut
    for item in items[-2:]:
        (waited,) = told(await traced(town, item), "waited")
        assert waited.bucket == LimitBucket("line", "hour")
        assert isinstance(waited.until, datetime)
        assert (waited.until - waited.at).total_seconds() > 3_500
    # when the line is looked at again and still has nothing, then its head waits as before
    scheduler = Scheduler(town.pool, town.configured, town.limiter)
    await town.pool.execute("UPDATE parked_lines SET ready_at = now()")
    await scheduler.turn()
    (waited,) = told(await traced(town, items[-2]), "waited")
    # and when it may send more, then they are let go
    await town.pool.execute("UPDATE lines SET hour_limit = 1000 WHERE sender = 'Small'")
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    await town.configured.refresh()
    await scheduler.wake_changed(town.configured.current)
    await scheduler.turn()
    trace = await traced(town, items[-1])
    assert [each.what for each in told(trace, "waited", "released")] == ["waited", "released"]
    assert [each.state for each in told(trace, "event")] == ["parked", "queued"]
    assert trace.waits is not None
    assert trace.waits.state == "ready"


async def test_a_wait_for_a_country_is_told_as_one(town: Town) -> None:
    # given a country that takes no more today
    await town.pool.execute(
        "INSERT INTO country_limits (account_id, country, day_limit) VALUES (NULL, 'FR', 1)"
    )
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    await town.configured.refresh()
    first, second = await town.accept(2)
    await dispatch(desk_of(town), 1, [first])
    await dispatch(desk_of(town), 1, [second])
    (waited,) = told(await traced(town, second), "waited")
    assert waited.bucket == LimitBucket("country", "day")


async def test_what_can_never_go_is_told_with_the_bucket_it_does_not_fit(town: Town) -> None:
    (item,) = await town.accept(1)
    await park.fail(town.pool, [(item, Never(FullBucket("line", 3)))], "too long")
    trace = await traced(town, item)
    (impossible,) = told(trace, "impossible")
    assert impossible.bucket == LimitBucket("line", "month")
    assert [each.state for each in told(trace, "ended")] == ["failed"]


async def test_a_lost_answer_and_what_followed_is_told(town: Town) -> None:
    # given a message that may go out twice, whose first answer was lost
    (item,) = await town.accept(1, at_least_once=True)
    await send(town, item, [outcomes.LOST])
    await Sweeper(town.pool, ids.uuid7(), 0).resubmit()
    await send(town, item, [ACCEPTED])
    # then both attempts are told, and why there were two
    trace = await traced(town, item)
    assert [each.what for each in told(trace, "attempt", "answered", "resubmitted")] == [
        "attempt",
        "answered",
        "resubmitted",
        "attempt",
        "answered",
    ]
    assert [each.outcome for each in told(trace, "answered")] == ["lost", "accepted"]
    assert [each.state for each in told(trace, "event")] == ["in_doubt", "queued", "submitted"]


async def test_what_was_recorded_twice_is_told_once(town: Town) -> None:
    (item,) = await town.accept(1)
    await send(town, item, [THROTTLED])
    await town.pool.execute("INSERT INTO trail_pages SELECT * FROM trail_pages")
    assert len(told(await traced(town, item), "answered")) == 1


async def test_a_message_from_before_trails_says_so(town: Town) -> None:
    (item,) = await town.accept(1)
    await town.pool.execute("UPDATE messages SET created_at = '2026-01-01'")
    trace = await traced(town, item)
    assert any("were not written down" in sentence for sentence in trace.not_known)


async def test_another_account_s_message_has_no_trace(town: Town) -> None:
    (item,) = await town.accept(1)
    async with town.pool.acquire() as opened:
        assert await traces.read(opened, 2, item.message_id) is None
        assert await traces.read(opened, 1, uuid.uuid4()) is None


@pytest.mark.parametrize(
    "raw",
    [
        '{"text":"id:9 stat:DELIVRD text:hello","phones":["33612345678"]}',
        '{"id":"9","to":"+33612345678"}',
        '{"id":"9","to":"0612345678"}',
    ],
)
async def test_a_raw_receipt_shows_no_text_and_no_number_to_whoever_may_not_see_it(
    town: Town, raw: str
) -> None:
    # given a receipt in which a carrier repeats what it should not
    (item,) = await town.accept(1)
    phone = "+33612345678"
    await town.pool.execute("UPDATE messages SET recipient = $1", phone)
    await town.pool.execute(
        "INSERT INTO receipt_pages VALUES ($1::uuid, $1::uuid, 1,"
        " ARRAY[$1::uuid], '{1}', '{delivered}', $2, $3)",
        item.message_id,
        [datetime.now(UTC)],
        [raw.encode()],
    )
    async with town.pool.acquire() as opened:
        stored = await traces.read(opened, 1, item.message_id)
    assert stored is not None

    def shown(mask: Any) -> str:
        return repr(message_trace.shown(stored, mask))

    # then its account sees the number, others do not, and nobody the text
    assert "612345678" in shown(None)
    assert "612345678" not in shown(lambda number: "***")
    assert "hello" not in shown(None)
