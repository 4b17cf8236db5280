"""The `http` adapter: a carrier with a web API, described in its settings rather than in code.

How an answer is read, first match wins:

| the carrier did | outcome |
|---|---|
| could not be reached, or refused our credentials (401, 407) | UNAVAILABLE, the link pauses |
| said a code of `throttled_codes`, or 429, or 503 | THROTTLED, paused as `Retry-After` asks |
| said a code of `rejected_codes` | REJECTED |
| a status in `success_statuses`, with an id (or no `id_path` is set) | ACCEPTED |
| the same, without an id but with another code | REJECTED: an unlisted code is permanent |
| the same, without either, cut short, or over 64 KiB | LOST |
| 408, 5xx, silence or a cut after the request began to leave | LOST |
| anything else, redirects too | REJECTED |
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Literal
from urllib.parse import quote, urlencode

import msgspec
import yarl

from shared.carriers import answers, calls, checks, contract, outcomes, secret, templates, web_link
from shared.sms import encoding, inbound, receipts, segmentation

_TOO_MANY = frozenset({429, 503})
_NOT_US = frozenset({401, 407})
_PART_COUNT_MAX = 255
_COUNT_CHARS_MAX = 4


class InboundFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the carrier hands over what phones send, as text, by calls that prove their sender as
    reports do. Fields are dotted paths, into `list_path`'s items when it is set; by `id_field` a
    call that is repeated is told from a phone that repeats itself. A carrier that hands over a long
    message in parts says in `reference_field` which belong together, in `total_field` how many
    there are, and in `number_field` which one it is, from 1 on; where that is not said, or cannot
    be, what came is a whole message."""

    from_field: str
    to_field: str
    text_field: str
    id_field: str = ""
    list_path: str = ""
    reference_field: str = ""
    total_field: str = ""
    number_field: str = ""

    def __post_init__(self) -> None:
        names = ["from_field", "to_field", "text_field"]
        if self.reference_field or self.total_field or self.number_field:
            names += ["reference_field", "total_field", "number_field"]
        for name in names:
            checks.filled(f"inbound.{name}", getattr(self, name))


class Callback(calls.CallProof, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the carrier reports receipts. Fields are paths as `answers.dig` goes, into `list_path`'s
    items when it is set; `states` maps the carrier's words to ours, whatever their case."""

    id_field: str
    state_field: str
    states: dict[str, receipts.ReceiptState]
    code_field: str = ""
    list_path: str = ""
    inbound: InboundFields | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.filled("id_field", self.id_field)
        checks.filled("state_field", self.state_field)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A carrier's web API. `url`, `headers` and `body` may hold placeholders: `{secret.NAME}` from
    `secrets` and, but for headers, which know only `{reference}`, `templates.SEGMENT_WORDS`.

    A connection stands within `connect_seconds`, or nothing is sent; a request has its whole answer
    within `timeout_seconds`.
    """

    url: str
    method: Literal["POST", "PUT", "GET"] = "POST"
    headers: dict[str, str] = {}
    secrets: dict[str, secret.Secret] = {}
    body_kind: Literal["json", "form"] = "json"
    body: dict[str, object] = {}
    success_statuses: tuple[int, ...] = (200, 201, 202)
    id_path: str = ""
    error_path: str = ""
    rejected_codes: tuple[str, ...] = ()
    throttled_codes: tuple[str, ...] = ()
    connect_seconds: float = 2.0
    timeout_seconds: float = 30.0
    window: int = 32
    callback: Callback | None = None
    concatenation: contract.Concatenation = "16bit"

    def __post_init__(self) -> None:
        # A permit to send lives 5 s; longer waits for a connection would outlive it.
        checks.number("connect_seconds", self.connect_seconds, 0.1, 2)
        checks.number("timeout_seconds", self.timeout_seconds, 0.1, 300)
        checks.number("window", self.window, 1, 10_000)
        checks.numbers("success_statuses", self.success_statuses, 200, 599)
        secrets = {f"secret.{name}": value.reveal() for name, value in self.secrets.items()}
        words = secrets.keys() | templates.SEGMENT_WORDS
        templates.check("url", self.url, words)
        _check_url(str(templates.fill(self.url, dict.fromkeys(words, "1"))))
        templates.check("headers", self.headers, secrets.keys() | {"reference"})
        for name, value in self.headers.items():
            sent = templates.fill(value, {**secrets, "reference": ""})
            checks.header(f"headers.{name}", name, str(sent))
        templates.check("body", self.body, words)
        if self.body_kind == "form" and not all(isinstance(v, str) for v in self.body.values()):
            raise ValueError("body: a form's values are strings")


def _check_url(url: str) -> None:
    try:
        parsed = yarl.URL(url, encoded=True)
        usable = parsed.scheme in ("http", "https") and parsed.host and parsed.port
    except ValueError:
        usable = None
    if not usable:
        raise ValueError("url: expected http:// or https://, a host, and a port up to 65535 if any")


def review(settings: Settings) -> None:
    """Refuse what a carrier is not to be set up with any more. Raises ValueError."""
    if not settings.success_statuses:
        raise ValueError("success_statuses: expected at least one")
    callback = settings.callback
    if callback is None:
        return
    calls.review(callback)
    if not callback.states:
        raise ValueError("callback.states: expected at least one of the carrier's words")


def open_link(
    carrier: str,
    settings: Settings,
    on_receipt: contract.ReceiptSink,
    on_inbound: contract.InboundSink,
) -> web_link.WebLink:
    """A link that is up until a request fails to leave. Receipts come by callback, not through it.
    Call it inside the event loop."""
    del on_receipt, on_inbound
    words = {f"secret.{name}": each.reveal() for name, each in settings.secrets.items()}
    api = web_link.Api(
        partial(_request, settings, words),
        partial(_outcome, settings),
        settings.window,
        settings.connect_seconds,
        settings.timeout_seconds,
    )
    return web_link.WebLink(carrier, api)


def _request(
    settings: Settings, words: Mapping[str, str], segment: contract.Segment
) -> web_link.Request:
    fields = {**words, **templates.segment_words(segment)}
    quoted = {name: quote(str(value), safe="") for name, value in fields.items()}
    url = yarl.URL(str(templates.fill(settings.url, quoted)), encoded=True)
    headers = {name: str(templates.fill(value, fields)) for name, value in settings.headers.items()}
    headers["Accept-Encoding"] = "identity"
    if settings.method == "GET":
        return web_link.Request("GET", url, headers, None)
    filled = templates.fill(settings.body, fields)
    if settings.body_kind == "json":
        headers["Content-Type"] = "application/json"
        body = msgspec.json.encode(filled)
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(filled if isinstance(filled, dict) else {}).encode()
    return web_link.Request(settings.method, url, headers, body)


def _outcome(
    settings: Settings, status: int, headers: Mapping[str, str], content: bytes | None
) -> outcomes.Outcome:
    kinds = outcomes.OutcomeKind
    answer = answers.decode(content or b"")
    said = answers.word_at(answer, settings.error_path, answers.CODE_CHARS_MAX)
    code = said or str(status)
    if status in _NOT_US:
        return outcomes.Outcome(kinds.UNAVAILABLE, "", code, "the carrier refuses our credentials")
    if said in settings.throttled_codes or status in _TOO_MANY:
        wish_ms = answers.wait_ms(headers.get("Retry-After", ""))
        return outcomes.Outcome(kinds.THROTTLED, "", code, "the carrier asks for time", wish_ms)
    refused = outcomes.Outcome(kinds.REJECTED, "", code, f"the carrier refused it ({code})")
    if said in settings.rejected_codes:
        return refused
    if status in settings.success_statuses:
        carrier_id = answers.word_at(answer, settings.id_path, answers.ID_CHARS_MAX)
        if carrier_id or not settings.id_path:
            return outcomes.Outcome(kinds.ACCEPTED, carrier_id, said)
        return refused if said else outcomes.LOST
    return outcomes.LOST if status == 408 or status >= 500 else refused


class _Report(msgspec.Struct):
    """What is kept of one receipt: the mapped fields alone."""

    id: str
    state: str
    code: str = ""


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
        if (report := _report(callback, item)).id and report.state
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
        if (part := _inbound_part(fields, item)) is not None
    )
    return parts or contract.CallbackRefusal(400, "no inbound message could be read from the call")


def _inbound_part(fields: InboundFields, item: object) -> inbound.InboundPart | None:
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
    total, number = (
        int(said) if said.isascii() and said.isdigit() else 0
        for said in (
            answers.word_at(item, name, _COUNT_CHARS_MAX)
            for name in (fields.total_field, fields.number_field)
        )
    )
    if not reference or not 1 <= number <= total <= _PART_COUNT_MAX or total == 1:
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


def _report(callback: Callback, item: object) -> _Report:
    return _Report(
        answers.word_at(item, callback.id_field, answers.ID_CHARS_MAX),
        answers.word_at(item, callback.state_field, answers.CODE_CHARS_MAX),
        answers.word_at(item, callback.code_field, answers.CODE_CHARS_MAX),
    )


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
    return receipts.Receipt(report.id, state, report.code or report.state)
