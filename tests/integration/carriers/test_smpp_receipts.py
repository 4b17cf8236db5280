"""Receipts as carriers write them, over a real session: what is stored of each, how it reads."""

from __future__ import annotations

import asyncio

import pytest

from shared.carriers import registry, smpp_receipts
from shared.carriers.adapters import smpp
from shared.smpp import codes, pdu
from shared.sms import causes, receipts
from tests.integration.carriers import segments, smscs

State = receipts.ReceiptState
PHONE = "33612345678"
_SAID = causes.SENTENCES
CANARY = b"canary-7731"
RECEIPT = codes.ESM_CLASS_RECEIPT
STATE, NAME = codes.TLV_MESSAGE_STATE, codes.TLV_RECEIPTED_MESSAGE_ID
ERROR = codes.TLV_NETWORK_ERROR_CODE


def settings(**values: object) -> smpp.Settings:
    described = {"host": "127.0.0.1", "port": 1, "system_id": "s", "password": "p"}
    decoded = registry.settings("smpp", described | values)
    assert isinstance(decoded, smpp.Settings)
    return decoded


async def delivered(
    *sent: pdu.DeliverSm | pdu.DataSm, **values: object
) -> list[receipts.Receipt | None]:
    """Receipts as dlr reads what the link has stored of them; None of what came as a message."""
    sink, inbox = segments.Sink(), segments.Inbox()
    read: list[receipts.Receipt | None] = []
    async with smscs.listening() as smsc, smscs.link_to(smsc.port, sink, inbox, **values):
        await segments.eventually(lambda: bool(smsc.peers))
        for each in sent:
            told = await asyncio.wait_for(smsc.peers[0].deliver(each), 10)
            assert told.status == codes.ESME_ROK
            if len(sink.seen) + len(inbox.parts) != len(read) + 1:
                raise AssertionError("stored twice, or not at all")
            read.append(None if len(inbox.parts) > read.count(None) else _read(sink, values))
    return read


def _read(sink: segments.Sink, values: dict[str, object]) -> receipts.Receipt:
    assert CANARY not in sink.seen[-1]
    read = smpp.read_receipt(settings(**values), sink.seen[-1])
    assert isinstance(read, receipts.Receipt)
    return read


def receipt(text: bytes, *tlvs: tuple[int, bytes], esm_class: int = RECEIPT) -> pdu.DeliverSm:
    return pdu.DeliverSm(PHONE, "Sluice", text, esm_class=esm_class, tlvs=tlvs)


TEXTS = [
    b"id:Ab7 sub:001 dlvrd:001 submit date:2611220101 done date:2611220102 stat:DELIVRD err:000"
    b" text:" + CANARY,
    b"stat:DELIVRD err:000 done date:2611220102 id:Ab7 text:" + CANARY,
    b"ID: Ab7 SUB: 001 DLVRD: 001 STAT: delivrd ERR: 000 TEXT: " + CANARY,
    b"id:Ab7\nsub:001\ndlvrd:001\nstat:DELIVERED\nerr:0\ntext:" + CANARY,
    b"id:Ab7 stat:Delivered",
    b"  id : Ab7   stat : DELIVRD  ",
    b"id:Ab7 sub:1 dlvrd:1 submitdate:20261122010100 donedate:20261122010200 stat:DELIVERE err:",
    b"id:Ab7 stat:2 err:000",
    b"id:Ab7 sub: dlvrd: submit date: done date: stat:DELIVRD err: text:",
    b"id:Ab7stat:DELIVRDerr:000text:" + CANARY,
    b"id:Ab7 stat:DELIVRD err:000 text:id:Zz9 stat:UNDELIV",
]


async def test_a_text_is_read_in_whatever_order_case_and_spacing_it_comes() -> None:
    read = await delivered(*(receipt(text) for text in TEXTS))
    for text, said in zip(TEXTS, read, strict=True):
        assert said is not None
        found = (said.carrier_message_id, said.state, said.phones)
        assert found == ("Ab7", State.DELIVERED, (PHONE,)), text


WORDS = {
    "ENROUTE": State.ENROUTE,
    "ACCEPTED": State.ENROUTE,
    "BUFFERED": State.ENROUTE,
    "EXPIRED": State.EXPIRED,
    "DELETED": State.UNDELIVERED,
    "UNDELIVERABLE": State.UNDELIVERED,
    "UNDELIVERED": State.UNDELIVERED,
    "SKIPPED": State.UNDELIVERED,
    "REJECTED": State.REJECTED,
    "REJECTE": State.REJECTED,
    "UNKNOWN": State.UNKNOWN,
    "5": State.UNDELIVERED,
    "DELIVERED_TO_HANDSET": State.DELIVERED,
    "NACK/2": State.REJECTED,
}


async def test_a_state_is_read_in_seven_letters_spelt_out_or_in_the_carriers_own_word() -> None:
    own = {"delivered_to_handset": "delivered", "NACK": "rejected"}
    sent = [receipt(b"id:7 stat:%b" % word.encode()) for word in WORDS]
    read = await delivered(*sent, receipt_states=own)
    assert {word: said and said.state for word, said in zip(WORDS, read, strict=True)} == WORDS


BY_PARAMETERS: list[tuple[pdu.DeliverSm | pdu.DataSm, State]] = [
    (receipt(b"", (NAME, b"7\0"), (STATE, b"\2")), State.DELIVERED),
    (receipt(b"", (NAME, b"7\0"), (STATE, b"\2"), esm_class=0), State.DELIVERED),
    (receipt(b"id:7 err:001", (STATE, b"\5")), State.UNDELIVERED),
    (receipt(b"id:7 stat:UNDELIV", (STATE, b"\5"), esm_class=0), State.UNDELIVERED),
    (receipt(b"id:7 stat:DELIVRD", (STATE, b"\x09")), State.DELIVERED),
    (receipt(b"id:7", (STATE, b"\x09")), State.UNDELIVERED),
    (receipt(b"id:99 stat:DELIVRD", (NAME, b"7")), State.DELIVERED),
    (receipt(b"id:7 stat:ENROUTE", esm_class=0x20), State.ENROUTE),
    (
        pdu.DataSm(PHONE, "Sluice", esm_class=RECEIPT, tlvs=((NAME, b"7\0"), (STATE, b"\2"))),
        State.DELIVERED,
    ),
]


async def test_parameters_say_what_the_text_does_not() -> None:
    read = await delivered(*(sent for sent, _ in BY_PARAMETERS))
    said = [each and (each.carrier_message_id, each.state) for each in read]
    assert said == [("7", state) for _, state in BY_PARAMETERS]


FROM_PHONES = [
    receipt(b"id:7 sub:001 dlvrd:001 stat:DELIVRD err:000", esm_class=0),
    receipt(b"id:7 stat:DELIVRD", esm_class=0x40),
    receipt(b"the stat of my id", (STATE, b"\2"), esm_class=0),
    receipt(b"id:7 stat:DELIVRD", esm_class=0x10),
]


async def test_what_a_phone_writes_is_never_a_receipt() -> None:
    assert await delivered(*FROM_PHONES) == [None] * len(FROM_PHONES)


@pytest.mark.parametrize(
    ("id_base", "answered", "named"),
    [
        ("hex", "00AB12", "ab12"),
        ("decimal", "0000012", "12"),
        ("hex_to_dec", "43794", "AB12"),
        ("dec_to_hex", "00ab12", "0000043794"),
        ("any_case", "00Gx-7f", "gX-7F"),
        ("any_case", "0", "000"),
        ("same", "Ab7", "Ab7"),
    ],
)
async def test_an_id_is_the_answers_however_its_base_case_and_padding(
    id_base: smpp_receipts.IdBase, answered: str, named: str
) -> None:
    [said] = await delivered(receipt(b"id:%b stat:DELIVRD" % named.encode()), id_base=id_base)
    assert said is not None
    assert said.carrier_message_id == smpp_receipts.answered_id(answered, id_base)


CAUSES = {"027": "unreachable", "EC:3A": "do_not_disturb", "1:0009": "flood", "X9": "daily_limit"}


ERRORS: list[tuple[pdu.DeliverSm, causes.Cause | None, str]] = [
    (receipt(b"id:7 stat:UNDELIV err:27"), causes.Cause.UNREACHABLE, "UNDELIV 27"),
    (receipt(b"id:7 stat:UNDELIV err:0027"), causes.Cause.UNREACHABLE, "UNDELIV 0027"),
    (receipt(b"id:7 stat:REJECTD err:x9"), causes.Cause.DAILY_LIMIT, "REJECTD x9"),
    (receipt(b"id:7 stat:UNDELIV err:99"), None, "UNDELIV 99"),
    (receipt(b"id:7 stat:UNDELIV", (ERROR, b"\1\0\x09")), causes.Cause.FLOOD, "UNDELIV 1:9"),
    (
        receipt(b"id:7 stat:UNDELIV", (ERROR, b"\3\0\1")),
        causes.Cause.UNKNOWN_NUMBER,
        "UNDELIV 3:1",
    ),
    (receipt(b"id:7 stat:UNDELIV err:000", (ERROR, b"\3\1\1")), None, "UNDELIV 3:257"),
    (receipt(b"id:7 stat:DELIVRD err:027"), None, "DELIVRD 027"),
]


async def test_a_carriers_error_is_a_reason_where_its_meaning_is_known_and_stays_raw() -> None:
    read = await delivered(*(sent for sent, _, _ in ERRORS), receipt_causes=CAUSES)
    said = [each and (each.reason, each.code) for each in read]
    assert said == [("" if cause is None else _SAID[cause], code) for _, cause, code in ERRORS]
