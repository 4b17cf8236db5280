"""What `contract` promises, asked of every adapter there is, against a carrier of its own kind.

Adapters are found by their files; each needs a stand-in of the same name, see `stand_ins`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import pkgutil
import random
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.carriers import adapters, contract, outcomes, registry
from shared.carriers.outcomes import OutcomeKind
from shared.sms import encoding, inbound, receipts, segmentation
from tests.integration.carriers import conftest, segments, stand_ins
from tests.integration.carriers.stand_ins import Act, Report
from tests.ports import free_port

KEYS = sorted(found.name for found in pkgutil.iter_modules(adapters.__path__))
WINDOW = 5
State = receipts.ReceiptState
LOST_ACTS = (Act.SILENCE, Act.CUT, Act.CUT_INSIDE, Act.GARBAGE, Act.DRIP, Act.FLOOD)


class Subject(NamedTuple):
    """One adapter, and the carrier it is tried on."""

    adapter: registry.Adapter
    carrier: stand_ins.StandIn
    sink: segments.Sink

    def settings(self, port: int | None = None) -> msgspec.Struct:
        return registry.reviewed(self.adapter.key, self.carrier.settings(port))


@pytest.fixture(params=KEYS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    key = request.param
    try:
        module = importlib.import_module(f"{stand_ins.__name__}.{key}")
    except ModuleNotFoundError:
        pytest.fail(
            f"the adapter {key!r} has no carrier to be tried on: write"
            f" tests/integration/carriers/stand_ins/{key}.py"
        )
    async with module.open_stand_in() as carrier:
        yield Subject(registry.adapter(key), carrier, segments.Sink())


@asynccontextmanager
async def linked(
    subject: Subject, port: int | None = None, wait: bool = True
) -> AsyncIterator[contract.Link]:
    link = subject.adapter.open_link("acme", subject.settings(port), subject.sink, segments.Inbox())
    try:
        if wait:
            await asyncio.wait_for(link.wait_for_room(), 10)
        yield link
    finally:
        await asyncio.wait_for(link.close(0.2), 10)


async def submitted(link: contract.Link, **changes: object) -> outcomes.Outcome:
    return (await observed(link, **changes))[0]


async def observed(link: contract.Link, **changes: object) -> tuple[outcomes.Outcome, int, bool]:
    """What a submit came to, and the link's room and connection at that moment."""
    segment = segments.segment(stand_ins.RECIPIENT, stand_ins.TEXT)
    asked = segments.submit(link, msgspec.structs.replace(segment, **changes))
    seen: asyncio.Future[tuple[int, bool]] = asyncio.get_running_loop().create_future()
    asked.add_done_callback(lambda _: seen.set_result((link.room, link.connected)))
    return await asyncio.wait_for(asked, 10), *await seen


# Outcomes


async def test_a_submit_is_accepted_with_the_carrier_s_id(subject: Subject) -> None:
    async with linked(subject) as link:
        assert (link.room, link.connected) == (WINDOW, True)
        said = await submitted(link)
    assert (said.kind, said.carrier_message_id) == (OutcomeKind.ACCEPTED, stand_ins.ID)
    assert len(subject.carrier.taken) == 1


@pytest.mark.parametrize(
    "text",
    [
        "A & B = 100% {x} <y>",
        'Déjà vu?\n"quoted"',
        "Посылка 📦 прибыла",
        "long " * 80,
        "длинно" * 30,
    ],
)
async def test_the_carrier_reads_what_was_written(subject: Subject, text: str) -> None:
    async with linked(subject) as link:
        parts = segments.segments(stand_ins.RECIPIENT, text)
        if link.whole_messages:
            chosen, payload = encoding.encode(text)
            counted = len(segmentation.split(text, 1, 8))
            whole = {"udh": b"", "payload": payload, "encoding": chosen, "part_count": counted}
            parts = [msgspec.structs.replace(parts[0], **whole)]
        for part in parts:
            said = await asyncio.wait_for(segments.submit(link, part), 10)
            assert said.kind is OutcomeKind.ACCEPTED
    orders = [subject.carrier.order(submit) for submit in subject.carrier.taken]
    assert "".join(each.text for each in orders) == text
    assert {each.recipient for each in orders} == {stand_ins.RECIPIENT[1:]}
    assert {each.source for each in orders} == {"Sluice"}


async def test_a_refusal_is_for_good_and_tells_why(subject: Subject) -> None:
    subject.carrier.acts.append(Act.REJECT)
    async with linked(subject) as link:
        said = await submitted(link)
    assert said.kind is OutcomeKind.REJECTED
    assert said.code
    assert said.reason
    assert not said.carrier_message_id


REFUSALS = {
    Act.DEFER: OutcomeKind.DEFERRED,
    Act.ELSEWHERE: OutcomeKind.ELSEWHERE,
    Act.HALT: OutcomeKind.HALTED,
}


@pytest.mark.parametrize("act", REFUSALS, ids=lambda act: act.name)
async def test_whose_fault_a_refusal_is_is_told_and_only_our_account_s_stops_the_link(
    subject: Subject, act: Act
) -> None:
    if act in subject.carrier.cannot:
        return
    subject.carrier.acts.append(act)
    async with linked(subject) as link:
        said, room, _ = await observed(link)
    assert (said.kind, bool(said.code), bool(said.reason)) == (REFUSALS[act], True, True)
    assert room == (0 if act is Act.HALT else WINDOW)


async def test_answers_mean_what_the_carrier_s_documentation_says(subject: Subject) -> None:
    heard: list[tuple[OutcomeKind, str]] = []
    for each in subject.carrier.recorded:
        subject.carrier.acts.append(each.said)
        async with linked(subject) as link:
            said = await submitted(link)
        heard.append((said.kind, said.code))
        assert bool(said.carrier_message_id) == (said.kind is OutcomeKind.ACCEPTED)
        assert "canary" not in said.reason
    assert heard == [(each.kind, each.code) for each in subject.carrier.recorded]


async def test_a_carrier_that_asks_for_time_is_given_it(subject: Subject) -> None:
    wishes = {Act.THROTTLE: 0, Act.THROTTLE_FOR: stand_ins.WISH_MS}
    for act in wishes.keys() - subject.carrier.cannot:
        subject.carrier.acts.append(act)
        async with linked(subject) as link:
            said, room, connected = await observed(link)
            assert (said.kind, said.retry_after_ms) == (OutcomeKind.THROTTLED, wishes[act])
            # The link holds back and says so, but it stands.
            assert (room == 0 or subject.carrier.finds_its_pace, connected) == (True, True)


async def test_a_link_goes_on_when_the_carrier_had_its_time(subject: Subject) -> None:
    subject.carrier.acts.append(Act.THROTTLE)
    async with linked(subject) as link:
        assert (await submitted(link)).kind is OutcomeKind.THROTTLED
        await asyncio.wait_for(link.wait_for_room(), 10)
        assert (await submitted(link)).kind is OutcomeKind.ACCEPTED


@pytest.mark.parametrize("act", LOST_ACTS, ids=lambda act: act.name)
async def test_an_answer_that_does_not_come_leaves_a_doubt_in_time_and_the_link_recovers(
    subject: Subject, act: Act
) -> None:
    subject.carrier.acts.append(act)
    async with linked(subject) as link:
        began = time.monotonic()
        assert await submitted(link) == outcomes.LOST
        assert time.monotonic() - began < 5
        assert len(subject.carrier.taken) == 1, "it was submitted twice"
        await asyncio.wait_for(link.wait_for_room(), 10)
        if act is not Act.DRIP:
            assert (await submitted(link)).kind is OutcomeKind.ACCEPTED
    # An endless answer is cut, not swallowed.
    assert subject.carrier.flooded["octets"] < 32 * 1024 * 1024


async def test_an_answer_counts_when_the_carrier_takes_its_leave_before_it(
    subject: Subject,
) -> None:
    subject.carrier.acts.append(Act.LEAVE)
    async with linked(subject) as link:
        assert (await submitted(link)).kind is OutcomeKind.ACCEPTED
        await asyncio.wait_for(link.wait_for_room(), 10)
        assert (await submitted(link)).kind is OutcomeKind.ACCEPTED


async def test_nothing_was_sent_when_nobody_listens(subject: Subject) -> None:
    async with linked(subject, free_port(), wait=False) as link:
        assert await observed(link) == (outcomes.UNAVAILABLE, 0, False)
        assert await submitted(link) == outcomes.UNAVAILABLE


async def test_nothing_was_sent_when_no_connection_comes_to_stand(subject: Subject) -> None:
    with segments.full_backlog() as port:
        async with linked(subject, port, wait=False) as link:
            began = time.monotonic()
            assert await observed(link) == (outcomes.UNAVAILABLE, 0, False)
            assert time.monotonic() - began < 5


async def test_nothing_was_sent_when_the_carrier_does_not_know_us(subject: Subject) -> None:
    subject.carrier.refuses_us = True
    async with linked(subject, wait=False) as link:
        said, room, _ = await observed(link)
        # Over SMPP nothing can be asked before; over HTTP that is the answer.
        assert said.kind in (OutcomeKind.UNAVAILABLE, OutcomeKind.HALTED)
        assert room == 0


async def test_nothing_leaves_after_the_segment_s_time(subject: Subject) -> None:
    async with linked(subject) as link:
        # That is no fault of the link's, which goes on.
        over = time.monotonic() - 0.001
        assert await observed(link, leave_by=over) == (outcomes.UNAVAILABLE, WINDOW, True)
        assert subject.carrier.taken == []
        assert (await submitted(link)).kind is OutcomeKind.ACCEPTED


async def test_a_full_window_sends_nothing_more(subject: Subject) -> None:
    subject.carrier.acts.extend([Act.SILENCE] * WINDOW)
    async with linked(subject) as link:
        waiting = [segments.submit(link, segments.segment()) for _ in range(WINDOW)]
        await segments.eventually(lambda: len(subject.carrier.taken) == WINDOW)
        assert link.room == 0
        said = await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert set(said) == {outcomes.LOST}


# Room and closing


@pytest.mark.parametrize("seed", range(2))
async def test_room_is_what_is_left_of_the_window_whatever_the_carrier_does(
    subject: Subject, seed: int
) -> None:
    chance = random.Random(seed)
    acts = [Act.CUT, Act.SILENCE, Act.SILENCE] + [Act.REJECT] * 12 + [Act.ACCEPT] * 45
    chance.shuffle(acts)
    subject.carrier.acts.extend(acts)
    async with linked(subject) as link:
        seen, asked = set[int](), list[asyncio.Future[outcomes.Outcome]]()
        while len(asked) < 60:
            await asyncio.wait_for(link.wait_for_room(), 10)
            for _ in range(chance.randint(1, WINDOW)):
                asked.append(segments.submit(link, segments.segment()))
                seen.add(link.room)
            await asyncio.sleep(chance.choice((0, 0, 0.002)))
            seen.add(link.room)
        said = await asyncio.wait_for(asyncio.gather(*asked), 20)
        await segments.eventually(lambda: link.room == WINDOW)
    assert min(seen) >= 0
    assert max(seen) <= WINDOW
    known = {OutcomeKind.ACCEPTED, OutcomeKind.REJECTED, OutcomeKind.LOST, OutcomeKind.UNAVAILABLE}
    assert {each.kind for each in said} <= known
    # Whatever was proved unsent has not reached the carrier, and all else has, once.
    unsent = sum(each.kind is OutcomeKind.UNAVAILABLE for each in said)
    assert len(subject.carrier.taken) <= len(said) - unsent


async def test_every_future_ends_when_the_link_closes(subject: Subject) -> None:
    subject.carrier.acts.extend([Act.SILENCE] * 3)
    async with linked(subject) as link:
        outstanding = [segments.submit(link, segments.segment()) for _ in range(3)]
        await segments.eventually(lambda: len(subject.carrier.taken) == 3)
        waiting = asyncio.ensure_future(link.wait_for_room())
        await asyncio.wait_for(link.close(0.05), 10)
        said = await asyncio.wait_for(asyncio.gather(*outstanding), 1)
        assert set(said) == {outcomes.LOST}
        assert (link.connected, link.room) == (False, 0)
        assert await submitted(link) == outcomes.UNAVAILABLE
        waiting.cancel()
    assert len(subject.carrier.taken) == 3


async def test_answers_on_their_way_are_awaited_when_the_link_closes(subject: Subject) -> None:
    async with linked(subject) as link:
        outstanding = [segments.submit(link, segments.segment()) for _ in range(3)]
        await segments.eventually(lambda: len(subject.carrier.taken) == 3)
        await asyncio.wait_for(link.close(10), 10)
        said = await asyncio.wait_for(asyncio.gather(*outstanding), 1)
    assert {each.kind for each in said} == {OutcomeKind.ACCEPTED}


# Receipts


async def published(subject: Subject, reports: list[Report]) -> list[receipts.Receipt]:
    settings = subject.settings()
    async with linked(subject) as link:
        del link
        bodies = await subject.carrier.report(subject.adapter, settings, subject.sink, reports)
    read = [subject.adapter.read_receipt(settings, body) for body in bodies]
    return [each for each in read if isinstance(each, receipts.Receipt)]


@pytest.mark.parametrize("seed", range(3))
async def test_receipts_say_the_same_in_any_order_and_when_repeated(
    subject: Subject, seed: int
) -> None:
    said = [state for state in State if state not in subject.carrier.unsaid]
    reports = [Report(f"id-{number}", state) for number, state in enumerate(said)] * 2
    random.Random(seed).shuffle(reports)

    read = await published(subject, reports)

    assert [(each.carrier_message_id, each.state) for each in read] == [
        (each.carrier_message_id, each.state) for each in reports
    ]


def test_a_call_moves_something_only_when_its_sender_is_proved(subject: Subject) -> None:
    report = Report("id-1", State.DELIVERED)
    right = subject.carrier.call(report)
    if right is None:
        assert subject.adapter.admit_callback is None
        return
    settings = subject.settings()
    assert subject.adapter.admit_callback is not None
    assert isinstance(subject.adapter.admit_callback(settings, right), tuple)
    forged = subject.carrier.forged(right)
    assert forged
    for call in forged:
        refusal = subject.adapter.admit_callback(settings, call)
        assert isinstance(refusal, contract.CallbackRefusal)
        assert refusal.status in (401, 403)
        assert "canary" not in refusal.detail


@pytest.mark.parametrize("text", ["STOP", "Où est-il? 📦", ""])
def test_what_a_phone_sends_comes_in_as_it_was_written(subject: Subject, text: str) -> None:
    call = subject.carrier.phone_sends("+33612340001", "+33612340009", text)
    if call is None:
        return
    assert subject.adapter.admit_inbound is not None
    admitted = subject.adapter.admit_inbound(subject.settings(), call)
    assert isinstance(admitted, tuple)
    (part,) = admitted
    assert (part.sender, part.recipient) == ("+33612340001", "+33612340009")
    assert inbound.decode(part.payload, part.alphabet) == text
    for forged in subject.carrier.forged(call):
        refusal = subject.adapter.admit_inbound(subject.settings(), forged)
        assert isinstance(refusal, contract.CallbackRefusal)


async def test_receipts_nobody_can_read_do_no_harm_to_those_after_them(subject: Subject) -> None:
    chance = random.Random(4)
    garbage = [chance.randbytes(size) for size in (0, 1, 20, 200)]
    garbage += [b"{" * 200, b"id:1 id:2 id:3", b'{"id": 1e999}', b"\xff" * 200]
    settings = subject.settings()
    async with linked(subject) as link:
        await subject.carrier.report_garbage(subject.adapter, settings, subject.sink, garbage)
        noise = list(subject.sink.seen)
        good = [Report("id-1", State.DELIVERED)]
        bodies = await subject.carrier.report(subject.adapter, settings, subject.sink, good)
        assert link.connected
    for body in noise:
        assert not isinstance(subject.adapter.read_receipt(settings, body), receipts.Receipt)
    read = subject.adapter.read_receipt(settings, bodies[-1])
    assert isinstance(read, receipts.Receipt)
    assert (read.carrier_message_id, read.state) == ("id-1", State.DELIVERED)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=st.binary(max_size=400))
async def test_reading_is_total_when_anything_was_published(subject: Subject, body: bytes) -> None:
    settings = subject.settings()
    subject.adapter.read_receipt(settings, body)
    if subject.adapter.admit_callback is not None:
        for kind in ("application/json", "text/plain", ""):
            called = contract.CallbackRequest(stand_ins.SECRET, {}, {}, kind, body)
            subject.adapter.admit_callback(settings, called)


async def test_reading_is_total_when_good_bodies_are_mangled(subject: Subject) -> None:
    settings = subject.settings()
    async with linked(subject):
        (good,) = await subject.carrier.report(
            subject.adapter, settings, subject.sink, [Report("id-1", State.DELIVERED)]
        )
    chance = random.Random(7)
    for _ in range(2000):
        body = bytearray(good)
        for _ in range(chance.randint(1, 5)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        subject.adapter.read_receipt(settings, bytes(body[: chance.randint(0, 2 * len(body))]))


# What must not be told, and where nothing may go


async def test_neither_secret_nor_text_nor_number_is_told_to_anybody(
    subject: Subject, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    segment = segments.segment(stand_ins.RECIPIENT, stand_ins.TEXT)
    acts = [act for act in Act if act not in subject.carrier.cannot and act is not Act.THROTTLE_FOR]
    for act in acts:
        subject.carrier.acts.append(act)
        async with linked(subject) as link:
            told += [repr(link), await asyncio.wait_for(segments.submit(link, segment), 10)]
    subject.carrier.refuses_us = True
    for port in (None, free_port()):
        async with linked(subject, port, wait=False) as link:
            told.append(await asyncio.wait_for(segments.submit(link, segment), 10))
            await asyncio.sleep(0.05)
    subject.carrier.refuses_us = False
    settings = subject.settings()
    async with linked(subject):
        told += await subject.carrier.report(
            subject.adapter, settings, subject.sink, [Report("id-1", State.DELIVERED)]
        )
    told += [repr(settings), str(settings), repr(segment), repr(subject.adapter)]
    shown = capsys.readouterr()
    everything = f"{told}{caplog.text}{shown.out}{shown.err}"
    assert "acme" in everything, "nothing was logged"
    assert "canary" not in everything
    number = stand_ins.RECIPIENT[1:]
    logged = caplog.text + shown.out + shown.err
    assert number not in logged
    assert number not in repr(segment)


@pytest.mark.parametrize("key", KEYS)
def test_settings_nobody_could_use_are_refused_without_telling_them(key: str) -> None:
    for values in ({}, {"canary": "canary"}, {"url": "canary"}, {"host": 5, "port": "canary"}):
        with pytest.raises(registry.InvalidSettings) as refusal:
            registry.reviewed(key, values)
        assert str(refusal.value).startswith(f"{key}: ")
        assert refusal.value.__cause__ is None


@pytest.mark.parametrize("key", KEYS)
def test_an_adapter_is_one_file_and_one_to_try_it_on(key: str) -> None:
    """Nothing of the product names an adapter's module, so a new one needs no line elsewhere."""
    root = Path(__file__).parents[3]
    assert (Path(__file__).parent / "stand_ins" / f"{key}.py").is_file()
    names = re.compile(rf"adapters\.{key}\b|adapters import [^\n]*\b{key}\b")
    naming = [
        path
        for folder in ("services", "shared")
        for path in (root / folder).rglob("*.py")
        if names.search(path.read_text("utf-8"))
    ]
    assert naming == []


def test_the_guard_sees_what_leaves_this_machine(connected: list[object]) -> None:
    """Every test here fails when a socket is connected to another machine."""
    for host in ("127.0.0.1", "192.0.2.1"):  # The second is of a range that is nobody's.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.connect((host, 9))  # Sends nothing.
    seen = conftest.strangers(connected)
    connected.clear()
    assert seen == [("192.0.2.1", 9)]
