"""The simulated carrier over SMPP: magic recipients, shares, journal, receipts."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from services.simulator import options
from shared.carriers import outcomes
from shared.carriers.adapters import smpp
from shared.sms import receipts
from tests.integration.carriers import segments
from tests.integration.simulator import running

Kind = outcomes.OutcomeKind
State = receipts.ReceiptState


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        ("00001", State.DELIVERED),
        ("00002", State.UNDELIVERED),
        ("00003", State.EXPIRED),
        ("00004", State.REJECTED),
        ("12345", State.DELIVERED),
    ],
)
async def test_the_recipient_decides_the_receipt(ending: str, state: State) -> None:
    sink = segments.Sink()
    async with running.simulated() as carrier, running.linked(carrier, sink) as link:
        said = await running.outcome(link, segments.segment(f"+336123{ending}"))
        assert said.kind is Kind.ACCEPTED
        receipt = await running.receipt(sink)
    assert (receipt.carrier_message_id, receipt.state) == (said.carrier_message_id, state)


async def test_a_submit_is_refused_and_not_in_the_journal_when_the_number_asks_for_it() -> None:
    async with running.simulated() as carrier, running.linked(carrier) as link:
        said = await running.outcome(link, segments.segment("+33612300005"))
        assert (said.kind, said.code) == (Kind.REJECTED, "0x0000000B")
        assert carrier.carrier.journal.count == 0
        assert carrier.carrier.counters.total().refused == 1


async def test_a_submit_is_throttled_twice_and_then_accepted() -> None:
    async with running.simulated() as carrier, running.linked(carrier) as link:
        said = [await running.outcome(link, segments.segment("+33612300006")) for _ in range(4)]
        assert [each.kind for each in said] == [
            Kind.THROTTLED,
            Kind.THROTTLED,
            Kind.ACCEPTED,
            Kind.THROTTLED,
        ]
        assert carrier.carrier.counters.total().throttled == 3


async def test_an_answer_is_lost_but_the_receipt_still_comes() -> None:
    sink = segments.Sink()
    quick = {"response_seconds": 0.4}
    async with running.simulated() as carrier, running.linked(carrier, sink, None, **quick) as link:
        assert await running.outcome(link, segments.segment("+33612300007")) == outcomes.LOST
        receipt = await running.receipt(sink)
        (entry,) = carrier.carrier.journal.after(0, 10)[1]
    assert receipt.carrier_message_id == entry.id


async def test_the_link_is_cut_after_the_journal_and_the_receipt_takes_the_next_one() -> None:
    sink = segments.Sink()
    async with running.simulated() as carrier, running.linked(carrier, sink) as link:
        assert await running.outcome(link, segments.segment("+33612300008")) == outcomes.LOST
        (entry,) = carrier.carrier.journal.after(0, 10)[1]
        assert (await running.receipt(sink)).carrier_message_id == entry.id
        assert link.connected


async def test_the_receipt_comes_before_the_answer_when_the_number_asks_for_it() -> None:
    sink = segments.Sink()
    async with running.simulated() as carrier, running.linked(carrier, sink) as link:
        answer = segments.submit(link, segments.segment("+33612300009"))
        receipt = await running.receipt(sink)
        assert not answer.done()
        said = await asyncio.wait_for(answer, 10)
    assert said.carrier_message_id == receipt.carrier_message_id


async def test_no_receipt_ever_comes_when_the_number_asks_for_none() -> None:
    sink = segments.Sink()
    async with running.simulated() as carrier, running.linked(carrier, sink) as link:
        await running.outcome(link, segments.segment("+33612300010"))
        await running.outcome(link, segments.segment("+33612300001"))
        await running.receipt(sink)
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0)
    assert len(sink.seen) == 1


async def test_every_accepted_submit_is_in_the_journal_once_with_its_text(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    texts = ["Hello", "Grüße €[]~", "Ж" * 200, "x" * 400, "👍" * 40]
    wanted = running.options_with(journal_path=str(path))
    answers = []
    async with (
        running.simulated(wanted) as carrier,
        running.linked(carrier, binds=2, window=50) as link,
    ):
        for number in range(100, 200):
            for part in segments.segments(f"+33611{number:06}", f"{number}:{texts[number % 5]}"):
                await link.wait_for_room()
                answers.append(segments.submit(link, part))
        said = await asyncio.wait_for(asyncio.gather(*answers), 20)
    accepted = [each.carrier_message_id for each in said if each.kind is Kind.ACCEPTED]
    written = running.entries(path)
    assert sorted(entry.id for entry in written) == sorted(accepted)
    assert len(set(accepted)) == len(answers)
    whole = {entry.recipient: entry.whole for entry in written if entry.whole is not None}
    for number in range(100, 200):
        assert whole[f"+33611{number:06}"] == f"{number}:{texts[number % 5]}"
    assert {entry.source for entry in written} == {"Sluice"}
    assert all(entry.t > 1.7e12 for entry in written)


async def test_the_journal_is_on_disk_before_long_while_the_carrier_lives(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    wanted = running.options_with(journal_path=str(path))
    async with running.simulated(wanted) as carrier, running.linked(carrier) as link:
        await running.outcome(link, segments.segment())
        await segments.eventually(lambda: len(running.entries(path)) == 1)


async def test_parts_are_joined_when_they_come_in_any_order() -> None:
    text = "0123456789" * 40
    async with running.simulated() as carrier, running.linked(carrier) as link:
        for part in reversed(segments.segments(text=text)):
            await running.outcome(link, part)
        entries = carrier.carrier.journal.after(0, 10)[1]
    assert [(entry.number, entry.total) for entry in entries] == [(3, 3), (2, 3), (1, 3)]
    assert [entry.whole for entry in entries] == [None, None, text]


async def test_shares_are_kept_over_many_submits() -> None:
    wanted = running.options_with(
        throttled_share=0.1,
        refused_share=0.2,
        delivered_share=0.5,
        undelivered_share=0.2,
        expired_share=0.1,
        rejected_share=0.1,
    )
    sink = segments.Sink()
    kinds: Counter[Kind] = Counter()
    async with (
        running.simulated(wanted) as carrier,
        # Each throttled answer pauses a bind: many binds, none of them paused for long.
        running.linked(carrier, sink, binds=16, window=100) as link,
    ):
        for _ in range(400):
            kinds[(await running.outcome(link, segments.segment())).kind] += 1
        expected = carrier.carrier.journal.count
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0)
    assert kinds[Kind.ACCEPTED] == expected
    assert 20 <= kinds[Kind.THROTTLED] <= 65
    assert 55 <= kinds[Kind.REJECTED] <= 105
    states = Counter(
        receipt.state
        for body in sink.seen
        if isinstance(receipt := smpp.read_receipt(running.settings(1), body), receipts.Receipt)
    )
    assert 0.4 * expected < states[State.DELIVERED] < 0.6 * expected
    assert 0.1 * expected < states[State.UNDELIVERED] < 0.3 * expected
    assert 0.04 * expected < states[State.EXPIRED] < 0.18 * expected
    assert 0.04 * expected < states[State.REJECTED] < 0.18 * expected
    assert sum(states.values()) < expected


async def test_a_receipt_is_repeated_until_it_is_taken() -> None:
    sink = segments.Sink(failures=3)
    async with running.simulated() as carrier, running.linked(carrier, sink) as link:
        said = await running.outcome(link, segments.segment())
        assert (await running.receipt(sink)).carrier_message_id == said.carrier_message_id
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0)
        counts = carrier.carrier.counters.total()
    assert (counts.receipts_sent, counts.receipts_repeated) == (1, 3)


async def test_receipts_wait_for_the_next_bind_when_nobody_is_bound() -> None:
    wanted = running.options_with(receipt_min_ms=300, receipt_max_ms=300)
    sink = segments.Sink()
    async with running.simulated(wanted) as carrier:
        async with running.linked(carrier) as link:
            ids = [(await running.outcome(link, segments.segment())) for _ in range(5)]
        async with running.linked(carrier, sink):
            received = [await running.receipt(sink) for _ in range(5)]
    assert {each.carrier_message_id for each in ids} == {
        each.carrier_message_id for each in received
    }


async def test_answers_and_receipts_take_their_time_when_options_say_so() -> None:
    wanted = running.options_with(
        answer_min_ms=60, answer_max_ms=80, receipt_min_ms=100, receipt_max_ms=120
    )
    sink = segments.Sink()
    loop = asyncio.get_running_loop()
    async with running.simulated(wanted) as carrier, running.linked(carrier, sink) as link:
        began = loop.time()
        await running.outcome(link, segments.segment())
        answered = loop.time() - began
        await running.receipt(sink)
        received = loop.time() - began
    assert answered >= 0.06
    assert received >= 0.16


async def test_ids_meet_when_receipts_are_in_decimal() -> None:
    sink = segments.Sink()
    wanted = running.options_with(receipt_ids="decimal")
    based = {"id_base": "dec_to_hex"}
    async with (
        running.simulated(wanted) as carrier,
        running.linked(carrier, sink, None, **based) as link,
    ):
        said = await running.outcome(link, segments.segment())
        receipt = await running.receipt(sink, "dec_to_hex")
    assert receipt.carrier_message_id == said.carrier_message_id


async def test_what_is_published_of_a_receipt_never_quotes_the_message() -> None:
    sink = segments.Sink()
    async with running.simulated() as carrier, running.linked(carrier, sink) as link:
        await running.outcome(link, segments.segment(text="canary"))
        assert b"canary" not in await sink.next()


async def test_all_books_agree_when_everything_goes_wrong_at_once() -> None:
    """What was accepted is in the journal, what is in the journal gets its receipt."""
    wanted = running.options_with(
        throttled_share=0.02,
        unanswered_share=0.03,
        cut_share=0.004,
        answer_max_ms=5,
        receipt_max_ms=20,
    )
    sink = segments.Sink(failures=20)
    outcome_of: dict[str, list[outcomes.Outcome]] = {}
    quick = {"binds": 4, "window": 20, "response_seconds": 0.3}
    async with (
        running.simulated(wanted) as carrier,
        running.linked(carrier, sink, None, **quick) as link,
    ):
        asked = []
        for number in range(1000):
            await asyncio.wait_for(link.wait_for_room(), 20)
            recipient = f"+33610{number:03}500"
            asked.append((recipient, segments.submit(link, segments.segment(recipient))))
        for recipient, answer in asked:
            outcome_of.setdefault(recipient, []).append(await asyncio.wait_for(answer, 20))
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0, 20)
        entries = carrier.carrier.journal.after(0, 2000)[1]
    taken = {entry.recipient: entry.id for entry in entries}
    assert len(taken) == len(entries)
    for recipient, (said,) in outcome_of.items():
        if said.kind is Kind.ACCEPTED:
            assert taken[recipient] == said.carrier_message_id
        elif said.kind is not Kind.LOST:
            assert recipient not in taken
    received = {
        read.carrier_message_id
        for body in sink.seen
        if (read := smpp.read_receipt(running.settings(1), body)) is not None
    }
    assert received == set(taken.values())
    assert {said.kind for (said,) in outcome_of.values()} >= {Kind.ACCEPTED, Kind.LOST}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"receipt_min_ms": 5, "receipt_max_ms": 4}, "receipt_min_ms"),
        ({"answer_min_ms": -1}, "answer_min_ms"),
        ({"delivered_share": 0.9, "expired_share": 0.2}, "delivered"),
        ({"cut_share": -0.1}, "cut"),
        ({"window": 0}, "window"),
    ],
)
def test_options_are_refused_when_no_carrier_could_have_them(
    changes: dict[str, object], named: str
) -> None:
    with pytest.raises(options.InvalidOptions, match=named):
        running.options_with(**changes)
