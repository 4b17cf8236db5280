"""A receipt as SMPP carries it: in the specification's form, or in one met in the field."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from services.simulator import moods, outbox
from shared.smpp import codes, encoder, pdu, receipt_text, tlv

INTERNATIONAL_TON = 1
NAME_TON = 5
ISDN_NPI = 1
_UCS2_CODING = 8
_ID = b"<id>"
_ERRORS = {
    moods.Stat.DELIVRD: "000",
    moods.Stat.EXPIRED: "001",
    moods.Stat.UNDELIV: "002",
    moods.Stat.REJECTD: "003",
}
_NUMBERS = {
    moods.Stat.DELIVRD: 2,
    moods.Stat.EXPIRED: 3,
    moods.Stat.UNDELIV: 5,
    moods.Stat.REJECTD: 8,
}
_STATES = {
    stat: tlv.pack_one(codes.TLV_MESSAGE_STATE, bytes([number]))
    for stat, number in _NUMBERS.items()
}
_LONG_WORDS = {
    moods.Stat.DELIVRD: "DELIVERED",
    moods.Stat.EXPIRED: "EXPIRED",
    moods.Stat.UNDELIV: "UNDELIVERED",
    moods.Stat.REJECTD: "REJECTED",
}
_TO_NUMBER, _TO_NAME = (
    encoder.form(
        pdu.DeliverSm(
            esm_class=codes.ESM_CLASS_RECEIPT,
            source_addr_ton=INTERNATIONAL_TON,
            source_addr_npi=ISDN_NPI,
            dest_addr_ton=ton,
            dest_addr_npi=npi,
        )
    )
    for ton, npi in ((INTERNATIONAL_TON, ISDN_NPI), (NAME_TON, 0))
)


class Written(NamedTuple):
    """A request: its command_id and its body."""

    command: int
    body: bytes


def usual(receipt: outbox.Receipt) -> Written:
    """As appendix B has it, with the id and the state as parameters too."""
    message_id = receipt.message_id.encode()
    text = _text(receipt.stat, int(receipt.submitted_at) // 60, int(time.time()) // 60)
    source = receipt.source.removeprefix("+")
    form = _TO_NUMBER if source != receipt.source else _TO_NAME
    body = form.fill(
        receipt.recipient.removeprefix("+"),
        source,
        text.replace(_ID, message_id, 1) + receipt.payload[:20],
        _parameters(receipt),
    )
    return Written(codes.COMMAND_DELIVER_SM, body)


def odd(receipt: outbox.Receipt, chance: random.Random) -> Written:
    """In one of ODD_FORMS."""
    return chance.choice(ODD_FORMS)(receipt)


def _parameters(receipt: outbox.Receipt) -> bytes:
    message_id = receipt.message_id.encode() + b"\0"
    packed = tlv.pack_one(codes.TLV_RECEIPTED_MESSAGE_ID, message_id) + _STATES[receipt.stat]
    if receipt.reference:
        packed += tlv.pack_one(codes.TLV_USER_MESSAGE_REFERENCE, receipt.reference)
    return packed


@lru_cache(maxsize=1024)
def _text(stat: moods.Stat, submitted_minute: int, done_minute: int) -> bytes:
    """A receipt's text but for the id and the quoted message: the dates change once a minute."""
    return receipt_text.render(
        message_id=_ID.decode(),
        stat=stat,
        err=_ERRORS[stat],
        submit_date=datetime.fromtimestamp(submitted_minute * 60, UTC),
        done_date=datetime.fromtimestamp(done_minute * 60, UTC),
    )


def _text_only(
    receipt: outbox.Receipt,
    text: bytes,
    *,
    esm_class: int = codes.ESM_CLASS_RECEIPT,
    data_coding: int = 0,
) -> Written:
    """A deliver_sm in which nothing but this text says what became of the submit."""
    source = receipt.source.removeprefix("+")
    to_number = source != receipt.source
    written = encoder.encode(
        pdu.DeliverSm(
            receipt.recipient.removeprefix("+"),
            source,
            text,
            data_coding,
            esm_class,
            source_addr_ton=INTERNATIONAL_TON,
            source_addr_npi=ISDN_NPI,
            dest_addr_ton=INTERNATIONAL_TON if to_number else NAME_TON,
            dest_addr_npi=ISDN_NPI if to_number else 0,
        )
    )
    return Written(codes.COMMAND_DELIVER_SM, written[codes.HEADER_BYTES :])


def _of_words(
    template: str, words: dict[moods.Stat, str] | None = None
) -> Callable[[outbox.Receipt], Written]:
    """The form that writes a receipt as this template, of its id, stat, err and date."""

    def write(receipt: outbox.Receipt) -> Written:
        date = datetime.fromtimestamp(receipt.submitted_at, UTC)
        stat = words[receipt.stat] if words else receipt.stat
        text = template.format(
            id=receipt.message_id, stat=stat, err=_ERRORS[receipt.stat], date=date
        )
        return _text_only(receipt, text.encode())

    return write


def _without_class(receipt: outbox.Receipt) -> Written:
    text = f"id:{receipt.message_id} stat:{receipt.stat} err:{_ERRORS[receipt.stat]}"
    return _text_only(receipt, text.encode(), esm_class=codes.ESM_CLASS_DEFAULT)


def _in_ucs2(receipt: outbox.Receipt) -> Written:
    text = f"id:{receipt.message_id} stat:{receipt.stat}"
    return _text_only(receipt, text.encode("utf-16-be"), data_coding=_UCS2_CODING)


def _in_parameters(receipt: outbox.Receipt) -> Written:
    form = _TO_NUMBER if receipt.source.startswith("+") else _TO_NAME
    source = receipt.source.removeprefix("+")
    body = form.fill(receipt.recipient.removeprefix("+"), source, b"", _parameters(receipt))
    return Written(codes.COMMAND_DELIVER_SM, body)


def _as_data_sm(receipt: outbox.Receipt) -> Written:
    written = encoder.encode(
        pdu.DataSm(
            receipt.recipient.removeprefix("+"),
            receipt.source.removeprefix("+"),
            esm_class=codes.ESM_CLASS_RECEIPT,
            source_addr_ton=INTERNATIONAL_TON,
            source_addr_npi=ISDN_NPI,
            tlvs=tlv.unpack(_parameters(receipt), 0),
        )
    )
    return Written(codes.COMMAND_DATA_SM, written[codes.HEADER_BYTES :])


ODD_FORMS: tuple[Callable[[outbox.Receipt], Written], ...] = (
    _of_words("stat:{stat} err:{err} done date:{date:%y%m%d%H%M} id:{id} sub:1"),
    _of_words("ID:{id} SUB:001 DLVRD:001 SUBMIT DATE:{date:%y%m%d%H%M} STAT:{stat} ERR:{err}"),
    _of_words("id: {id}  submit_date : {date:%Y%m%d%H%M%S}   stat : {stat}  err : {err}  Text: hi"),
    _of_words("id:{id} stat:{stat}", _LONG_WORDS),
    _of_words("id:{id} sub:001 stat:{stat} err:{err} text:stat:REJECTD id:0\0"),
    _without_class,
    _in_ucs2,
    _in_parameters,
    _as_data_sm,
)
"""Order, case, spacing, words, fields that are missing, esm_class 0, alphabet, packet."""
