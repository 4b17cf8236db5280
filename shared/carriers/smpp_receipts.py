"""Receipts that come over SMPP: what is kept of a deliver_sm, and what it says."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.smpp import codes, pdu, receipt_text, tlv
from shared.sms import receipts

ID_MAX_CHARS = 128
_KINDS = 0x3C
_INTERMEDIATE = 0x20
_RECEIPT_KINDS = frozenset({codes.ESM_CLASS_RECEIPT, _INTERMEDIATE})

_STATES = {
    0: receipts.ReceiptState.ENROUTE,
    1: receipts.ReceiptState.ENROUTE,
    2: receipts.ReceiptState.DELIVERED,
    3: receipts.ReceiptState.EXPIRED,
    4: receipts.ReceiptState.UNDELIVERED,
    5: receipts.ReceiptState.UNDELIVERED,
    6: receipts.ReceiptState.ENROUTE,
    7: receipts.ReceiptState.UNKNOWN,
    8: receipts.ReceiptState.REJECTED,
}
_WORDS = {
    "ENROUTE": receipts.ReceiptState.ENROUTE,
    "ACCEPTD": receipts.ReceiptState.ENROUTE,
    "ACCEPTED": receipts.ReceiptState.ENROUTE,
    "BUFFRED": receipts.ReceiptState.ENROUTE,
    "DELIVRD": receipts.ReceiptState.DELIVERED,
    "DELIVERED": receipts.ReceiptState.DELIVERED,
    "EXPIRED": receipts.ReceiptState.EXPIRED,
    "DELETED": receipts.ReceiptState.UNDELIVERED,
    "UNDELIV": receipts.ReceiptState.UNDELIVERED,
    "UNDELIVERED": receipts.ReceiptState.UNDELIVERED,
    "FAILED": receipts.ReceiptState.UNDELIVERED,
    "REJECTD": receipts.ReceiptState.REJECTED,
    "REJECTED": receipts.ReceiptState.REJECTED,
    "UNKNOWN": receipts.ReceiptState.UNKNOWN,
}
"""Appendix B's words, and how some carriers spell them out."""


class _Stored(msgspec.Struct, omit_defaults=True, gc=False):
    """What is published of a deliver_sm: the text's known fields as spelt, and its parameters."""

    text: str = ""
    id: str = ""
    state: int | None = None
    network_error: tuple[int, int] | None = None
    reference: int | None = None


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Stored)


def strip(delivery: pdu.Message) -> bytes | None:
    """What to publish of a receipt, without the message's text; None if it is not a receipt."""
    said = tlv.receipt_parameters(delivery.tlvs)
    kind = delivery.esm_class & _KINDS
    if kind not in _RECEIPT_KINDS and said.message_id is None:
        return None
    text = receipt_text.without_text(pdu.payload(delivery)).decode("latin-1")
    return _ENCODER.encode(
        _Stored(text, said.message_id or "", said.state, said.network_error, said.reference)
    )


def read(body: bytes, id_base: str) -> receipts.Receipt | None:
    """A published receipt in our words. Parameters win over the text, which carriers write freely.
    None for garbage, and when either the id or the state cannot be read."""
    try:
        stored = _DECODER.decode(body)
        text = receipt_text.parse(stored.text.encode("latin-1")) or receipt_text.ReceiptText()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    state = _WORDS.get(text.stat) if stored.state is None else _STATES.get(stored.state)
    carrier_id = receipted_id(stored.id or text.id, id_base)
    if state is None or not carrier_id:
        return None
    code = text.stat
    if stored.network_error is not None:
        code = f"{code} {stored.network_error[0]}:{stored.network_error[1]}".strip()
    elif text.err:
        code = f"{code} {text.err}".strip()
    return receipts.Receipt(carrier_id, state, code)


def answered_id(raw: str, id_base: str) -> str:
    """An answer's id in the form `receipted_id` brings receipts' ids to: in another base, leading
    zeros and capitals mean nothing."""
    if id_base == "hex_to_dec":
        return _rebase(raw, 10, "d")
    if id_base == "dec_to_hex":
        return _rebase(raw, 16, "x")
    return raw


def receipted_id(raw: str, id_base: str) -> str:
    """A receipt's id in the form of the answers'; one that is no number stays as it is."""
    if len(raw) > ID_MAX_CHARS:
        return ""
    if id_base == "hex_to_dec":
        return _rebase(raw, 16, "d")
    if id_base == "dec_to_hex":
        return _rebase(raw, 10, "x")
    return raw


def _rebase(raw: str, base: int, form: Literal["d", "x"]) -> str:
    try:
        return format(int(raw, base), form)
    except ValueError:
        return raw
