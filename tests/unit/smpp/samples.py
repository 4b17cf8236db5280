"""One of each PDU, and ways to draw and to spoil them."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypothesis import strategies as st

from shared.smpp import codes, encoder, pdu

GAPS = ("source_addr", "destination_addr", "short_message", "tlvs")
"""The fields of a message that are no part of an encoder.Form."""
SUBMIT = pdu.SubmitSm(
    source_addr="SLUICE",
    destination_addr="33612345678",
    short_message=b"\x05\x00\x03\x2a\x02\x01hello",
    data_coding=0,
    esm_class=codes.ESM_CLASS_UDHI,
    registered_delivery=1,
    source_addr_ton=5,
    dest_addr_ton=1,
    dest_addr_npi=1,
    validity_period="000001000000000R",
    tlvs=((codes.TLV_USER_MESSAGE_REFERENCE, b"\x12\x34"),),
    sequence=7,
)
DELIVER = pdu.DeliverSm(
    source_addr="33612345678",
    destination_addr="SLUICE",
    short_message=b"id:1 sub:001 dlvrd:001 stat:DELIVRD err:000 text:",
    esm_class=codes.ESM_CLASS_RECEIPT,
    tlvs=((codes.TLV_RECEIPTED_MESSAGE_ID, b"1\0"), (codes.TLV_MESSAGE_STATE, b"\x02")),
    sequence=8,
)
DATA = pdu.DataSm(
    source_addr="33612345678",
    destination_addr="SLUICE",
    esm_class=codes.ESM_CLASS_RECEIPT,
    source_addr_ton=1,
    source_addr_npi=1,
    dest_addr_ton=5,
    service_type="CMT",
    tlvs=(
        (codes.TLV_RECEIPTED_MESSAGE_ID, b"1\0"),
        (codes.TLV_MESSAGE_STATE, b"\x02"),
        (codes.TLV_MESSAGE_PAYLOAD, b"id:1 stat:DELIVRD err:000 text:"),
    ),
    sequence=9,
)
EACH = (
    SUBMIT,
    DELIVER,
    DATA,
    pdu.SubmitSmResp(0, "a1b2", 7),
    pdu.DataSmResp(0, "a1b2", 9),
    pdu.DeliverSmResp(codes.ESME_RTHROTTLED, "", 8),
    pdu.BindRequest("sluice", "secret", "", pdu.BindMode.TRANSMITTER, sequence=1),
    pdu.BindRequest("sluice", "secret", "", pdu.BindMode.RECEIVER, sequence=1),
    pdu.BindRequest("sluice", "secret", "vma", pdu.BindMode.TRANSCEIVER, sequence=1),
    pdu.BindResp(pdu.BindMode.TRANSCEIVER, codes.ESME_RINVPASWD, "", (), 1),
    pdu.EnquireLink(2),
    pdu.EnquireLinkResp(0, 2),
    pdu.Unbind(3),
    pdu.UnbindResp(0, 3),
    pdu.GenericNack(codes.ESME_RINVCMDID, 4),
    pdu.Unknown(0x00000021, 0, 5, b"submit_multi"),
)

octet = st.integers(0, 255)
sequence_numbers = st.integers(0, 0xFFFFFFFF)


def texts(limit: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=limit)


tlvs = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=4).map(tuple)
message_fields = st.fixed_dictionaries(
    {
        "source_addr": texts(20),
        "destination_addr": texts(20),
        "short_message": st.binary(max_size=254),
        "data_coding": octet,
        "esm_class": octet,
        "registered_delivery": octet,
        "source_addr_ton": octet,
        "source_addr_npi": octet,
        "dest_addr_ton": octet,
        "dest_addr_npi": octet,
        "service_type": texts(5),
        "protocol_id": octet,
        "priority_flag": octet,
        "schedule_delivery_time": texts(16),
        "validity_period": texts(16),
        "replace_if_present_flag": octet,
        "sm_default_msg_id": octet,
        "tlvs": tlvs,
        "sequence": sequence_numbers,
    }
)


def spoiled_frames(count: int, seed: int) -> Iterator[bytes]:
    """Frames of every kind of wrongness; the same ones for the same seed."""
    chance = random.Random(seed)
    valid = [encoder.encode(each) for each in EACH]
    for number in range(count):
        frame = bytearray(chance.choice(valid))
        kind = number % 5
        if kind == 0:
            frame = bytearray(chance.randbytes(chance.randrange(0, 120)))
        elif kind == 1:
            for _ in range(chance.randrange(1, 6)):
                frame[chance.randrange(len(frame))] = chance.randrange(256)
        elif kind == 2:
            del frame[chance.randrange(len(frame)) :]
        elif kind == 3:
            frame[0:4] = chance.randbytes(4)
        else:
            body = chance.randbytes(chance.randrange(0, 80))
            frame = frame[:16] + body
            frame[0:4] = len(frame).to_bytes(4, "big")
        yield bytes(frame)
