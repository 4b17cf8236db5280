"""What a carrier with a web API tells us by calling: receipts, and what phones send."""

from __future__ import annotations

import hashlib

import msgspec

from shared.carriers import answers, calls, contract, reports
from shared.carriers.web_settings import Callback, InboundFields, Settings
from shared.sms import encoding, inbound, receipts, segmentation

_PART_COUNT_MAX = 255


class _Report(msgspec.Struct, omit_defaults=True):
    """What is kept of one receipt: the mapped fields alone. `echo` is `receipts.echo_of` the
    segment."""

    id: str
    state: str
    code: str = ""
    phone: str = ""
    echo: int | None = None


def admit_callback(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[bytes, ...] | contract.CallbackRefusal:
    """The receipts in a carrier's call, once it has proved who it is. Items without an id or a
    state are left out; a call of nothing else is refused, so that the carrier's people see it."""
    callback = settings.callback
    if callback is None:
        return contract.CallbackRefusal(404, "this carrier has no callback")
    refusal = calls.distrust(request, callback)
    if refusal is not None:
        return refusal
    said = calls.content(request, callback)
    bodies = tuple(
        msgspec.json.encode(report)
        for item in answers.items(said, callback.list_path)
        for report in _reports(callback, item, whole=settings.whole_message)
    )
    return bodies or contract.CallbackRefusal(400, "no receipt could be read from the call")


def admit_inbound(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[inbound.InboundPart, ...] | contract.CallbackRefusal:
    """What phones have sent, in a carrier's call, once it has proved who it is. Items without a
    sender, a recipient or a text are left out; a call of nothing else is refused."""
    callback = settings.callback
    if callback is None or callback.inbound is None:
        return contract.CallbackRefusal(404, "this carrier hands over no inbound messages")
    refusal = calls.distrust(request, callback)
    if refusal is not None:
        return refusal
    fields = callback.inbound
    said = calls.content(request, callback)
    parts = tuple(
        part
        for item in answers.items(said, fields.list_path)
        if (part := inbound_part(fields, item)) is not None
    )
    return parts or contract.CallbackRefusal(400, "no inbound message could be read from the call")


def inbound_part(fields: InboundFields, item: object) -> inbound.InboundPart | None:
    """One item of a call as `fields` describe it; None without a sender, a recipient or a text."""
    source = answers.word_at(item, fields.from_field, answers.CODE_CHARS_MAX)
    recipient = answers.word_at(item, fields.to_field, answers.CODE_CHARS_MAX)
    text = answers.dig(item, fields.text_field)
    if not source or not recipient or not isinstance(text, str):
        return None
    # Stray bytes of a query are lone surrogates, which no encoding has.
    chosen, payload = encoding.encode(
        text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )
    return inbound.InboundPart(
        inbound.address(source, is_international=False),
        inbound.address(recipient, is_international=False),
        inbound.Alphabet(chosen),
        b"",
        payload,
        _concatenation(fields, item),
        answers.word_at(item, fields.id_field, answers.ID_CHARS_MAX).encode(),
    )


def _concatenation(fields: InboundFields, item: object) -> segmentation.Concatenation | None:
    if not fields.reference_field:
        return None
    reference = answers.word_at(item, fields.reference_field, answers.ID_CHARS_MAX)
    total = answers.count_at(item, fields.total_field, _PART_COUNT_MAX)
    number = answers.count_at(item, fields.number_field, _PART_COUNT_MAX)
    if not reference or not 1 <= number <= total or total == 1:
        return None
    # Some carriers' references are words, or longer than a phone's: four octets tell them apart.
    named = hashlib.sha256(reference.encode()).digest()
    return segmentation.Concatenation(int.from_bytes(named[:4], "big") >> 1, 16, total, number)


def knows_secret(settings: Settings, path_secret: str) -> bool:
    """Whether this is the secret in the path of this carrier's calls."""
    callback = settings.callback
    if callback is None or callback.auth != "path_secret":
        return False
    return calls.is_secret(path_secret, *callback.secrets)


def _reports(callback: Callback, item: object, *, whole: bool) -> list[_Report]:
    """One of the segment, or of each part of a message that was handed over whole, as far as the
    carrier gives its name back: so each is found by it when the answer was lost."""
    said = _Report(
        answers.word_at(item, callback.id_field, answers.ID_CHARS_MAX),
        answers.word_at(item, callback.state_field, answers.CODE_CHARS_MAX),
        answers.word_at(item, callback.code_field, answers.CODE_CHARS_MAX),
        receipts.digits(answers.word_at(item, callback.recipient_field, answers.CODE_CHARS_MAX)),
    )
    if not said.id or not said.state:
        return []
    name = reports.named(answers.word_at(item, callback.reference_field, answers.ID_CHARS_MAX))
    if name is None:
        return [said]
    numbers = range(1, name.number + 1) if whole else (name.number,)
    return [
        msgspec.structs.replace(said, echo=receipts.echo_of(name.message_id, number))
        for number in numbers
    ]


def read_receipt(settings: Settings, body: bytes) -> receipts.Receipt | None:
    """One stored receipt in our words; None for garbage and for words `states` does not list."""
    if settings.callback is None:
        return None
    try:
        report = msgspec.json.decode(body, type=_Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    states = {word.casefold(): state for word, state in settings.callback.states.items()}
    state = states.get(report.state.casefold())
    if state is None or not report.id:
        return None
    phones = (report.phone,) if report.phone else ()
    return receipts.Receipt(report.id, state, report.code or report.state, phones, report.echo)
