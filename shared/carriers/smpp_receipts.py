"""Receipts that come over SMPP: what is kept of a deliver_sm or data_sm, and what it says.

A receipt may say its state twice, in words and as a parameter. The two are then taken as two
receipts would be, by the ranks of the table of moves: the higher stands, and `code` keeps both.

| words (`stat:`) | parameter | state | code |
|---|---|---|---|
| readable | none, or one nobody knows | of the words | words, and the parameter if there is one |
| none, or unreadable | readable | of the parameter | words |
| readable | the same | of both | words |
| readable | another | the higher in `_RANKS` | words and parameter |
| unreadable | unreadable | none: the receipt is kept unread | |
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from shared.carriers import outcomes
from shared.smpp import codes, pdu, receipt_text, tlv
from shared.sms import receipts

ID_MAX_CHARS = 128
IdBase = Literal["same", "hex", "decimal", "hex_to_dec", "dec_to_hex"]
_KINDS = 0x3C
_INTERMEDIATE = 0x20
_RECEIPT_KINDS = frozenset({codes.ESM_CLASS_RECEIPT, _INTERMEDIATE})

State = receipts.ReceiptState

_STATES = {
    0: State.ENROUTE,
    1: State.ENROUTE,
    2: State.DELIVERED,
    3: State.EXPIRED,
    4: State.UNDELIVERED,
    5: State.UNDELIVERED,
    6: State.ENROUTE,
    7: State.UNKNOWN,
    8: State.REJECTED,
}
_WORDS = {
    "ENROUTE": State.ENROUTE,
    "ACCEPTD": State.ENROUTE,
    "ACCEPTED": State.ENROUTE,
    "BUFFRED": State.ENROUTE,
    "DELIVRD": State.DELIVERED,
    "DELIVERED": State.DELIVERED,
    "EXPIRED": State.EXPIRED,
    "DELETED": State.UNDELIVERED,
    "UNDELIV": State.UNDELIVERED,
    "UNDELIVERED": State.UNDELIVERED,
    "FAILED": State.UNDELIVERED,
    "REJECTD": State.REJECTED,
    "REJECTED": State.REJECTED,
    "UNKNOWN": State.UNKNOWN,
}
"""Appendix B's words, and how some carriers spell them out."""
_RANKS = (
    State.ENROUTE,
    State.UNKNOWN,
    State.REJECTED,
    State.EXPIRED,
    State.UNDELIVERED,
    State.DELIVERED,
)
"""As `states.MOVES` ranks where they lead: the later stands, whichever came first."""


class _Answer(msgspec.Struct, gc=False):
    """What is published of an answer that came late: the submit it is to, and what it came to.
    The time is in microseconds since 1970."""

    message_id: UUID
    part: int
    submitted_at_us: int
    verdict: receipts.Verdict
    carrier_message_id: str = ""
    code: str = ""
    reason: str = ""


class _Stored(msgspec.Struct, omit_defaults=True, gc=False):
    """What is published of a receipt: the text's known fields as spelt, its parameters, and the
    phones among its addresses. `id` is left out where it only repeats the text's. `unmarked`:
    nothing but its text says that it is a receipt."""

    text: str = ""
    id: str = ""
    state: int | None = None
    network_error: tuple[int, int] | None = None
    reference: int | None = None
    phones: tuple[str, ...] = ()
    unmarked: bool = False
    answer: _Answer | None = None


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Stored)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def strip(delivery: pdu.Message, *, unmarked: bool = False, phones: bool = True) -> bytes | None:
    """What to publish of a receipt, without the message's text; None if it is not a receipt.

    A receipt says that it is one in its esm_class, or by naming the id in a parameter. `unmarked`
    also takes one that says so in its text only, id and state. Anybody may send such a text, so it
    is marked, and believed only if the phone it came from is the recipient of the segment whose id
    it names: a network writes the sender of an inbound message itself, and the id is known to
    nobody but the carrier and us. At worst, somebody who could guess it would change the status of
    a message to their own phone. `phones`: whether its addresses are worth keeping.
    """
    said = tlv.receipt_parameters(delivery.tlvs)
    text = receipt_text.without_text(pdu.payload(delivery))
    marked = delivery.esm_class & _KINDS in _RECEIPT_KINDS or said.message_id is not None
    if not marked and not (unmarked and _is_receipt(delivery, text)):
        return None
    kept = _phones(delivery, marked=marked) if phones or not marked else ()
    name = said.message_id or ""
    if text.startswith(b"id:%b " % name.encode("latin-1")):
        # Most carriers say it twice; it is kept for years.
        name = ""
    return _ENCODER.encode(
        _Stored(
            text.decode("latin-1"),
            name,
            said.state,
            said.network_error,
            said.reference,
            kept,
            not marked,
        )
    )


def _phones(delivery: pdu.Message, *, marked: bool) -> tuple[str, ...]:
    """The receipt's source is the segment's recipient; but some carriers leave addresses as they
    were in the submit, and are believed if they say that it is a receipt."""
    source = receipts.digits(delivery.source_addr)
    other = receipts.digits(delivery.destination_addr) if marked else ""
    if not other or other == source:
        return (source,) if source else ()
    return (source, other) if source else (other,)


def _is_receipt(delivery: pdu.Message, text: bytes) -> bool:
    if delivery.esm_class & _KINDS:
        return False
    said = receipt_text.parse(text)
    return said is not None and bool(said.id) and said.stat in _WORDS


def keep_answer(
    message_id: UUID, part: int, submitted_at: datetime, outcome: outcomes.Outcome
) -> bytes:
    """What to publish of an answer that came after its submit had been given up."""
    answer = _Answer(
        message_id,
        part,
        (submitted_at - _EPOCH) // _MICROSECOND,
        _VERDICTS[outcome.kind],
        outcome.carrier_message_id,
        outcome.code,
        outcome.reason,
    )
    return _ENCODER.encode(_Stored(answer=answer))


_VERDICTS = {
    outcomes.OutcomeKind.ACCEPTED: receipts.Verdict.ACCEPTED,
    outcomes.OutcomeKind.REJECTED: receipts.Verdict.REFUSED,
    outcomes.OutcomeKind.ELSEWHERE: receipts.Verdict.REFUSED,
    outcomes.OutcomeKind.THROTTLED: receipts.Verdict.NOT_NOW,
    outcomes.OutcomeKind.DEFERRED: receipts.Verdict.NOT_NOW,
    outcomes.OutcomeKind.HALTED: receipts.Verdict.NOT_NOW,
}


def read(body: bytes, id_base: IdBase) -> receipts.Receipt | receipts.LateAnswer | None:
    """A published receipt or answer in our words. None for garbage, and when either the id or the
    state cannot be read."""
    try:
        stored = _DECODER.decode(body)
        text = receipt_text.parse(stored.text.encode("latin-1")) or receipt_text.ReceiptText()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if stored.answer is not None:
        return _read_answer(stored.answer)
    # An id given as a parameter wins over the text, which carriers write freely.
    carrier_id = receipted_id(stored.id or text.id, id_base)
    state = _state(text.stat, stored.state)
    if state is None or not carrier_id:
        return None
    return receipts.Receipt(
        carrier_id,
        state,
        _code(text, stored),
        stored.phones,
        stored.reference,
        text.submit_date,
        stored.unmarked,
    )


def _read_answer(said: _Answer) -> receipts.LateAnswer | None:
    try:
        submitted_at = _EPOCH + said.submitted_at_us * _MICROSECOND
    except OverflowError:
        return None
    return receipts.LateAnswer(
        said.message_id,
        said.part,
        submitted_at,
        said.verdict,
        said.carrier_message_id,
        said.code,
        said.reason,
    )


def _state(word: str, number: int | None) -> receipts.ReceiptState | None:
    said = _WORDS.get(word)
    told = None if number is None else _STATES.get(number)
    if told is None or told is said:
        return said
    return told if said is None else max(said, told, key=_RANKS.index)


def _code(text: receipt_text.ReceiptText, stored: _Stored) -> str:
    """The carrier's words for people: state, error, and a parameter that contradicts them."""
    error = text.err
    if stored.network_error is not None:
        error = f"{stored.network_error[0]}:{stored.network_error[1]}"
    code = f"{text.stat} {error}".strip()
    word = _WORDS.get(text.stat)
    if stored.state is None or word is None or _STATES.get(stored.state) is word:
        return code
    return f"{code} message_state={stored.state}"


def answered_id(raw: str, id_base: IdBase) -> str:
    """An answer's id in the form `receipted_id` brings receipts' ids to: where they are numbers,
    leading zeros and capitals mean nothing."""
    match id_base:
        case "hex_to_dec" | "decimal":
            return _rebase(raw, 10, "d")
        case "dec_to_hex" | "hex":
            return _rebase(raw, 16, "x")
    return raw


def receipted_id(raw: str, id_base: IdBase) -> str:
    """A receipt's id in the form of the answers'; one that is no number stays as it is."""
    if len(raw) > ID_MAX_CHARS:
        return ""
    match id_base:
        case "hex_to_dec":
            return _rebase(raw, 16, "d")
        case "dec_to_hex":
            return _rebase(raw, 10, "x")
        case "hex":
            return _rebase(raw, 16, "x")
        case "decimal":
            return _rebase(raw, 10, "d")
    return raw


_NUMBERS = {10: re.compile(r"[0-9]+"), 16: re.compile(r"[0-9A-Fa-f]+")}


def _rebase(raw: str, base: Literal[10, 16], form: Literal["d", "x"]) -> str:
    if len(raw) > ID_MAX_CHARS or not _NUMBERS[base].fullmatch(raw):
        return raw
    return format(int(raw, base), form)
