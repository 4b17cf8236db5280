"""What single habits of the simulated carrier look like to those who use it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from services.simulator import simulator
from shared.carriers import contract, outcomes
from shared.smpp import codes, encoder, esme, pdu, session, terms, window
from shared.sms import receipts
from tests.integration.carriers import segments
from tests.integration.simulator import running

Kind = outcomes.OutcomeKind
State = receipts.ReceiptState
PHONES = [f"+3361234{number:04}" for number in range(100, 160)]


async def said(link: contract.Link, phones: list[str]) -> list[outcomes.Outcome]:
    """What becomes of one segment to each phone, asked at once as far as there is room."""
    asked = []
    for phone in phones:
        await asyncio.wait_for(link.wait_for_room(), 10)
        asked.append(segments.submit(link, segments.segment(phone)))
    return await asyncio.wait_for(asyncio.gather(*asked), 20)


async def test_a_phone_is_poisoned_for_ever_and_the_others_never() -> None:
    wanted = running.options_with(poisoned_share=0.5)
    async with running.simulated(wanted) as carrier, running.linked(carrier, window=1) as link:
        first = [each.code for each in await said(link, PHONES[:6])]
        again = [each.code for each in await said(link, PHONES[:6])]
        counts = carrier.carrier.counters.total()
    assert set(first) == {"", "0x00000014"}
    assert first == again
    assert counts.throttled == first.count("0x00000014") * 2


async def test_ids_come_again_when_there_are_few() -> None:
    async with (
        running.simulated(running.options_with(id_count=10)) as carrier,
        running.linked(carrier, window=1) as link,
    ):
        ids = [each.carrier_message_id for each in await said(link, PHONES[:20])]
    assert len(set(ids)) == 10
    assert ids[:10] == ids[10:]


async def test_receipts_come_again_and_say_the_contrary_and_lie_about_others() -> None:
    sink = segments.Sink()
    wanted = running.options_with(duplicate_share=1.0, contradicting_share=1.0, fake_share=1.0)
    async with running.simulated(wanted) as carrier, running.linked(carrier, sink) as link:
        name = (await running.outcome(link, segments.segment("+33612345678"))).carrier_message_id
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0)
        heard = [await running.receipt(sink) for _ in sink.seen]
    own = Counter(each.state for each in heard if each.names("+33612345678"))
    assert own[State.DELIVERED] in (2, 3)
    assert own[State.UNDELIVERED] == 1
    assert {each.carrier_message_id for each in heard if each.names("+33612345678")} == {name}
    (fake,) = [each for each in heard if not each.names("+33612345678")]
    assert fake.state is State.UNDELIVERED


async def test_the_carrier_is_gone_for_a_while_and_comes_back_on_its_port() -> None:
    wanted = running.options_with(outage_every_seconds=1.5, outage_seconds=0.3)
    async with running.simulated(wanted) as carrier, running.linked(carrier) as link:
        await segments.eventually(lambda: not link.connected)
        assert carrier.carrier.is_down
        await segments.eventually(lambda: link.connected)
        assert not carrier.carrier.is_down


async def bound(carrier: simulator.Simulator) -> session.Session:
    """A session of nobody but the test. Raises BindRefused."""
    request = pdu.BindRequest("sluice", "secret")
    return await esme.open_esme(
        esme.Destination("127.0.0.1", carrier.smpp_port, request),
        terms.Terms(window=100),
        session.Handlers(lambda _peer, _request: None),
    )


async def bind(carrier: simulator.Simulator) -> int:
    """What a bind is answered with; it ends at once."""
    try:
        (await bound(carrier)).abort()
    except esme.BindRefused as refused:
        return refused.status
    return codes.ESME_ROK


async def test_no_bind_is_let_in_at_first() -> None:
    wanted = running.options_with(bind_refused_seconds=0.5)
    async with running.simulated(wanted) as carrier:
        assert await bind(carrier) == codes.ESME_RINVPASWD
        await asyncio.sleep(0.5)
        assert await bind(carrier) == codes.ESME_ROK


async def test_some_binds_are_refused_and_some_are_not() -> None:
    async with running.simulated(running.options_with(bind_refused_share=0.5)) as carrier:
        statuses = Counter([await bind(carrier) for _ in range(20)])
    assert set(statuses) == {codes.ESME_ROK, codes.ESME_RBINDFAIL}


async def test_more_than_the_hidden_limit_is_throttled() -> None:
    wanted = running.options_with(limit_low_per_second=20, limit_high_per_second=20)
    async with running.simulated(wanted) as carrier:
        peer = await bound(carrier)
        began = time.monotonic()
        asked = [peer.submit(pdu.SubmitSm("1", phone[1:])) for phone in PHONES]
        answers = Counter(answer.status for answer in await asyncio.gather(*asked))
        seconds = time.monotonic() - began
        peer.abort()
    assert set(answers) == {codes.ESME_ROK, codes.ESME_RTHROTTLED}
    assert answers[codes.ESME_ROK] <= 5 + seconds * 20


async def test_a_misnumbered_answer_is_another_s_or_nobody_s_or_comes_twice() -> None:
    wanted = running.options_with(wrong_sequence_share=1.0)
    async with running.simulated(wanted) as carrier:
        peer = await bound(carrier)
        asked = [peer.submit(pdu.SubmitSm("1", phone[1:])) for phone in PHONES]
        await segments.eventually(lambda: carrier.carrier.journal.count == len(PHONES))
        await segments.eventually(lambda: peer.counts.strangers > 0)
        peer.abort()
        ends = Counter([(await each).kind for each in asked])
    assert set(ends) == {window.AnswerKind.ANSWERED, window.AnswerKind.LOST}


async def test_a_link_is_cut_at_any_octet_of_an_answer() -> None:
    async with running.simulated(running.options_with(cut_share=1.0)) as carrier:
        heard = set()
        for number in range(40):
            reader, writer = await asyncio.open_connection("127.0.0.1", carrier.smpp_port)
            writer.write(encoder.encode(pdu.BindRequest("sluice", "secret"), 1))
            length = int.from_bytes(await reader.readexactly(4), "big")
            await reader.readexactly(length - 4)
            writer.write(encoder.encode(pdu.SubmitSm("1", PHONES[number][1:]), 2))
            heard.add(len(await reader.read()))
            writer.close()
    assert max(heard) < codes.HEADER_BYTES + 17  # The answer, its id and the NUL.
    assert len(heard) > 10


async def test_phones_answer_to_the_sender_and_may_lie_that_it_is_a_receipt() -> None:
    inbox = segments.Inbox()
    wanted = running.options_with(inbound_share=1.0)
    async with (
        running.simulated(wanted) as carrier,
        running.linked(carrier, None, inbox) as link,
    ):
        taken = await said(link, PHONES)
        await segments.eventually(lambda: carrier.carrier.outbox.waiting_count == 0)
    assert len(inbox.parts) >= len(PHONES)
    assert {part.sender for part in inbox.parts} == set(PHONES)
    forged = [part for part in inbox.parts if b"stat:UNDELIV" in part.payload]
    names = {phone: each.carrier_message_id for phone, each in zip(PHONES, taken, strict=True)}
    assert forged
    # What it names is another phone's
    assert not any(names[part.sender].encode() in part.payload for part in forged)
