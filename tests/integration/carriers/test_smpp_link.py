"""The SMPP adapter's link against a scripted SMSC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.carriers import contract, halts, outcomes, registry, smpp_statuses
from shared.carriers.adapters import smpp
from shared.runtime import batching
from shared.smpp import codes, pdu, session, smsc, terms, window
from shared.sms import receipts
from tests.integration.carriers import segments

Kind = outcomes.OutcomeKind


class Smsc:
    """Answers each submit as the script says, and remembers what it got."""

    def __init__(self, reply: Callable[[session.Session, pdu.SubmitSm], None]) -> None:
        self.submits: list[pdu.SubmitSm] = []
        self.peers: list[session.Session] = []
        self.most_unanswered = 0
        self.port = 0
        self._reply = reply

    def take(self, peer: session.Session, request: pdu.Request) -> None:
        assert isinstance(request, pdu.SubmitSm)
        self.submits.append(request)
        self.most_unanswered = max(self.most_unanswered, peer.open_requests)
        self._reply(peer, request)


@asynccontextmanager
async def smsc_of(reply: Callable[[session.Session, pdu.SubmitSm], None]) -> AsyncIterator[Smsc]:
    scripted = Smsc(reply)
    server = await smsc.serve(
        "127.0.0.1",
        0,
        terms.Terms(100),
        session.Handlers(
            scripted.take,
            authenticate=lambda asked: 0 if asked.password == "secret" else codes.ESME_RINVPASWD,
            on_bound=scripted.peers.append,
        ),
    )
    scripted.port = server.port
    try:
        yield scripted
    finally:
        await server.close()


@asynccontextmanager
async def link_to(
    scripted: Smsc,
    sink: contract.ReceiptSink | None = None,
    inbox: contract.InboundSink | None = None,
    **values: object,
) -> AsyncIterator[contract.Link]:
    chosen = {
        name: value
        for name, value in {
            "host": "127.0.0.1",
            "port": scripted.port,
            "system_id": "sluice",
            "password": "secret",
            **values,
        }.items()
        if value is not None
    }
    settings = registry.settings("smpp", chosen)
    link = registry.adapter("smpp").open_link(
        "acme", settings, sink or segments.Sink(), inbox or segments.Inbox()
    )
    try:
        await asyncio.wait_for(link.wait_for_room(), 10)
        yield link
    finally:
        await link.close(1)


def settings_of() -> smpp.Settings:
    values = {"host": "h", "port": 1, "system_id": "s", "password": "p"}
    decoded = registry.settings("smpp", values)
    assert isinstance(decoded, smpp.Settings)
    return decoded


def status(number: int) -> Callable[[session.Session, pdu.SubmitSm], None]:
    return lambda peer, request: void(peer.answer(request, number, "" if number else "id-1"))


def void(_: object) -> None:
    return None


async def outcome(link: contract.Link, segment: contract.Segment) -> outcomes.Outcome:
    return await asyncio.wait_for(segments.submit(link, segment), 10)


async def test_every_status_has_its_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """All 256 low statuses and some vendors': the table is that of `smpp_statuses`."""
    monkeypatch.setattr(halts, "HALT_SECONDS_MAX", 0.01)
    told: dict[str, smpp_statuses.Word] = {"0x40": "elsewhere", "0x0400-0x04FF": "halted"}
    meant = smpp_statuses.Statuses(told, frozenset({0x45}))
    numbers = iter([*range(256), 0x400, 0xFFFFFFFF])
    asked: list[int] = []

    def reply(peer: session.Session, request: pdu.SubmitSm) -> None:
        asked.append(next(numbers))
        peer.answer(request, asked[-1], "")

    async with (
        smsc_of(reply) as scripted,
        link_to(
            scripted, None, None, temporary_statuses=[0x45], statuses=told, refusals_max=0
        ) as link,
    ):
        for _ in range(258):
            await asyncio.wait_for(link.wait_for_room(), 10)
            said = await outcome(link, segments.segment())
            number = asked[-1]
            if number == 0:
                assert said == outcomes.Outcome(Kind.ACCEPTED)
                continue
            assert said == meant.outcome(number)
            assert said.reason
            assert said.code == f"0x{number:08X}"
    assert (meant.read(0x40).kind, meant.read(0x400).kind) == (Kind.ELSEWHERE, Kind.HALTED)


async def test_a_segment_is_written_as_the_carrier_must_read_it() -> None:
    async with smsc_of(status(0)) as scripted, link_to(scripted) as link:
        name = segments.segments(text="x" * 200, source="Sluice")
        number = segments.segment("+33612340001", "Ж", "+33700000001", valid_seconds=90_061)
        code = segments.segment("+33612340002", source="12345", valid_seconds=0)
        for each in [*name, number, code]:
            await outcome(link, each)
    first, second, third, fourth = scripted.submits
    assert (first.source_addr, first.source_addr_ton, first.source_addr_npi) == ("Sluice", 5, 0)
    assert (first.destination_addr, first.dest_addr_ton, first.dest_addr_npi) == (
        "33612340000",
        1,
        1,
    )
    assert first.esm_class == second.esm_class == 0x40
    assert first.short_message == name[0].udh + name[0].payload
    assert first.registered_delivery == 1
    assert first.validity_period == "000000010000000R"
    assert first.tlvs != second.tlvs
    assert (third.source_addr, third.source_addr_ton, third.source_addr_npi) == (
        "33700000001",
        1,
        1,
    )
    assert (third.data_coding, third.short_message, third.esm_class) == (8, b"\x04\x16", 0)
    assert third.validity_period == "000001010101000R"
    assert (fourth.source_addr, fourth.source_addr_ton, fourth.source_addr_npi) == ("12345", 3, 0)
    assert fourth.validity_period == "000000000001000R"


async def test_ton_and_npi_are_overridden_when_the_settings_say_so() -> None:
    overrides = {"source_ton": 0, "source_npi": 9, "dest_ton": 2, "dest_npi": 8}
    async with smsc_of(status(0)) as scripted, link_to(scripted, None, None, **overrides) as link:
        await outcome(link, segments.segment())
    (sent,) = scripted.submits
    assert (sent.source_addr_ton, sent.source_addr_npi) == (0, 9)
    assert (sent.dest_addr_ton, sent.dest_addr_npi) == (2, 8)


async def test_a_segment_is_rejected_when_smpp_cannot_carry_it() -> None:
    async with smsc_of(status(0)) as scripted, link_to(scripted) as link:
        said = await outcome(link, segments.segment(recipient="+" + "1" * 30))
        assert said.kind is Kind.REJECTED
        assert not scripted.submits


async def test_nothing_is_sent_when_the_link_is_down() -> None:
    async with smsc_of(lambda peer, _request: peer.abort()) as scripted, link_to(scripted) as link:
        await outcome(link, segments.segment())
        assert not link.connected
        assert link.room == 0
        assert await outcome(link, segments.segment()) == outcomes.UNAVAILABLE
        assert len(scripted.submits) == 1
        await asyncio.wait_for(link.wait_for_room(), 10)
        assert link.connected


async def test_exactly_the_window_of_every_bind_is_used_when_the_carrier_is_slow() -> None:
    held: list[tuple[session.Session, pdu.SubmitSm]] = []
    full = asyncio.Event()

    def reply(peer: session.Session, request: pdu.SubmitSm) -> None:
        held.append((peer, request))
        if len(held) == 6:
            full.set()

    async with smsc_of(reply) as scripted, link_to(scripted, binds=2, window=3) as link:
        await segments.eventually(lambda: link.room == 6)
        waiting = [segments.submit(link, segments.segment()) for _ in range(6)]
        assert link.room == 0
        await asyncio.wait_for(full.wait(), 10)
        assert scripted.most_unanswered == 3
        room = asyncio.ensure_future(link.wait_for_room())
        peer, request = held[0]
        peer.answer(request, 0, "1")
        await asyncio.wait_for(room, 10)
        assert link.room == 1
        for peer, request in held[1:]:
            peer.answer(request, 0, "1")
        await asyncio.wait_for(asyncio.gather(*waiting), 10)


async def test_the_parts_of_a_message_share_a_bind_when_it_has_room() -> None:
    peers: list[session.Session] = []

    def reply(peer: session.Session, request: pdu.SubmitSm) -> None:
        peers.append(peer)
        peer.answer(request, 0, "1")

    async with smsc_of(reply) as scripted, link_to(scripted, binds=2, window=10) as link:
        await segments.eventually(lambda: link.room == 20)
        parts = segments.segments(text="x" * 700)
        await asyncio.gather(*(segments.submit(link, part) for part in parts))
    assert len(peers) == 5
    assert len(set(peers)) == 1


RECEIPT = pdu.DeliverSm(
    source_addr="33612340000",
    destination_addr="Sluice",
    esm_class=codes.ESM_CLASS_RECEIPT,
    short_message=b"id:abc sub:001 dlvrd:001 stat:DELIVRD err:000 text:canary",
)


async def test_a_receipt_is_answered_only_when_it_is_stored() -> None:
    sink = segments.Sink()
    sink.gate = asyncio.Event()
    async with smsc_of(status(0)) as scripted, link_to(scripted, sink):
        answer = scripted.peers[0].deliver(RECEIPT)
        done, _ = await asyncio.wait({answer}, timeout=0.1)
        assert not done
        sink.gate.set()
        body = await sink.next()
        said = await asyncio.wait_for(answer, 10)
    assert (said.kind, said.status) == (window.AnswerKind.ANSWERED, codes.ESME_ROK)
    assert b"canary" not in body


async def test_a_receipt_is_stored_when_it_comes_as_data_sm() -> None:
    sink = segments.Sink()
    receipt = pdu.DataSm(
        "33612340000",
        "Sluice",
        esm_class=codes.ESM_CLASS_RECEIPT,
        tlvs=(
            (codes.TLV_RECEIPTED_MESSAGE_ID, b"abc\0"),
            (codes.TLV_MESSAGE_STATE, b"\x02"),
            (codes.TLV_MESSAGE_PAYLOAD, b"id:abc stat:DELIVRD err:000 text:canary"),
        ),
    )
    async with smsc_of(status(0)) as scripted, link_to(scripted, sink):
        said = await asyncio.wait_for(scripted.peers[0].deliver(receipt), 10)
    assert said == window.Answer(window.AnswerKind.ANSWERED, codes.ESME_ROK)
    (body,) = sink.seen
    assert b"canary" not in body
    read = smpp.read_receipt(settings_of(), body)
    assert isinstance(read, receipts.Receipt)
    assert (read.carrier_message_id, read.state) == ("abc", receipts.ReceiptState.DELIVERED)


async def test_the_carrier_is_asked_to_repeat_when_a_receipt_could_not_be_stored() -> None:
    sink = segments.Sink(failures=1)
    async with smsc_of(status(0)) as scripted, link_to(scripted, sink):
        first = await asyncio.wait_for(scripted.peers[0].deliver(RECEIPT), 10)
        second = await asyncio.wait_for(scripted.peers[0].deliver(RECEIPT), 10)
    assert (first.status, second.status) == (codes.ESME_RX_T_APPN, codes.ESME_ROK)
    assert len(sink.seen) == 1


async def test_the_carrier_is_asked_to_repeat_when_no_more_receipts_are_taken_in() -> None:
    def overloaded(_body: bytes) -> asyncio.Future[None]:
        raise batching.Overloaded

    async with smsc_of(status(0)) as scripted, link_to(scripted, overloaded):
        said = await asyncio.wait_for(scripted.peers[0].deliver(RECEIPT), 10)
    assert said.status == codes.ESME_RX_T_APPN


async def test_many_receipts_are_stored_at_the_same_time() -> None:
    sink = segments.Sink()
    sink.gate = asyncio.Event()
    async with smsc_of(status(0)) as scripted, link_to(scripted, sink):
        answers = [scripted.peers[0].deliver(RECEIPT) for _ in range(50)]
        sink.gate.set()
        said = await asyncio.wait_for(asyncio.gather(*answers), 10)
    assert {each.status for each in said} == {codes.ESME_ROK}
    assert len(sink.seen) == 50


async def test_an_inbound_message_is_answered_once_it_is_stored_and_comes_again_if_not() -> None:
    sink, inbox = segments.Sink(), segments.Inbox(failures=1)
    sent = pdu.DeliverSm(source_addr="336", destination_addr="1", short_message=b"canary")
    async with smsc_of(status(0)) as scripted, link_to(scripted, sink, inbox):
        # Given a database that is away, Then the carrier is asked to repeat it
        said = await asyncio.wait_for(scripted.peers[0].deliver(sent), 10)
        assert said.status == codes.ESME_RX_T_APPN
        # And when it does, it is stored once, and not taken for a receipt
        said = await asyncio.wait_for(scripted.peers[0].deliver(sent), 10)
        assert said.status == codes.ESME_ROK
        # And it can be told whether the answer may have arrived
        [still_there] = inbox.ways
        assert still_there()
    assert not still_there()
    assert [part.payload for part in inbox.parts] == [b"canary"]
    assert not sink.seen


async def test_the_password_is_read_from_a_file_when_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n")
    named = {"password_file": str(path), "password": None}
    async with smsc_of(status(0)) as scripted, link_to(scripted, None, None, **named) as link:
        assert link.connected


async def test_a_carrier_that_does_not_let_us_send_is_tried_with_one_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given a carrier that refuses our account, and two binds with room for ten each
    monkeypatch.setattr(halts, "HALT_SECONDS_MIN", 0.2)
    lets_us = False

    def reply(peer: session.Session, request: pdu.SubmitSm) -> None:
        peer.answer(request, 0 if lets_us else codes.ESME_RINVPASWD, "id" if lets_us else "")

    async with smsc_of(reply) as scripted, link_to(scripted, binds=2) as link:
        await asyncio.wait_for(link.wait_for_room(), 10)
        while link.room < 20:
            await asyncio.sleep(0.01)
        said = await outcome(link, segments.segment())
        assert (said.kind, said.code) == (Kind.HALTED, "0x0000000E")
        # then no bind takes anything for a while, and operators see that it is down
        assert (link.room, link.connected) == (0, False)
        # and then each is tried with one
        await asyncio.wait_for(link.wait_for_room(), 10)
        while link.room < 2:
            await asyncio.sleep(0.01)
        assert (link.room, link.connected) == (2, True)
        lets_us = True
        assert (await outcome(link, segments.segment())).kind is Kind.ACCEPTED
        # until one is taken
        assert link.room == 20
