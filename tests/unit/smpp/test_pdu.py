"""The codec gives back what it was given and survives whatever a stranger sends."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.smpp import codes, pdu
from tests.unit.smpp import samples


@given(samples.message_fields)
def test_a_message_survives_the_wire_when_it_fits_the_protocol(fields: dict[str, Any]) -> None:
    submit, deliver = pdu.SubmitSm(**fields), pdu.DeliverSm(**fields)

    assert pdu.decode(pdu.encode(submit)) == submit
    assert isinstance(pdu.decode(pdu.encode(deliver)), pdu.DeliverSm)


@given(samples.texts(64), st.integers(0, 0xFFFFFFFF), samples.sequence_numbers, samples.tlvs)
def test_a_response_survives_the_wire_when_it_fits_the_protocol(
    message_id: str, status: int, sequence: int, tlvs: tuple[tuple[int, bytes], ...]
) -> None:
    resp = pdu.SubmitSmResp(status, message_id, sequence, tlvs)

    assert pdu.decode(pdu.encode(resp)) == resp


@pytest.mark.parametrize("sample", samples.EACH, ids=lambda each: type(each).__name__)
def test_each_pdu_survives_the_wire(sample: pdu.Pdu) -> None:
    decoded = pdu.decode(pdu.encode(sample))

    assert type(decoded) is type(sample)
    assert decoded == sample


def test_only_a_pdu_error_comes_out_when_20000_frames_are_spoiled() -> None:
    read, refused = 0, set()
    started = time.process_time()

    for frame in samples.spoiled_frames(20_000, seed=1):
        try:
            pdu.decode(frame)
            read += 1
        except pdu.PduError as error:
            refused.add(error.status)

    assert read > 1000
    assert refused == {
        codes.ESME_RINVCMDLEN,
        codes.ESME_RINVMSGLEN,
        codes.ESME_RINVPARLEN,
        codes.ESME_RINVOPTPARSTREAM,
    }
    assert time.process_time() - started < 3


@given(st.binary(max_size=300))
def test_only_a_pdu_error_comes_out_when_the_bytes_are_random(frame: bytes) -> None:
    try:
        decoded = pdu.decode(frame)
    except pdu.PduError:
        return
    assert len(frame) >= codes.HEADER_BYTES
    assert decoded.sequence == int.from_bytes(frame[12:16], "big")


@given(st.sampled_from(sorted(pdu._DECODERS)), st.binary(max_size=200))
def test_only_a_pdu_error_comes_out_when_the_body_is_random(command: int, body: bytes) -> None:
    frame = pdu.encode(pdu.Unknown(command, 0, 9, body))

    outcome: pdu.Pdu | pdu.PduError
    try:
        outcome = pdu.decode(frame)
    except pdu.PduError as error:
        outcome = error

    assert outcome.sequence == 9


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"source_addr": "a\0b"}, codes.ESME_RINVPARLEN),
        ({"destination_addr": "3" * 21}, codes.ESME_RINVPARLEN),
        ({"service_type": "123456"}, codes.ESME_RINVPARLEN),
        ({"validity_period": "0" * 17}, codes.ESME_RINVPARLEN),
        ({"source_addr": "Ⅸ"}, codes.ESME_RINVPARLEN),
        ({"data_coding": 256}, codes.ESME_RINVPARLEN),
        ({"esm_class": -1}, codes.ESME_RINVPARLEN),
        ({"tlvs": ((0x10000, b""),)}, codes.ESME_RINVPARLEN),
        ({"tlvs": ((1, b"x" * 0x10000),)}, codes.ESME_RINVPARLEN),
        ({"short_message": b"x" * 255}, codes.ESME_RINVMSGLEN),
    ],
)
def test_encoding_refuses_when_smpp_cannot_carry_it(change: dict[str, Any], status: int) -> None:
    with pytest.raises(pdu.PduError) as refusal:
        pdu.encode(samples.SUBMIT._replace(**change))

    assert refusal.value.status == status
    assert refusal.value.sequence == samples.SUBMIT.sequence


def test_unknown_numbers_stay_numbers_when_a_carrier_invents_them() -> None:
    odd = samples.DELIVER._replace(data_coding=0xF5, source_addr_ton=0x7F, dest_addr_npi=0xEE)

    assert pdu.decode(pdu.encode(odd)) == odd
    assert pdu.decode(pdu.encode(pdu.SubmitSmResp(0x440, ""))) == pdu.SubmitSmResp(0x440, "")


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b"", ""),
        (b"\0", ""),
        (b"abc", "abc"),
        (b"abc\0", "abc"),
        (b"abc\0\x00\x1e\x00", "abc"),
        (b"\xff\xfe\0", "ÿþ"),
        (b"a" * 300, "a" * 255),
    ],
)
def test_a_response_is_read_when_its_body_is_sloppy(body: bytes, message_id: str) -> None:
    frame = pdu.encode(pdu.Unknown(codes.COMMAND_SUBMIT_SM_RESP, 0x58, 3, body))

    assert pdu.decode(frame) == pdu.SubmitSmResp(0x58, message_id, 3)


def test_an_overlong_address_is_read_when_a_carrier_sends_one() -> None:
    frame = pdu.encode(samples.DELIVER._replace(source_addr="S" * 20))
    longer = frame.replace(b"S" * 20, b"S" * 60)
    decoded = pdu.decode(len(longer).to_bytes(4, "big") + longer[4:])

    assert isinstance(decoded, pdu.DeliverSm)
    assert decoded.source_addr == "S" * 60


def test_a_text_is_refused_when_its_nul_is_too_far_away() -> None:
    body = b"\0\0\0" + b"9" * 1000 + b"\0" * 40
    frame = pdu.encode(pdu.Unknown(codes.COMMAND_SUBMIT_SM, 0, 1, body))

    with pytest.raises(pdu.PduError):
        pdu.decode(frame)


def test_nothing_private_shows_when_a_pdu_is_printed() -> None:
    bind = pdu.BindRequest("sluice", "hunter2")
    printed = repr([bind, samples.SUBMIT, samples.DELIVER, pdu.Unknown(1, body=b"secret")])

    for private in ("hunter2", "33612345678", "hello", "stat:", "secret"):
        assert private not in printed


def test_an_error_quotes_nothing_when_a_message_is_refused() -> None:
    with pytest.raises(pdu.PduError) as refusal:
        pdu.encode(samples.SUBMIT._replace(source_addr="+33612345678" * 3))

    assert "336" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_the_payload_is_found_when_it_travels_as_a_parameter() -> None:
    long = samples.SUBMIT._replace(
        short_message=b"", tlvs=((codes.TLV_MESSAGE_PAYLOAD, b"x" * 900),)
    )

    assert pdu.payload(long) == b"x" * 900
    assert pdu.payload(samples.SUBMIT) == samples.SUBMIT.short_message
