"""The `http` adapter: a carrier with a web API, described in its settings rather than in code.

How an answer is read, first match wins; a status stands in for a code where none is said:

| the carrier did | outcome |
|---|---|
| could not be reached | UNAVAILABLE, the link pauses |
| said a code of `KIND_codes` | that kind; `accepted_codes` say nothing yet |
| refused our account: 401, 402, 403, 407 | HALTED, the link pauses for minutes |
| 429 or 503 | THROTTLED, paused as `Retry-After` asks |
| a status in `success_statuses`, a code of `accepted_codes` if any, an id if `id_path` | ACCEPTED |
| the same, without an id but with another code | REJECTED: an unlisted code is permanent |
| the same, without either, cut short, or over 64 KiB | LOST |
| 408, 5xx, silence or a cut after the request began to leave | LOST |
| anything else, redirects too | REJECTED |
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from urllib.parse import quote, urlencode

import msgspec
import yarl

from shared.carriers import (
    answers,
    calls,
    contract,
    findings,
    outcomes,
    reports,
    templates,
    web_check,
    web_link,
    web_settings,
)
from shared.carriers.web_reports import admit_callback, admit_inbound, knows_secret, read_receipt
from shared.carriers.web_settings import Settings

__all__ = [
    "Settings",
    "admit_callback",
    "admit_inbound",
    "check",
    "knows_secret",
    "open_link",
    "read_receipt",
    "review",
]

_KINDS = outcomes.OutcomeKind
_TOO_MANY = frozenset({429, 503})
_NOT_US = frozenset({401, 402, 403, 407})
_PART_COUNT_MAX = 255


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
        settings.whole_message,
    )
    return web_link.WebLink(carrier, api)


async def check(settings: Settings) -> tuple[findings.CheckFinding, ...]:
    """Connects to where messages are sent, and gets `check_url`."""
    secrets = {f"secret.{name}": each.reveal() for name, each in settings.secrets.items()}
    quoted = {name: quote(value, safe="") for name, value in secrets.items()}
    words = dict.fromkeys(templates.SEGMENT_WORDS, "1") | quoted
    url = yarl.URL(str(templates.fill(settings.url, words)), encoded=True)
    if not settings.check_url:
        return await web_check.check(url)
    harmless = web_check.HarmlessRequest(
        yarl.URL(str(templates.fill(settings.check_url, quoted)), encoded=True),
        _headers(settings, secrets | {"reference": ""}),
        "check_url",
    )
    return await web_check.check(url, harmless=harmless)


def _request(
    settings: Settings, words: Mapping[str, str], segment: contract.Segment
) -> web_link.Request:
    fields = {**words, **templates.segment_words(segment)}
    if settings.whole_message:
        fields["reference"] = reports.name_of_whole(segment)
    headers = _headers(settings, fields)
    url = _url(settings, fields)
    if settings.method == "GET":
        return web_link.Request("GET", url, headers, None)
    media_type, body = _body(settings, fields)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = media_type
    return web_link.Request(settings.method, url, headers, body)


def _headers(settings: Settings, fields: Mapping[str, str | int]) -> dict[str, str]:
    headers = {name: str(templates.fill(value, fields)) for name, value in settings.headers.items()}
    return headers | _credentials(settings.auth) | {"Accept-Encoding": "identity"}


def _url(settings: Settings, fields: Mapping[str, str | int]) -> yarl.URL:
    quoted = {name: quote(str(value), safe="") for name, value in fields.items()}
    url = str(templates.fill(settings.url, quoted))
    if settings.query:
        filled = {
            name: str(templates.fill(value, fields)) for name, value in settings.query.items()
        }
        url += ("&" if "?" in url else "?") + urlencode(filled)
    return yarl.URL(url, encoded=True)


def _credentials(
    auth: web_settings.BasicAuth | web_settings.BearerAuth | web_settings.HeaderAuth | None,
) -> dict[str, str]:
    match auth:
        case web_settings.BasicAuth(username=username, password=password):
            pair = f"{username}:{password.reveal()}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        case web_settings.BearerAuth(token=token):
            return {"Authorization": f"Bearer {token.reveal()}"}
        case web_settings.HeaderAuth(header=header, key=key):
            return {header: key.reveal()}
        case None:
            return {}


def _body(settings: Settings, fields: Mapping[str, str | int]) -> tuple[str, bytes]:
    """Its media type, and what is sent."""
    if isinstance(settings.body, str):
        filled = templates.fill_xml(settings.body, fields)
        return "application/xml; charset=utf-8", filled.encode("utf-8", "replace")
    said = templates.fill(settings.body, fields)
    if settings.body_kind == "json":
        return "application/json", msgspec.json.encode(said)
    return "application/x-www-form-urlencoded", urlencode(
        said if isinstance(said, dict) else {}
    ).encode()


def _outcome(
    settings: Settings, status: int, headers: Mapping[str, str], content: bytes | None
) -> outcomes.Outcome:
    answer = answers.decode(content or b"", settings.answer_kind, settings.answer_texts)
    said = answers.word_at(answer, settings.error_path, answers.CODE_CHARS_MAX)
    code = said or str(status)
    kind = _kind_of(settings, status, code)
    if kind is not None:
        return _not_taken(kind, code, answers.wait_ms(headers.get("Retry-After", "")))
    refused = outcomes.Outcome(
        _KINDS.REJECTED, "", code, f"the carrier refused it ({code})", understood=bool(said)
    )
    if status in settings.success_statuses:
        carrier_id = answers.word_at(answer, settings.id_path, answers.ID_CHARS_MAX)
        if settings.accepted_codes and said not in settings.accepted_codes:
            return refused if said else outcomes.LOST
        if carrier_id or not settings.id_path:
            billed = answers.count_at(answer, settings.parts_path, _PART_COUNT_MAX)
            return outcomes.Outcome(_KINDS.ACCEPTED, carrier_id, said, billed_count=billed)
        return refused if said else outcomes.LOST
    return outcomes.LOST if status == 408 or status >= 500 else refused


def _kind_of(settings: Settings, status: int, code: str) -> outcomes.OutcomeKind | None:
    """What an answer is, whatever else it says; None of one that may be an acceptance."""
    listed = (
        (settings.halted_codes, _KINDS.HALTED),
        (settings.throttled_codes, _KINDS.THROTTLED),
        (settings.deferred_codes, _KINDS.DEFERRED),
        (settings.elsewhere_codes, _KINDS.ELSEWHERE),
        (settings.rejected_codes, _KINDS.REJECTED),
    )
    for codes, kind in listed:
        if code in codes:
            return kind
    if status in _NOT_US:
        return _KINDS.HALTED
    return _KINDS.THROTTLED if status in _TOO_MANY else None


def _not_taken(kind: outcomes.OutcomeKind, code: str, wish_ms: int) -> outcomes.Outcome:
    if kind is _KINDS.REJECTED:
        return outcomes.Outcome(kind, "", code, f"the carrier refused it ({code})")
    return outcomes.Outcome(kind, "", code, outcomes.DECISIONS[kind].reason, wish_ms)
