"""What the SMPP adapter hands on as evidence: late answers, and receipts in odd clothes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import pytest

from shared.carriers import contract, outcomes, registry
from shared.carriers.adapters import smpp
from shared.smpp import codes, encoder, pdu
from shared.sms import receipts
from tests.integration.carriers import segments
from tests.integration.smpp import peers

TEXT = b"id:abc sub:001 dlvrd:001 stat:DELIVRD err:000 text:canary"
LOST_SECONDS = 0.3


class Carrier(NamedTuple):
    """A carrier driven byte by byte, and the link to it."""

    peer: peers.Peer
    link: contract.Link
    sink: segments.Sink
    inbox: segments.Inbox
    settings: smpp.Settings

    def read(self, body: bytes) -> receipts.Receipt | receipts.LateAnswer | None:
        return smpp.read_receipt(self.settings, body)


@asynccontextmanager
async def bound(**values: object) -> AsyncIterator[Carrier]:
    async with peers.ScriptedSmsc().listening() as scripted:
        settings = registry.settings(
            "smpp",
            {
                "host": "127.0.0.1",
                "port": scripted.port,
                "system_id": "sluice",
                "password": "secret",
                "response_seconds": LOST_SECONDS,
                **values,
            },
        )
        assert isinstance(settings, smpp.Settings)
        sink, inbox = segments.Sink(), segments.Inbox()
        link = smpp.open_link("acme", settings, sink, inbox)
        try:
            peer = await scripted.accept_bind()
            yield Carrier(peer, link, sink, inbox, settings)
        finally:
            peer.cut()  # It answers no unbind.
            await link.close(0)


async def lose(
    carrier: Carrier, wanted: contract.Segment | None = None
) -> tuple[contract.Segment, pdu.SubmitSm]:
    """A submit that is given up as lost while the link goes on."""
    segment = wanted or segments.segment()
    await asyncio.wait_for(carrier.link.wait_for_room(), 10)
    outcome = segments.submit(carrier.link, segment)
    [submit] = await carrier.peer.receive_submits(1)
    answering = asyncio.ensure_future(answer_enquiries(carrier.peer))
    assert await asyncio.wait_for(outcome, 10) == outcomes.LOST
    answering.cancel()
    return segment, submit


async def answer_enquiries(peer: peers.Peer) -> None:
    while True:
        asked = await peer.receive()
        if isinstance(asked, pdu.EnquireLink):
            peer.send(pdu.EnquireLinkResp(), asked.sequence)


@pytest.mark.parametrize(
    ("answer", "verdict", "name", "code"),
    [
        (pdu.SubmitSmResp(0, "00A7"), receipts.Verdict.ACCEPTED, "a7", ""),
        (pdu.SubmitSmResp(0x0B), receipts.Verdict.REFUSED, "", "0x0000000B"),
        (pdu.SubmitSmResp(0x58), receipts.Verdict.NOT_NOW, "", "0x00000058"),
        (pdu.GenericNack(0x03), receipts.Verdict.REFUSED, "", "0x00000003"),
    ],
)
async def test_an_answer_is_kept_as_evidence_when_it_comes_after_it_was_given_up(
    answer: pdu.SubmitSmResp | pdu.GenericNack, verdict: receipts.Verdict, name: str, code: str
) -> None:
    async with bound(id_base="hex") as carrier:
        segment, submit = await lose(carrier)

        carrier.peer.send(answer, submit.sequence)
        body = await carrier.sink.next()

        assert b"Your code" not in body
        said = carrier.read(body)
        assert isinstance(said, receipts.LateAnswer)
        assert (said.message_id, said.part) == (segment.message_id, 1)
        assert said.submitted_at == segment.submitted_at
        assert (said.verdict, said.carrier_message_id, said.code) == (verdict, name, code)


async def test_a_late_answer_to_a_whole_text_is_evidence_of_each_of_its_parts() -> None:
    first = segments.segments(text="x" * 400)[0]
    whole = msgspec.structs.replace(first, udh=b"", payload=b"x" * 400)
    async with bound(concatenation="payload") as carrier:
        _, submit = await lose(carrier, whole)

        carrier.peer.send(pdu.SubmitSmResp(0, "7"), submit.sequence)
        said = [carrier.read(await carrier.sink.next()) for _ in range(3)]

        told = [each for each in said if isinstance(each, receipts.LateAnswer)]
        assert [(each.part, each.carrier_message_id) for each in told] == [
            (1, "7"),
            (2, "7"),
            (3, "7"),
        ]


async def test_a_late_answer_that_cannot_be_stored_harms_nothing() -> None:
    async with bound() as carrier:
        carrier.sink.failures = 1
        _, submit = await lose(carrier)

        carrier.peer.send(pdu.SubmitSmResp(0, "1"), submit.sequence)
        await segments.eventually(lambda: carrier.sink.failures == 0)

        assert carrier.link.connected
        assert carrier.sink.seen == []


@pytest.mark.parametrize("tail", [b"\0", b"\x04\x27\x00\x05\x02", b"\x14\x01"])
async def test_a_receipt_is_taken_when_the_tail_of_its_parameters_is_spoilt(tail: bytes) -> None:
    frame = encoder.encode(
        pdu.DeliverSm("33612340000", "Sluice", TEXT, esm_class=codes.ESM_CLASS_RECEIPT), 7
    )
    spoilt = (len(frame) + len(tail)).to_bytes(4, "big") + frame[4:] + tail
    async with bound() as carrier:
        carrier.peer.send_bytes(spoilt)
        said = carrier.read(await carrier.sink.next())

        assert isinstance(said, receipts.Receipt)
        assert (said.carrier_message_id, said.state) == ("abc", receipts.ReceiptState.DELIVERED)
        assert await carrier.peer.receive() == pdu.DeliverSmResp(0, "", 7)


async def test_a_receipt_that_only_its_text_shows_is_taken_when_the_settings_allow_it() -> None:
    unmarked = pdu.DeliverSm("33612340000", "Sluice", TEXT)
    async with bound(receipts_without_esm_class=True) as carrier:
        carrier.peer.send(unmarked, 7)
        body = await carrier.sink.next()

        assert b"canary" not in body
        said = carrier.read(body)
        assert isinstance(said, receipts.Receipt)
        assert said.by_id_only
        assert await carrier.peer.receive() == pdu.DeliverSmResp(0, "", 7)


async def test_esm_class_alone_decides_when_the_settings_do_not_allow_it() -> None:
    async with bound() as carrier:
        carrier.peer.send(pdu.DeliverSm("33612340000", "Sluice", TEXT), 7)

        assert await carrier.peer.receive() == pdu.DeliverSmResp(0, "", 7)
        assert [part.payload for part in carrier.inbox.parts] == [TEXT]
        assert carrier.sink.seen == []
