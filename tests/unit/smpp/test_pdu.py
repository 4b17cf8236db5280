"""The codec gives back what it was given and survives whatever a stranger sends."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.smpp import codes, decoder, encoder, pdu, tlv
from tests.unit.smpp import samples


@given(samples.message_fields)
def test_a_message_survives_the_wire_when_it_fits_the_protocol(fields: dict[str, Any]) -> None:
    submit, deliver = pdu.SubmitSm(**fields), pdu.DeliverSm(**fields)

    assert decoder.decode(encoder.encode(submit)) == submit
    assert isinstance(decoder.decode(encoder.encode(deliver)), pdu.DeliverSm)


@given(samples.texts(64), st.integers(0, 0xFFFFFFFF), samples.sequence_numbers, samples.tlvs)
def test_a_response_survives_the_wire_when_it_fits_the_protocol(
    message_id: str, status: int, sequence: int, tlvs: tuple[tuple[int, bytes], ...]
) -> None:
    resp = pdu.SubmitSmResp(status, message_id, sequence, tlvs)

    assert decoder.decode(encoder.encode(resp)) == resp


@given(samples.message_fields, samples.message_fields)
def test_a_filled_form_is_the_message_it_stands_for(
    fields: dict[str, Any], others: dict[str, Any]
) -> None:
    message, other = pdu.SubmitSm(**fields), pdu.SubmitSm(**others)
    own = (message.source_addr, message.destination_addr, message.short_message)
    written = encoder.encode(message)[codes.HEADER_BYTES :]

    # What stands in the form's gaps is not part of it.
    gaps = other._replace(**{name: fields[name] for name in fields if name not in samples.GAPS})
    assert encoder.form(gaps).fill(*own, tlv.pack(message.tlvs)) == written


@pytest.mark.parametrize(
    ("source", "destination", "text", "status"),
    [
        ("s" * 21, "1", b"", codes.ESME_RINVPARLEN),
        ("s", "1" * 21, b"", codes.ESME_RINVPARLEN),
        ("s\0", "1", b"", codes.ESME_RINVPARLEN),
        ("s", "1\0", b"", codes.ESME_RINVPARLEN),
        ("\u20ac", "1", b"", codes.ESME_RINVPARLEN),
        ("s", "1", b"x" * 255, codes.ESME_RINVMSGLEN),
    ],
)
def test_a_form_is_not_filled_with_what_smpp_cannot_carry(
    source: str, destination: str, text: bytes, status: int
) -> None:
    with pytest.raises(pdu.PduError) as refusal:
        encoder.form(samples.SUBMIT).fill(source, destination, text)

    assert refusal.value.status == status


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (samples.SUBMIT, pdu.SubmitSmResp(8, "id", samples.SUBMIT.sequence)),
        (samples.DELIVER, pdu.DeliverSmResp(8, "", samples.DELIVER.sequence)),
        (samples.DATA, pdu.DataSmResp(8, "id", samples.DATA.sequence)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_each_request_has_its_response(request_: pdu.Request, answer: pdu.MessageResp) -> None:
    frame = encoder.response(request_, 8, "id")

    assert decoder.decode(frame) == answer
    assert decoder.answered_id(frame) == answer.message_id


@pytest.mark.parametrize("message_id", ["i" * 65, "nul\0", "\u20ac"])
def test_a_response_is_refused_with_an_id_smpp_cannot_carry(message_id: str) -> None:
    with pytest.raises(pdu.PduError):
        encoder.response(samples.SUBMIT, 0, message_id)


@given(st.binary(max_size=300))
def test_the_id_of_any_response_can_be_read(body: bytes) -> None:
    frame = encoder.frame(codes.COMMAND_SUBMIT_SM_RESP, 0, 1, body)

    decoded = decoder.decode(frame)

    assert isinstance(decoded, pdu.SubmitSmResp)
    expected = body.partition(b"\0")[0][: decoder.TEXT_CHARS_MAX].decode("latin-1")
    assert decoder.answered_id(frame) == decoded.message_id == expected


@pytest.mark.parametrize("sample", samples.EACH, ids=lambda each: type(each).__name__)
def test_each_pdu_survives_the_wire(sample: pdu.Pdu) -> None:
    decoded = decoder.decode(encoder.encode(sample))

    assert type(decoded) is type(sample)
    assert decoded == sample


def test_only_a_pdu_error_comes_out_when_20000_frames_are_spoiled() -> None:
    read, refused = 0, set()
    started = time.process_time()

    for frame in samples.spoiled_frames(20_000, seed=1):
        try:
            decoder.decode(frame)
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
        decoded = decoder.decode(frame)
    except pdu.PduError:
        return
    assert len(frame) >= codes.HEADER_BYTES
    assert decoded.sequence == int.from_bytes(frame[12:16], "big")


@given(st.sampled_from(sorted(decoder._DECODERS)), st.binary(max_size=200))
def test_only_a_pdu_error_comes_out_when_the_body_is_random(command: int, body: bytes) -> None:
    frame = encoder.encode(pdu.Unknown(command, 0, 9, body))

    outcome: pdu.Pdu | pdu.PduError
    try:
        outcome = decoder.decode(frame)
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
        encoder.encode(samples.SUBMIT._replace(**change))

    assert refusal.value.status == status
    assert refusal.value.sequence == samples.SUBMIT.sequence


@given(
    samples.texts(64), samples.texts(64), samples.texts(5), samples.tlvs, samples.sequence_numbers
)
def test_a_data_sm_survives_the_wire_when_it_fits_the_protocol(
    source: str,
    destination: str,
    service_type: str,
    tlvs: tuple[tuple[int, bytes], ...],
    sequence: int,
) -> None:
    sent = samples.DATA._replace(
        source_addr=source,
        destination_addr=destination,
        service_type=service_type,
        tlvs=tlvs,
        sequence=sequence,
    )

    assert decoder.decode(encoder.encode(sent)) == sent


def test_a_data_sm_is_refused_when_it_has_a_short_message() -> None:
    with pytest.raises(pdu.PduError) as refusal:
        encoder.encode(samples.DATA._replace(short_message=b"x"))

    assert refusal.value.status == codes.ESME_RINVMSGLEN


TAILS = [b"\0", b"\0\0\0", b"\x04\x27\0\x02\x02", b"\x15\x01\xff\xff", b"\xff" * 9]


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("sample", [samples.DELIVER, samples.DATA], ids=["deliver_sm", "data_sm"])
def test_a_delivery_is_read_without_its_tail_when_that_is_spoilt(
    sample: pdu.DeliverSm | pdu.DataSm, tail: bytes
) -> None:
    frame = encoder.encode(sample) + tail

    assert decoder.decode(len(frame).to_bytes(4, "big") + frame[4:]) == sample


@pytest.mark.parametrize("tail", TAILS)
def test_a_submit_is_refused_when_its_tail_is_spoilt(tail: bytes) -> None:
    frame = encoder.encode(samples.SUBMIT) + tail

    with pytest.raises(pdu.PduError) as refusal:
        decoder.decode(len(frame).to_bytes(4, "big") + frame[4:])

    assert refusal.value.status == codes.ESME_RINVOPTPARSTREAM


def test_unknown_numbers_stay_numbers_when_a_carrier_invents_them() -> None:
    odd = samples.DELIVER._replace(data_coding=0xF5, source_addr_ton=0x7F, dest_addr_npi=0xEE)

    assert decoder.decode(encoder.encode(odd)) == odd
    assert decoder.decode(encoder.encode(pdu.SubmitSmResp(0x440, ""))) == pdu.SubmitSmResp(
        0x440, ""
    )


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
    frame = encoder.encode(pdu.Unknown(codes.COMMAND_SUBMIT_SM_RESP, 0x58, 3, body))

    assert decoder.decode(frame) == pdu.SubmitSmResp(0x58, message_id, 3)


def test_an_overlong_address_is_read_when_a_carrier_sends_one() -> None:
    frame = encoder.encode(samples.DELIVER._replace(source_addr="S" * 20))
    longer = frame.replace(b"S" * 20, b"S" * 60)
    decoded = decoder.decode(len(longer).to_bytes(4, "big") + longer[4:])

    assert isinstance(decoded, pdu.DeliverSm)
    assert decoded.source_addr == "S" * 60


def test_a_text_is_refused_when_its_nul_is_too_far_away() -> None:
    body = b"\0\0\0" + b"9" * 1000 + b"\0" * 40
    frame = encoder.encode(pdu.Unknown(codes.COMMAND_SUBMIT_SM, 0, 1, body))

    with pytest.raises(pdu.PduError):
        decoder.decode(frame)


def test_nothing_private_shows_when_a_pdu_is_printed() -> None:
    bind = pdu.BindRequest("sluice", "hunter2")
    printed = repr([bind, samples.SUBMIT, samples.DELIVER, pdu.Unknown(1, body=b"secret")])

    for private in ("hunter2", "33612345678", "hello", "stat:", "secret"):
        assert private not in printed


def test_an_error_quotes_nothing_when_a_message_is_refused() -> None:
    with pytest.raises(pdu.PduError) as refusal:
        encoder.encode(samples.SUBMIT._replace(source_addr="+33612345678" * 3))

    assert "336" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_the_payload_is_found_when_it_travels_as_a_parameter() -> None:
    long = samples.SUBMIT._replace(
        short_message=b"", tlvs=((codes.TLV_MESSAGE_PAYLOAD, b"x" * 900),)
    )

    assert pdu.payload(long) == b"x" * 900
    assert pdu.payload(samples.SUBMIT) == samples.SUBMIT.short_message
