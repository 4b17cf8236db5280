"""Messages leave a carrier that is not well, or that sends them on; what it may have stays."""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import UUID

import pytest

from services.dispatcher import health, record, reroute
from services.dispatcher.dispatch import dispatch
from services.dispatcher.health import Doctor, Health, LaneLook
from services.dispatcher.sweep import Sweeper
from shared.broker import envelopes
from shared.carriers import outcomes
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import parking, standings
from shared.rules import standings as standings_rules
from shared.rules.standings import CarrierStanding, Condition
from tests.integration.dispatcher.carrier import ACCEPTED, desk_of, send, submitted
from tests.integration.dispatcher.conftest import LINE_LIMIT, Town

FIRST, SECOND, THIRD = 1, 2, 3
ELSEWHERE = Outcome(OutcomeKind.ELSEWHERE, code="0x400", reason="not served")
LATER = Outcome(OutcomeKind.THROTTLED)


@pytest.fixture
async def roads(town: Town) -> Town:
    """The town with three carriers, in this order."""
    await town.pool.execute(
        "INSERT INTO carriers (name, adapter, settings) VALUES ('second', 'smpp', '{}'),"
        " ('third', 'smpp', '{}')"
    )
    await town.pool.execute(
        "INSERT INTO routes (country, carrier_id, priority) VALUES ('FR', 1, 1), ('FR', 2, 2),"
        " ('*', 3, 1)"
    )
    await reload(town)
    return town


async def reload(town: Town) -> None:
    await town.pool.execute("UPDATE configuration_version SET version = version + 1")
    await town.configured.refresh()


async def carriers(town: Town) -> dict[UUID, tuple[int, int]]:
    """Message → (its carrier, that for which it waits)."""
    rows = await town.pool.fetch(
        "SELECT message_id, m.carrier_id, w.carrier_id FROM messages m JOIN work w"
        " USING (message_id)"
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def stand(town: Town, carrier_id: int, condition: Condition, country: str = "*") -> None:
    standing = CarrierStanding(condition, 0.0, 0.0, 10.0, "")
    async with town.pool.acquire() as opened, opened.transaction():
        await standings.change(opened, {(carrier_id, country): standing})
    await town.configured.refresh()


async def leave(town: Town) -> None:
    await reroute.leave_the_unwell(town.pool, town.configured.current)


async def test_all_that_waits_for_a_sick_carrier_goes_to_the_next_and_only_that_one_has_it(
    roads: Town,
) -> None:
    # Given messages that are ready, published, and put off by the carrier
    items = await roads.accept(3)
    await send(roads, items[2], [LATER])
    await roads.pool.execute(
        "UPDATE work SET state = 'published' WHERE message_id = $1", items[1].message_id
    )
    # When it falls sick
    await stand(roads, FIRST, Condition.SICK)
    await leave(roads)
    # Then all of them are to be published to the next
    ids = {item.message_id for item in items}
    assert await carriers(roads) == dict.fromkeys(ids, (SECOND, SECOND))
    assert set((await roads.waiting()).values()) == {"ready"}
    # And what still lies in the queue of the first finds nothing there
    done = await dispatch(desk_of(roads), FIRST, items)
    assert (done.to_send, done.at_rest) == ([], ids)
    done = await dispatch(desk_of(roads), SECOND, items)
    assert {message.message_id for message, _ in done.to_send} == ids


async def test_what_is_on_its_way_is_never_moved_and_belongs_to_whom_it_was_given(
    roads: Town,
) -> None:
    # Given a message that was given to the second carrier, and is submitted there
    (item,) = await roads.accept(1)
    await stand(roads, FIRST, Condition.DOWN)
    await leave(roads)
    ended = await submitted(roads, item, ACCEPTED, by=SECOND)
    # When that one goes down, Then the message stays its own, and its receipts are looked for there
    await stand(roads, SECOND, Condition.DOWN)
    await leave(roads)
    recorder = record.Recorder(desk_of(roads))
    await recorder.add(ended)
    await recorder.drain()
    assert await roads.pool.fetchval("SELECT carrier_id FROM segments") == SECOND


async def test_parts_of_a_message_never_part(roads: Town) -> None:
    # Given a message whose first part the carrier has, and whose second waits
    (item,) = await roads.accept(1, segment_count=2)
    await send(roads, item, [ACCEPTED, LATER])
    assert await roads.states(item.message_id) == ["submitted", "queued"]
    # When the carrier falls sick, Then the rest waits for it
    await stand(roads, FIRST, Condition.SICK)
    await leave(roads)
    assert await carriers(roads) == {item.message_id: (FIRST, FIRST)}


async def test_what_may_have_gone_out_is_sent_again_by_nobody_else(roads: Town) -> None:
    # Given a message whose answer was lost and that is to be sent again, rather twice than not
    (item,) = await roads.accept(1, at_least_once=True)
    await send(roads, item, [outcomes.LOST])
    await roads.pool.execute("UPDATE segments SET submitted_at = now() - interval '1 hour'")
    await Sweeper(roads.pool, desk_of(roads).worker_id, 1.0).resubmit()
    await stand(roads, FIRST, Condition.SICK)
    await leave(roads)
    assert await carriers(roads) == {item.message_id: (FIRST, FIRST)}


@pytest.mark.parametrize(("encoding", "goes_to"), [("gsm7", THIRD), ("ucs2", SECOND)])
async def test_nobody_has_it_who_would_need_more_segments_than_were_paid_for(
    roads: Town, encoding: str, goes_to: int
) -> None:
    # Given a next carrier that takes ASCII alone, and all else as UCS-2
    await roads.pool.execute(
        "UPDATE carriers SET settings = jsonb_build_object('alphabet', 'ascii')"
        " WHERE carrier_id = $1",
        SECOND,
    )
    await reload(roads)
    (item,) = await roads.accept(1, encoding=encoding)
    # When the first falls sick, Then what was counted in another alphabet goes to the one behind it
    await stand(roads, FIRST, Condition.SICK)
    await leave(roads)
    assert await carriers(roads) == {item.message_id: (goes_to, goes_to)}


async def test_parked_and_scheduled_ones_move_when_they_are_let_go(roads: Town) -> None:
    # Given a message that waits for its line
    items = await roads.accept(LINE_LIMIT + 1, line=roads.small)
    await dispatch(desk_of(roads), FIRST, items)
    await stand(roads, FIRST, Condition.SICK)
    await leave(roads)
    assert list((await carriers(roads)).values()) == [(FIRST, FIRST)]
    # When the line has tokens again, Then it goes by the other carrier
    async with roads.pool.acquire() as opened, opened.transaction():
        await parking.release(opened, {roads.small.line_id: 1})
    await leave(roads)
    assert list((await carriers(roads)).values()) == [(SECOND, SECOND)]


async def test_nothing_moves_where_nobody_is_well_or_to_another_country(roads: Town) -> None:
    (item,) = await roads.accept(1)
    for carrier_id in (FIRST, SECOND, THIRD):
        await stand(roads, carrier_id, Condition.SICK)
    await leave(roads)
    assert await carriers(roads) == {item.message_id: (FIRST, FIRST)}
    await roads.pool.execute("DELETE FROM carrier_standings")
    await stand(roads, FIRST, Condition.SICK, "DE")
    await leave(roads)
    assert await carriers(roads) == {item.message_id: (FIRST, FIRST)}


async def test_nothing_moves_while_a_dispatcher_of_the_release_before_may_live(
    roads: Town,
) -> None:
    (item,) = await roads.accept(1)
    await roads.pool.execute("UPDATE platform SET reroutes = false")
    await reload(roads)
    await stand(roads, FIRST, Condition.SICK)
    await leave(roads)
    assert await carriers(roads) == {item.message_id: (FIRST, FIRST)}


async def _sent_on(town: Town, item: envelopes.WorkItem, carrier_id: int) -> list[str]:
    """The states of a message's parts after this carrier has sent it on."""
    recorder = record.Recorder(desk_of(town))
    await recorder.add(await submitted(town, item, ELSEWHERE, by=carrier_id))
    await recorder.drain()
    return await town.states(item.message_id)


@pytest.mark.parametrize("segment_count", [1, 2])
async def test_what_is_sent_on_goes_to_each_carrier_once_and_then_ends_with_its_money(
    roads: Town, segment_count: int
) -> None:
    before_micro = await roads.balance_micro()
    (item,) = await roads.accept(1, segment_count=segment_count)
    for carrier_id, following in ((FIRST, SECOND), (SECOND, THIRD)):
        assert await _sent_on(roads, item, carrier_id) == ["queued"] * segment_count
        assert await carriers(roads) == {item.message_id: (following, following)}
        assert await roads.waiting() == {item.message_id: "ready"}
        assert await roads.balance_micro() < before_micro
    # Then, with none left, it is refused
    assert (await _sent_on(roads, item, THIRD))[0] == "rejected"
    assert await roads.waiting() == {}
    assert await roads.balance_micro() == before_micro
    visited = await roads.pool.fetchval("SELECT visited FROM detours")
    assert visited == [FIRST, SECOND]


async def test_an_answer_that_is_recorded_twice_sends_nothing_on_twice(roads: Town) -> None:
    (item,) = await roads.accept(1)
    ended = await submitted(roads, item, ELSEWHERE)
    for _ in range(2):
        recorder = record.Recorder(desk_of(roads))
        await recorder.add(ended)
        await recorder.drain()
    assert await carriers(roads) == {item.message_id: (SECOND, SECOND)}
    assert await roads.states(item.message_id) == ["queued"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DOWN_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_a_carrier_that_is_down_is_seen_and_left_within_seconds(roads: Town) -> None:
    # Given a carrier of which no process has a link
    (item,) = await roads.accept(1)
    looks = [LaneLook(FIRST, False, 0), LaneLook(SECOND, True, 0)]
    doctor = Doctor(roads.pool, roads.configured, Health(), lambda: looks)
    # When it is looked after, Then what waits for it has left, and new messages know
    await doctor.look_after()
    assert await carriers(roads) == {item.message_id: (SECOND, SECOND)}
    assert roads.configured.current.standings[FIRST, "*"].condition is Condition.DOWN


async def test_a_carrier_that_answers_nothing_to_many_is_as_good_as_down(
    roads: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SILENT_SECONDS", 0.0)
    fares = Health()
    few, many = LaneLook(FIRST, True, 4), LaneLook(FIRST, True, 5)
    assert fares.take([few])[0].up == 1
    assert fares.take([many])[0].down == 1


def test_a_process_that_stood_still_itself_blames_no_carrier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fares, busy = Health(), LaneLook(FIRST, True, 100)
    fares.take([busy])
    stood_still = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: stood_still)
    assert fares.take([busy])[0].up == 1


def test_a_link_that_is_soon_back_is_not_missed() -> None:
    fares = Health()
    assert fares.take([LaneLook(FIRST, False, 0)])[0].up == 1


@pytest.mark.usefixtures("impatient")
async def test_one_process_at_a_time_judges(roads: Town) -> None:
    looks = [LaneLook(FIRST, False, 0)]
    doctor = Doctor(roads.pool, roads.configured, Health(), lambda: looks)
    async with roads.pool.acquire() as other, other.transaction():
        assert await standings.may_decide(other)
        await doctor.look_after()
        assert roads.configured.current.standings == {}
    await doctor.look_after()
    assert (FIRST, "*") in roads.configured.current.standings


async def test_answers_make_a_carrier_sick_for_a_country(roads: Town) -> None:
    fares = Health()
    for country, kind in (("FR", OutcomeKind.LOST), ("DE", OutcomeKind.ACCEPTED)):
        for _ in range(20 if country == "FR" else 100):
            fares.note(FIRST, country, kind)
    doctor = Doctor(roads.pool, roads.configured, fares, lambda: [LaneLook(FIRST, True, 0)])
    await doctor.look_after()
    known = roads.configured.current.standings
    assert {key: each.condition for key, each in known.items()} == {(FIRST, "FR"): Condition.SICK}
    assert replace(known[FIRST, "FR"], since_seconds=0.0).cause == "20 of 20 segments failed"


async def test_what_a_carrier_answered_before_it_was_well_again_is_not_held_against_it(
    roads: Town,
) -> None:
    # Given a carrier that failed a moment ago, and has come back since
    fares = Health()
    for _ in range(20):
        fares.note(FIRST, "FR", OutcomeKind.LOST)
    async with roads.pool.acquire() as opened, opened.transaction():
        await standings.note(opened, fares.take([]))
        await standings.change(opened, {(FIRST, "FR"): None})
    # When it is looked after, Then it stays well
    await Doctor(roads.pool, roads.configured, fares, list).look_after()
    assert roads.configured.current.standings == {}


async def test_a_carrier_that_does_not_let_us_send_counts_as_down(roads: Town) -> None:
    fares = Health()
    fares.note(FIRST, "FR", OutcomeKind.HALTED)
    (_, link) = fares.take([LaneLook(FIRST, True, 0)])
    assert (link.up, link.down) == (0, 1)
    # until it takes something
    fares.note(FIRST, "FR", OutcomeKind.ACCEPTED)
    assert fares.take([LaneLook(FIRST, True, 0)])[-1].up == 1


async def test_receipts_that_stay_away_make_a_carrier_sick(roads: Town) -> None:
    # Given a carrier whose receipts came within seconds hours ago, and do not come any more
    items = await roads.accept(2 * standings_rules.RECEIPT_COUNT_MIN)
    ids = [item.message_id for item in items]
    for half, age, finished in (
        (ids[::2], "2 hours", "5 seconds"),
        (ids[1::2], "10 minutes", None),
    ):
        await roads.pool.execute(
            "INSERT INTO segments (message_id, part, state, attempt_count, carrier_id, code,"
            " reason, submitted_at, accepted_at, finished_at)"
            " SELECT id, 1, 'submitted', 1, 1, '', '', now() - $2::text::interval,"
            " now() - $2::text::interval, now() - $2::text::interval + $3::text::interval"
            " FROM unnest($1::uuid[]) AS id",
            half,
            age,
            finished,
        )
    doctor = Doctor(roads.pool, roads.configured, Health(), lambda: [LaneLook(FIRST, True, 0)])
    await doctor.look_after()
    standing = roads.configured.current.standings[FIRST, "FR"]
    assert standing.cause == "0 of 100 segments had their receipt in time"
