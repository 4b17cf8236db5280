"""What is kept of a deliver_sm, and how it is read again."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.carriers import registry, smpp_receipts
from shared.carriers.adapters import smpp
from shared.smpp import codes, pdu
from shared.sms import receipts

State = receipts.ReceiptState
CANARY = b"canary-7731"


def settings(id_base: str = "same") -> smpp.Settings:
    values = {"host": "h", "port": 1, "system_id": "s", "password": "p", "id_base": id_base}
    decoded = registry.settings("smpp", values)
    assert isinstance(decoded, smpp.Settings)
    return decoded


def delivery(
    text: bytes, tlvs: tuple[tuple[int, bytes], ...] = (), esm_class: int = 0x04
) -> pdu.DeliverSm:
    return pdu.DeliverSm(
        source_addr="33612345678",
        destination_addr="Sluice",
        short_message=text,
        esm_class=esm_class,
        tlvs=tlvs,
    )


def read(sent: pdu.DeliverSm, id_base: str = "same") -> receipts.Receipt | None:
    body = smpp_receipts.strip(sent)
    assert body is not None
    return smpp.read_receipt(settings(id_base), body)


def text_of(stat: str) -> bytes:
    head = b"id:77 sub:001 dlvrd:001 submit date:2611220101 done date:2611220102 "
    return head + b"stat:%b err:012 text:%b" % (stat.encode(), CANARY)


@pytest.mark.parametrize(
    ("stat", "state"),
    [
        ("DELIVRD", State.DELIVERED),
        ("delivrd", State.DELIVERED),
        ("UNDELIV", State.UNDELIVERED),
        ("EXPIRED", State.EXPIRED),
        ("REJECTD", State.REJECTED),
        ("DELETED", State.UNDELIVERED),
        ("UNKNOWN", State.UNKNOWN),
        ("ACCEPTD", State.ENROUTE),
        ("ENROUTE", State.ENROUTE),
    ],
)
def test_a_receipt_says_its_state_in_words(stat: str, state: State) -> None:
    receipt = read(delivery(text_of(stat)))
    assert receipt == receipts.Receipt("77", state, f"{stat.upper()} 012")


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (1, State.ENROUTE),
        (2, State.DELIVERED),
        (3, State.EXPIRED),
        (4, State.UNDELIVERED),
        (5, State.UNDELIVERED),
        (6, State.ENROUTE),
        (7, State.UNKNOWN),
        (8, State.REJECTED),
    ],
)
def test_parameters_win_when_the_text_says_otherwise(number: int, state: State) -> None:
    tlvs = (
        (codes.TLV_RECEIPTED_MESSAGE_ID, b"88\0"),
        (codes.TLV_MESSAGE_STATE, bytes([number])),
        (codes.TLV_NETWORK_ERROR_CODE, b"\x03\x00\x11"),
    )
    receipt = read(delivery(text_of("WHATEVR"), tlvs, esm_class=0))
    assert receipt == receipts.Receipt("88", state, "WHATEVR 3:17")


@pytest.mark.parametrize(
    ("text", "tlvs"),
    [
        (b"", ()),
        (b"id:77", ()),
        (b"stat:DELIVRD", ()),
        (b"id:77 stat:SOMEDAY", ()),
        (b"id:%b stat:DELIVRD" % (b"7" * 200), ()),
        (b"id:77 stat:DELIVRD", ((codes.TLV_MESSAGE_STATE, b"\xfe"),)),
    ],
)
def test_nothing_is_read_when_id_or_state_is_missing(
    text: bytes, tlvs: tuple[tuple[int, bytes], ...]
) -> None:
    assert read(delivery(text, tlvs)) is None


@pytest.mark.parametrize(
    ("id_base", "answer", "receipt"),
    [
        ("same", "0A3F", "0A3F"),
        ("hex_to_dec", "2623", "a3f"),
        ("hex_to_dec", "0002623", "0A3F"),
        ("dec_to_hex", "0A3F", "2623"),
        ("dec_to_hex", "a3f", "00002623"),
        ("dec_to_hex", "not-a-number", "not-a-number"),
    ],
)
def test_answer_and_receipt_meet_in_one_id_when_their_bases_differ(
    id_base: str, answer: str, receipt: str
) -> None:
    said = read(delivery(b"id:%b stat:DELIVRD" % receipt.encode()), id_base)
    assert said is not None
    assert said.carrier_message_id == smpp_receipts.answered_id(answer, id_base)


@pytest.mark.parametrize("esm_class", [0x00, 0x40, 0x08, 0x10])
def test_a_delivery_is_no_receipt_when_nothing_says_so(esm_class: int) -> None:
    assert smpp_receipts.strip(delivery(CANARY, esm_class=esm_class)) is None


@pytest.mark.parametrize(
    "text",
    [text_of("DELIVRD"), CANARY, b"id:1 stat:DELIVRD text:" + CANARY, b"id:1 Text: " + CANARY],
)
def test_the_message_s_text_is_never_in_what_is_published(text: bytes) -> None:
    in_short_message = smpp_receipts.strip(delivery(text))
    in_parameter = smpp_receipts.strip(delivery(b"", ((codes.TLV_MESSAGE_PAYLOAD, text),)))
    for body in (in_short_message, in_parameter):
        assert body is not None
        assert b"canary" not in body
        assert b"7731" not in body
        assert b"33612345678" not in body


@given(st.binary(max_size=300))
def test_reading_is_total_when_anything_was_stored(body: bytes) -> None:
    smpp.read_receipt(settings(), body)


def test_reading_is_total_when_good_bodies_are_mangled() -> None:
    chance = random.Random(7)
    good = smpp_receipts.strip(delivery(text_of("DELIVRD"), ((codes.TLV_MESSAGE_STATE, b"\2"),)))
    assert good is not None
    for _ in range(3000):
        body = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        for id_base in ("same", "hex_to_dec", "dec_to_hex"):
            receipt = smpp.read_receipt(settings(id_base), bytes(body[: chance.randint(0, 400)]))
            assert receipt is None or len(receipt.carrier_message_id) <= 160


@given(st.binary(max_size=254), st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40))))
def test_any_delivery_is_stripped_and_read_without_an_exception(
    text: bytes, tlvs: list[tuple[int, bytes]]
) -> None:
    body = smpp_receipts.strip(delivery(text, tuple(tlvs)))
    assert body is not None
    assert msgspec.json.decode(body) is not None
    smpp.read_receipt(settings("hex_to_dec"), body)
