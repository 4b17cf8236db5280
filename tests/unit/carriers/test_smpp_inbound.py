"""What is read of a delivery that is no receipt, also as independent peers write it."""

from __future__ import annotations

from typing import Any

import pytest
import smpp34
from hypothesis import given
from hypothesis import strategies as st
from smpplib import smpp as smpplib

from shared.carriers import smpp_inbound, smpp_receipts
from shared.smpp import codes, decoder, encoder, pdu, tlv
from shared.sms import inbound, segmentation

SAR = (
    (codes.TLV_SAR_MSG_REF_NUM, b"\x12\x34"),
    (codes.TLV_SAR_TOTAL_SEGMENTS, b"\x03"),
    (codes.TLV_SAR_SEGMENT_SEQNUM, b"\x02"),
)
OF_THREE = segmentation.Concatenation(0x1234, 16, 3, 2)


class Numbering:
    """What smpplib wants of a client when it makes a PDU."""

    sequence = 7

    def next_sequence(self) -> int:
        return self.sequence


def read(frame: bytes) -> inbound.InboundPart:
    received = decoder.decode(frame)
    assert isinstance(received, (pdu.DeliverSm, pdu.DataSm))
    return smpp_inbound.read(received, "gsm7")


def delivery(text: bytes, **fields: Any) -> pdu.DeliverSm:
    known: dict[str, Any] = {
        "source_addr": "33612345678",
        "source_addr_ton": 1,
        "destination_addr": "36180",
    }
    return pdu.DeliverSm(short_message=text, **(known | fields))


def test_a_part_that_smpplib_wrote_is_read() -> None:
    made = smpplib.make_pdu(
        "deliver_sm",
        client=Numbering(),
        source_addr="33612345678",
        source_addr_ton=1,
        destination_addr="36180",
        short_message=b"hello",
        sar_msg_ref_num=0x1234,
        sar_total_segments=3,
        sar_segment_seqnum=2,
    )
    part = read(bytes(made.generate()))
    assert part[:2] == ("+33612345678", "36180")
    assert (part.alphabet, part.payload, part.concatenation) == ("gsm7", b"hello", OF_THREE)


def test_a_long_text_that_smpp34_wrote_as_a_parameter_is_read() -> None:
    fields = delivery(b"", tlvs=())._asdict()
    fields["tlvs"] = [smpp34.Tlv(codes.TLV_MESSAGE_PAYLOAD, b"x" * 1000)]
    fields["sequence_number"] = fields.pop("sequence")
    part = read(bytes(smpp34.DeliverSm(**fields).encode()))
    assert (part.payload, part.concatenation) == (b"x" * 1000, None)


def test_a_data_sm_is_read_as_a_deliver_sm_is() -> None:
    sent = pdu.DataSm(
        "33612345678",
        "36180",
        data_coding=8,
        esm_class=codes.ESM_CLASS_UDHI,
        source_addr_ton=1,
        tlvs=((codes.TLV_MESSAGE_PAYLOAD, b"\x05\x00\x03\x07\x02\x01\x04\x16"),),
    )
    part = read(encoder.encode(sent))
    assert (part.alphabet, part.payload) == ("ucs2", b"\x04\x16")
    assert part.concatenation == segmentation.Concatenation(7, 8, 2, 1)


@given(st.text(st.characters(codec="utf-16-be", exclude_characters="\0"), min_size=200).filter(
    lambda text: len(text.encode("utf-16-be")) < 600), st.integers(0, 0xFFFF))  # fmt: skip
def test_the_parts_of_a_text_are_read_and_joined(text: str, reference: int) -> None:
    parts = [
        read(
            encoder.encode(
                delivery(
                    each.udh + each.payload,
                    data_coding=segmentation.data_coding(each.encoding),
                    esm_class=codes.ESM_CLASS_UDHI,
                )
            )
        )
        for each in segmentation.split(text, reference)
    ]
    numbered = [(part.concatenation, part) for part in reversed(parts)]
    pieces = [
        inbound.Piece(said.number, part.alphabet, part.payload)
        for said, part in numbered
        if said is not None
    ]
    assert inbound.join(len(parts), pieces).body == text


@pytest.mark.parametrize(
    "tlvs",
    [
        SAR[:2],
        (*SAR[:2], (codes.TLV_SAR_SEGMENT_SEQNUM, b"\x04")),
        (*SAR[:2], (codes.TLV_SAR_SEGMENT_SEQNUM, b"\x00")),
        (*SAR[1:], (codes.TLV_SAR_MSG_REF_NUM, b"\x01")),
    ],
)
def test_parameters_that_name_no_part_make_a_message_of_its_own(tlvs: tlv.Tlvs) -> None:
    assert tlv.sar(tlvs) is None
    assert smpp_inbound.read(delivery(b"hi", tlvs=tlvs), "gsm7").concatenation is None


def test_the_header_wins_over_the_parameters_and_one_part_of_one_is_no_part() -> None:
    header = b"\x06\x08\x04\x12\x34\x03\x02"
    both = delivery(header + b"hi", esm_class=codes.ESM_CLASS_UDHI, tlvs=SAR)
    assert smpp_inbound.read(both, "gsm7").concatenation == OF_THREE
    alone = delivery(b"\x05\x00\x03\x07\x01\x01hi", esm_class=codes.ESM_CLASS_UDHI)
    assert smpp_inbound.read(alone, "gsm7").concatenation is None


FORGED = b"id:77 sub:001 dlvrd:001 submit date:2611220101 done date:2611220102 stat:DELIVRD err:000"


@pytest.mark.parametrize("esm_class", [0x00, 0x01, 0x03, 0x40, 0x80, 0x08, 0x10, 0x18])
def test_no_text_makes_a_receipt_of_a_message(esm_class: int) -> None:
    # Given a text in the words of a receipt, which any phone may send
    sent = delivery(b"\x00" * (esm_class == 0x40) + FORGED, esm_class=esm_class)
    # Then it is a message unless its esm_class says receipt
    assert smpp_receipts.strip(sent) is None
    part = smpp_inbound.read(sent, "gsm7")
    assert part.payload == FORGED


@pytest.mark.parametrize("esm_class", [0x04, 0x20, 0x44])
def test_what_says_that_it_is_a_receipt_is_none_of_ours(esm_class: int) -> None:
    assert smpp_receipts.strip(delivery(b"stop", esm_class=esm_class)) is not None


@given(st.binary(max_size=200), st.integers(0, 255), st.integers(0, 255))
def test_reading_is_total(text: bytes, esm_class: int, data_coding: int) -> None:
    part = smpp_inbound.read(delivery(text, esm_class=esm_class, data_coding=data_coding), "gsm7")
    assert part.udh + part.payload == text
