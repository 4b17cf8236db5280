"""Our bytes are the bytes two independent libraries write for the same PDU."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import smpp34
from smpplib import smpp as smpplib

from shared.smpp import codes, decoder, encoder, pdu
from tests.unit.smpp import samples

SEQUENCE = 7


class FixedSequence:
    """What smpplib wants of a client when it makes a PDU."""

    sequence = SEQUENCE

    def next_sequence(self) -> int:
        return SEQUENCE


def by_smpplib(command: str, **fields: object) -> bytes:
    made = smpplib.make_pdu(command, client=FixedSequence(), **fields)
    return bytes(made.generate())


def by_smpp34(kind: Any, message: pdu.SubmitSm | pdu.DeliverSm) -> bytes:
    fields = message._asdict()
    fields["tlvs"] = [smpp34.Tlv(tag, value) for tag, value in message.tlvs]
    fields["sequence_number"] = fields.pop("sequence")
    return bytes(kind(**fields).encode())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"tlvs": ()},
        {"data_coding": 0xF5, "short_message": b"\x00\x41\xd8\x3d\xde\x00"},
        {"tlvs": ((0x1400, b"vendor"), (codes.TLV_MESSAGE_PAYLOAD, b"x" * 600))},
        {"short_message": b"x" * 254, "service_type": "CMT", "priority_flag": 3},
    ],
    ids=["udh and tlv", "udh", "odd coding", "vendor and payload tlvs", "longest text"],
)
def test_messages_are_written_the_same_by_smpp34(change: dict[str, Any]) -> None:
    submit, deliver = samples.SUBMIT._replace(**change), samples.DELIVER._replace(**change)

    assert encoder.encode(submit) == by_smpp34(smpp34.SubmitSm, submit)
    assert encoder.encode(deliver) == by_smpp34(smpp34.DeliverSm, deliver)


def test_a_message_is_read_the_same_by_smpp34() -> None:
    theirs = smpp34.decode(encoder.encode(samples.DELIVER))

    assert isinstance(theirs, smpp34.DeliverSm)
    for name in pdu.DeliverSm._fields:
        if name not in ("tlvs", "sequence"):
            assert getattr(theirs, name) == getattr(samples.DELIVER, name)
    assert tuple((each.tag, each.value) for each in theirs.tlvs) == samples.DELIVER.tlvs


def mutated(count: int, seed: int) -> Iterator[bytes]:
    """Deliveries and submits with changed octets, cuts and additions, their lengths put right."""
    chance = random.Random(seed)
    valid = [encoder.encode(each) for each in (samples.DELIVER, samples.SUBMIT)]
    for number in range(count):
        frame = bytearray(valid[number % 2])
        for _ in range(chance.randrange(3)):
            frame[chance.randrange(16, len(frame))] = chance.randrange(256)
        if chance.random() < 0.3:
            del frame[chance.randrange(16, len(frame)) :]
        if chance.random() < 0.3:
            frame += chance.randbytes(chance.randrange(1, 8))
        frame[0:4] = len(frame).to_bytes(4, "big")
        yield bytes(frame)


def test_what_we_take_smpp34_takes_and_reads_the_same_when_frames_are_mutated() -> None:
    """Taking deliveries with a spoilt tail has let nothing in that another library refuses."""
    taken = refused = 0
    for frame in mutated(20_000, seed=5):
        try:
            ours = decoder.decode(frame)
        except pdu.PduError:
            refused += 1
            continue
        theirs = smpp34.decode(frame)
        assert isinstance(ours, pdu.DeliverSm | pdu.SubmitSm)
        assert not isinstance(theirs, smpp34.RawPdu)
        assert type(theirs).__name__ == type(ours).__name__
        taken += 1
        for name in type(ours)._fields:
            if name not in ("tlvs", "sequence"):
                value = getattr(ours, name)
                if not isinstance(value, str) or value.isascii():  # It keeps no octet above 0x7F.
                    assert getattr(theirs, name) == value
        read = tuple((each.tag, each.value) for each in theirs.tlvs)
        assert read[: len(ours.tlvs)] == ours.tlvs
    assert taken > 5_000
    assert refused > 2_000


@pytest.mark.parametrize(
    "sample",
    [each for each in samples.EACH if not isinstance(each, pdu.SubmitSm | pdu.DeliverSm)],
    ids=lambda each: type(each).__name__,
)
def test_headers_are_read_the_same_by_smpp34(sample: pdu.Pdu) -> None:
    frame = encoder.encode(sample)
    theirs = smpp34.decode(frame)

    assert isinstance(theirs, smpp34.RawPdu)
    assert theirs.command_id == codes.HEADER.unpack_from(frame)[1]
    assert theirs.command_status == getattr(sample, "status", 0)
    assert theirs.sequence_number == sample.sequence


def test_a_submit_sm_is_written_the_same_by_smpplib() -> None:
    fields = samples.SUBMIT._asdict()
    del fields["tlvs"], fields["sequence"]

    theirs = by_smpplib("submit_sm", **fields, user_message_reference=0x1234)

    assert encoder.encode(samples.SUBMIT) == theirs


def test_a_deliver_sm_is_written_the_same_by_smpplib() -> None:
    fields = samples.DELIVER._asdict()
    del fields["tlvs"], fields["sequence"]

    theirs = by_smpplib("deliver_sm", **fields, receipted_message_id="1", message_state=2)

    # smpplib writes the two parameters in its own order.
    assert (
        encoder.encode(samples.DELIVER._replace(tlvs=samples.DELIVER.tlvs[::-1]), SEQUENCE)
        == theirs
    )


@pytest.mark.parametrize("mode", list(pdu.BindMode))
def test_a_bind_is_written_the_same_by_smpplib(mode: pdu.BindMode) -> None:
    theirs = by_smpplib(f"bind_{mode}", system_id="sluice", password="secret", system_type="vma")

    assert encoder.encode(pdu.BindRequest("sluice", "secret", "vma", mode), SEQUENCE) == theirs


@pytest.mark.parametrize(
    ("command", "fields", "ours"),
    [
        ("enquire_link", {}, pdu.EnquireLink()),
        ("enquire_link_resp", {}, pdu.EnquireLinkResp()),
        ("unbind", {}, pdu.Unbind()),
        ("unbind_resp", {}, pdu.UnbindResp()),
        ("submit_sm_resp", {"message_id": "a1b2"}, pdu.SubmitSmResp(0, "a1b2")),
        ("deliver_sm_resp", {}, pdu.DeliverSmResp()),
        ("bind_transceiver_resp", {"system_id": "SMSC"}, pdu.BindResp(system_id="SMSC")),
    ],
)
def test_the_small_pdus_are_written_the_same_by_smpplib(
    command: str, fields: dict[str, str], ours: pdu.Pdu
) -> None:
    assert encoder.encode(ours, SEQUENCE) == by_smpplib(command, **fields)
