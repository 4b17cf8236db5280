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

import asyncio
import hashlib
import hmac
import random
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode

import aiohttp
import msgspec
import structlog
import yarl

from shared.carriers import answers, contract, outcomes, secret, templates
from shared.sms import receipts

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

ANSWER_MAX_BYTES = 64 * 1024
PAUSE_MAX_SECONDS = 300.0
_TOO_MANY = frozenset({429, 503})
_NOT_US = frozenset({401, 407})


class Callback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the carrier reports receipts. Fields are dotted paths, into `list_path`'s items when it
    is set; `states` maps the carrier's words to ours, whatever their case."""

    auth: Literal["path_secret", "hmac"]
    secret: secret.Secret
    id_field: str
    state_field: str
    states: dict[str, receipts.ReceiptState]
    code_field: str = ""
    list_path: str = ""
    hmac_header: str = "X-Signature"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A carrier's web API. `url`, `headers` and `body` may hold placeholders: `{secret.NAME}` from
    `secrets` and, but for headers, which know only `{reference}`, `templates.SEGMENT_WORDS`."""

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
    timeout_seconds: float = 30.0
    window: int = 32
    callback: Callback | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError("url: expected https:// or http://")
        if not 0 < self.timeout_seconds <= 300:
            raise ValueError("timeout_seconds: expected more than 0, at most 300")
        if not 1 <= self.window <= 10_000:
            raise ValueError("window: expected 1 to 10000")
        secrets = {f"secret.{name}" for name in self.secrets}
        words = secrets | templates.SEGMENT_WORDS
        templates.check("url", self.url, words)
        templates.check("headers", self.headers, secrets | {"reference"})
        templates.check("body", self.body, words)
        if self.body_kind == "form" and not all(isinstance(v, str) for v in self.body.values()):
            raise ValueError("body: a form's values are strings")


def open_link(carrier: str, settings: Settings, on_receipt: contract.ReceiptSink) -> HttpLink:
    """A link that is up until a request fails to leave. Receipts come by callback, not through it.
    Call it inside the event loop."""
    del on_receipt
    return HttpLink(carrier, settings)


class _Attempt:
    """Whether a request began to leave; it may do so once, however often the client would try."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked = False

    def outcome(self) -> outcomes.Outcome:
        return outcomes.LOST if self.asked else outcomes.UNAVAILABLE


class _Repeated(aiohttp.ClientError):
    """The client wanted to send a request a second time."""


async def _note_headers(
    session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    # Called just before the first byte is written. aiohttp repeats GET and PUT by itself when a
    # kept connection turns out dead; a repeat would be a second submit.
    attempt: _Attempt = getattr(context, "trace_request_ctx")  # noqa: B009
    if attempt.asked:
        raise _Repeated
    attempt.asked = True


class HttpLink:
    """The `contract.Link` over HTTP: at most `window` requests in flight, each with a deadline."""

    def __init__(self, carrier: str, settings: Settings) -> None:
        self._carrier = carrier
        self._settings = settings
        self._words = {f"secret.{name}": s.reveal() for name, s in settings.secrets.items()}
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_headers)
        self._session = aiohttp.ClientSession(
            # Short, lest the carrier close a kept connection under a submit: that is a doubt.
            connector=aiohttp.TCPConnector(limit=settings.window, keepalive_timeout=4.0),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[trace],
        )
        self._tasks: set[asyncio.Task[outcomes.Outcome]] = set()
        self._failures = 0
        self._down = False
        self._closed = False
        self._resume_at = 0.0
        self._changed = asyncio.Event()

    @property
    def connected(self) -> bool:
        """False while closed, or backing off from a carrier that could not be reached."""
        return not self._closed and not (self._down and self._paused)

    @property
    def room(self) -> int:
        if self._closed or self._paused:
            return 0
        return max(0, self._settings.window - len(self._tasks))

    @property
    def _paused(self) -> bool:
        return asyncio.get_running_loop().time() < self._resume_at

    async def wait_for_room(self) -> None:
        while not self.room:
            self._changed.clear()
            await self._changed.wait()

    def submit(self, segment: contract.Segment) -> asyncio.Future[outcomes.Outcome]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[outcomes.Outcome] = loop.create_future()
        if not self.room:
            answer.set_result(outcomes.UNAVAILABLE)
            return answer
        attempt = _Attempt()
        task = loop.create_task(self._ask(segment, attempt))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._settle(done, attempt, answer))
        return answer

    async def close(self, drain_seconds: float) -> None:
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._session.close()
        self._changed.set()

    def _settle(
        self,
        task: asyncio.Task[outcomes.Outcome],
        attempt: _Attempt,
        answer: asyncio.Future[outcomes.Outcome],
    ) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            outcome = attempt.outcome()
        elif (error := task.exception()) is not None:
            log.error("carrier_submit_broke", carrier=self._carrier, error=type(error).__name__)
            outcome = attempt.outcome()
        else:
            outcome = task.result()
        self._pace(outcome)
        if not answer.done():
            answer.set_result(outcome)
        self._changed.set()

    def _pace(self, outcome: outcomes.Outcome) -> None:
        """Pause after a carrier that is away or asks for time, ever longer until it says else."""
        loop = asyncio.get_running_loop()
        away = outcome.kind is outcomes.OutcomeKind.UNAVAILABLE
        if not away and outcome.kind is not outcomes.OutcomeKind.THROTTLED:
            self._failures, self._down = 0, False
            return
        if self._paused or self._closed:
            return
        growing = min(30.0, 0.5 * 2 ** min(self._failures, 8)) * random.uniform(0.5, 1.0)  # noqa: S311
        seconds = min(PAUSE_MAX_SECONDS, outcome.retry_after_ms / 1000) or growing
        self._failures += 1
        self._down = away
        self._resume_at = loop.time() + seconds
        loop.call_at(self._resume_at, self._go_on)
        log.warning("carrier_paused", carrier=self._carrier, kind=outcome.kind, seconds=seconds)

    def _go_on(self) -> None:
        if self._paused:  # A loop's timers may be a little early.
            asyncio.get_running_loop().call_later(0.001, self._go_on)
        else:
            self._changed.set()

    async def _ask(self, segment: contract.Segment, attempt: _Attempt) -> outcomes.Outcome:
        url, headers, body = _request(self._settings, self._words, segment)
        try:
            async with self._session.request(
                self._settings.method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                trace_request_ctx=attempt,
            ) as response:
                content = await _read(response.content)
                return _outcome(self._settings, response.status, response.headers, content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The type only: some of these carry the URL, and so perhaps the text.
            log.warning("carrier_unanswered", carrier=self._carrier, error=type(error).__name__)
            return attempt.outcome()


async def _read(content: aiohttp.StreamReader) -> bytes | None:
    """The whole answer, or None when it is longer than anybody needs."""
    read = bytearray()
    async for chunk in content.iter_any():
        read += chunk
        if len(read) > ANSWER_MAX_BYTES:
            return None
    return bytes(read)


def _request(
    settings: Settings, words: Mapping[str, str], segment: contract.Segment
) -> tuple[yarl.URL, dict[str, str], bytes | None]:
    fields = {**words, **templates.segment_words(segment)}
    quoted = {name: quote(str(value), safe="") for name, value in fields.items()}
    url = yarl.URL(str(templates.fill(settings.url, quoted)), encoded=True)
    headers = {name: str(templates.fill(value, fields)) for name, value in settings.headers.items()}
    headers["Accept-Encoding"] = "identity"
    if settings.method == "GET":
        return url, headers, None
    filled = templates.fill(settings.body, fields)
    if settings.body_kind == "json":
        headers["Content-Type"] = "application/json"
        return url, headers, msgspec.json.encode(filled)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return url, headers, urlencode(filled if isinstance(filled, dict) else {}).encode()


def _outcome(
    settings: Settings, status: int, headers: Mapping[str, str], content: bytes | None
) -> outcomes.Outcome:
    kinds = outcomes.OutcomeKind
    answer = answers.decode(content or b"")
    said = (
        answers.word(answers.dig(answer, settings.error_path), answers.CODE_MAX_CHARS)
        if settings.error_path
        else ""
    )
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
        carrier_id = (
            answers.word(answers.dig(answer, settings.id_path), answers.ID_MAX_CHARS)
            if settings.id_path
            else ""
        )
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
    """The receipts in a carrier's call, once it has proved who it is. JSON, a form or, in a call
    without a body and with a secret in the path, the query. Items without an id or a state are left
    out; a call of nothing else is refused, so that the carrier's people see it."""
    callback = settings.callback
    if callback is None:
        return contract.CallbackRefusal(404, "this carrier has no callback")
    if refusal := _authenticate(callback, request):
        return refusal
    call = _call(request)
    items = answers.dig(call, callback.list_path) if callback.list_path else [call]
    bodies = tuple(
        msgspec.json.encode(report)
        for item in (items if isinstance(items, list) else [])
        if (report := _report(callback, item)).id and report.state
    )
    return bodies or contract.CallbackRefusal(400, "no receipt could be read from the call")


def _authenticate(
    callback: Callback, request: contract.CallbackRequest
) -> contract.CallbackRefusal | None:
    key = callback.secret.reveal().encode()
    if callback.auth == "path_secret":
        given, wanted = request.path_secret.encode(errors="replace"), key
    else:
        wanted_name = callback.hmac_header.lower()
        named = (v for name, v in request.headers.items() if name.lower() == wanted_name)
        given = next(named, "").removeprefix("sha256=").lower().encode(errors="replace")
        wanted = hmac.new(key, request.body, hashlib.sha256).hexdigest().encode()
    if not given:
        return contract.CallbackRefusal(401, "the call carries no proof of its sender")
    if not hmac.compare_digest(given, wanted):
        return contract.CallbackRefusal(403, "the proof of the sender is wrong")
    return None


def _call(request: contract.CallbackRequest) -> object:
    if not request.body:
        # A signature covers the body alone, so it proves nothing about a query.
        return dict(request.query) if request.path_secret else None
    if request.content_type.partition(";")[0].strip().lower() == "application/json":
        return answers.decode(request.body)
    try:
        return dict(parse_qsl(request.body.decode(), max_num_fields=100))
    except ValueError:
        return None


def _report(callback: Callback, item: object) -> _Report:
    code = (
        answers.word(answers.dig(item, callback.code_field), answers.CODE_MAX_CHARS)
        if callback.code_field
        else ""
    )
    carrier_id = answers.word(answers.dig(item, callback.id_field), answers.ID_MAX_CHARS)
    return _Report(
        carrier_id,
        answers.word(answers.dig(item, callback.state_field), answers.CODE_MAX_CHARS),
        code,
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
