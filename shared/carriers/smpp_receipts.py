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
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from shared.carriers import network_errors, outcomes
from shared.smpp import codes, pdu, receipt_text, tlv
from shared.sms import causes, receipts

ID_MAX_CHARS = 128
IdBase = Literal["same", "any_case", "hex", "decimal", "hex_to_dec", "dec_to_hex"]
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
    9: State.UNDELIVERED,
}
"""By message_state: 0 (scheduled) and 9 (skipped) are of SMPP 5.0 §4.7.15, the rest of 3.4
§5.2.28."""
_WORDS = {
    "ENROUTE": State.ENROUTE,
    "ACCEPTD": State.ENROUTE,
    "ACCEPTED": State.ENROUTE,
    "ACCEPTE": State.ENROUTE,
    "BUFFRED": State.ENROUTE,
    "BUFFERED": State.ENROUTE,
    "BUFFERE": State.ENROUTE,
    "SCHEDULED": State.ENROUTE,
    "SCHEDUL": State.ENROUTE,
    "DELIVRD": State.DELIVERED,
    "DELIVERED": State.DELIVERED,
    "DELIVERE": State.DELIVERED,
    "DELIVERD": State.DELIVERED,
    "EXPIRED": State.EXPIRED,
    "DELETED": State.UNDELIVERED,
    "UNDELIV": State.UNDELIVERED,
    "UNDELIVRD": State.UNDELIVERED,
    "UNDELIVERED": State.UNDELIVERED,
    "UNDELIVERABLE": State.UNDELIVERED,
    "SKIPPED": State.UNDELIVERED,
    "FAILED": State.UNDELIVERED,
    "REJECTD": State.REJECTED,
    "REJECTED": State.REJECTED,
    "REJECTE": State.REJECTED,
    "UNKNOWN": State.UNKNOWN,
}
"""Appendix B's words, and how some carriers spell them out, or cut them to seven letters. A bare
number is a message_state."""
_RANKS = (
    State.ENROUTE,
    State.UNKNOWN,
    State.REJECTED,
    State.EXPIRED,
    State.UNDELIVERED,
    State.DELIVERED,
)
"""As `states.MOVES` ranks where they lead: the later stands, whichever came first."""


class Spelling(NamedTuple):
    """How one carrier writes its receipts, where that is not as others do.

    `states` are its own words, in capitals, before those everybody knows. `causes` are its errors,
    as `error_key` writes them, and what they mean.
    """

    id_base: IdBase = "same"
    states: Mapping[str, State] = {}
    causes: Mapping[str, causes.Cause] = {}


USUAL: Final = Spelling()


def error_key(written: str) -> str:
    """An error as it is compared: of `err:`, or network type and number of the parameter with a
    colon between, capitals and leading zeros left out."""
    return ":".join(each.lstrip("0") or "0" for each in written.strip().upper().split(":"))


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


def strip(
    delivery: pdu.Message,
    *,
    unmarked: bool = False,
    phones: bool = True,
    states: Mapping[str, State] = USUAL.states,
) -> bytes | None:
    """What to publish of a receipt, without the message's text; None if it is not a receipt.

    A receipt says that it is one in its esm_class, or by an id in a parameter, or by a state there
    and an id in its text: no phone can write parameters. `unmarked` also takes one that says so in
    its text only, id and state. Anybody may send such a text, so it is marked, and believed only if
    the phone it came from is the recipient of the segment whose id it names: a network writes the
    sender of an inbound message itself, and the id is known to nobody but the carrier and us. At
    worst, somebody who could guess it would change the status of a message to their own phone.
    `phones`: whether its addresses are worth keeping. `states` are the carrier's own words.
    """
    said = tlv.receipt_parameters(delivery.tlvs)
    text = receipt_text.without_text(pdu.payload(delivery))
    marked = (
        delivery.esm_class & _KINDS in _RECEIPT_KINDS
        or said.message_id is not None
        or (said.state is not None and _names_id(text))
    )
    if not marked and not (unmarked and _is_receipt(delivery, text, states)):
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


def _names_id(text: bytes) -> bool:
    said = receipt_text.parse(text)
    return said is not None and bool(said.id)


def _is_receipt(delivery: pdu.Message, text: bytes, states: Mapping[str, State]) -> bool:
    if delivery.esm_class & _KINDS:
        return False
    said = receipt_text.parse(text)
    return said is not None and bool(said.id) and _word(said.stat, states) is not None


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


def read(body: bytes, spelling: Spelling = USUAL) -> receipts.Receipt | receipts.LateAnswer | None:
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
    carrier_id = receipted_id(stored.id or text.id, spelling.id_base)
    word = _word(text.stat, spelling.states)
    state = _state(word, stored.state)
    if state is None or not carrier_id:
        return None
    return receipts.Receipt(
        carrier_id,
        state,
        _code(text, stored, word),
        stored.phones,
        stored.reference,
        text.submit_date,
        stored.unmarked,
        "" if state is State.DELIVERED else _reason(text.err, stored.network_error, spelling),
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


def _word(written: str, states: Mapping[str, State]) -> State | None:
    """The state that a word, or a number in its place, says."""
    found = states.get(written) or _WORDS.get(written)
    if found is None and written.isdecimal():
        return _STATES.get(int(written))
    return found


def _state(said: State | None, number: int | None) -> State | None:
    told = None if number is None else _STATES.get(number)
    if told is None or told is said:
        return said
    return told if said is None else max(said, told, key=_RANKS.index)


def _code(text: receipt_text.ReceiptText, stored: _Stored, word: State | None) -> str:
    """The carrier's words for people: state, error, and a parameter that contradicts them."""
    error = text.err
    if stored.network_error is not None:
        error = f"{stored.network_error[0]}:{stored.network_error[1]}"
    code = f"{text.stat} {error}".strip()
    if stored.state is None or word is None or _STATES.get(stored.state) is word:
        return code
    return f"{code} message_state={stored.state}"


def _reason(err: str, network_error: tuple[int, int] | None, spelling: Spelling) -> str:
    """What a producer may read of the carrier's errors; empty for what nobody knows."""
    found = None
    if network_error is not None:
        kind, number = network_error
        found = spelling.causes.get(f"{kind}:{number}")
        if found is None and kind == network_errors.GSM:
            found = network_errors.MAP_ERRORS.get(number)
    if err:
        found = spelling.causes.get(error_key(err)) or found
    return "" if found is None else causes.SENTENCES[found]


def answered_id(raw: str, id_base: IdBase) -> str:
    """An answer's id in the form `receipted_id` brings receipts' ids to: where they are numbers,
    leading zeros and capitals mean nothing."""
    match id_base:
        case "hex_to_dec" | "decimal":
            return _rebase(raw, 10, "d")
        case "dec_to_hex" | "hex":
            return _rebase(raw, 16, "x")
        case "any_case":
            return _plain(raw)
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
        case "any_case":
            return _plain(raw)
    return raw


def _plain(raw: str) -> str:
    """Without capitals, and without the zeros and blanks that pad it."""
    return raw.strip().lstrip("0").lower() or raw[:1]


_NUMBERS = {10: re.compile(r"[0-9]+"), 16: re.compile(r"[0-9A-Fa-f]+")}


def _rebase(raw: str, base: Literal[10, 16], form: Literal["d", "x"]) -> str:
    if len(raw) > ID_MAX_CHARS or not _NUMBERS[base].fullmatch(raw):
        return raw
    return format(int(raw, base), form)
