"""What an operator writes of a carrier with a web API: its requests, its answers, its calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec
import yarl

from shared.carriers import answers, calls, checks, contract, templates
from shared.carriers.secret import Secret
from shared.sms import receipts

_DECLARED = re.compile(r"<\?xml[^>]*encoding=[\"'](?!utf-8[\"'])", re.IGNORECASE)


class BasicAuth(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="basic", tag_field="kind"
):
    """A user and a password (RFC 7617)."""

    username: str
    password: Secret

    def __post_init__(self) -> None:
        if ":" in self.username:
            raise ValueError("auth.username: expected no colon")


class BearerAuth(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="bearer", tag_field="kind"
):
    """A token (RFC 6750)."""

    token: Secret


class HeaderAuth(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="header", tag_field="kind"
):
    """A key in a header of the carrier's own."""

    header: str
    key: Secret

    def __post_init__(self) -> None:
        checks.header("auth.header", self.header, self.key.literal or "")


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
    items when it is set; `states` maps the carrier's words to ours, whatever their case.

    At `recipient_field` stands the phone, at `reference_field` what the request said as
    `{reference}`. With the first, an id that the carrier gives again means the right message, and a
    receipt may end a doubt: the only one to that phone, or the one whose reference it gives back.
    """

    id_field: str
    state_field: str
    states: dict[str, receipts.ReceiptState]
    code_field: str = ""
    recipient_field: str = ""
    reference_field: str = ""
    list_path: str = ""
    inbound: InboundFields | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.filled("id_field", self.id_field)
        checks.filled("state_field", self.state_field)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A carrier's web API. `url`, `query`, `headers` and `body` may hold placeholders:
    `{secret.NAME}` from `secrets` and, but for headers, which know only `{reference}`,
    `templates.SEGMENT_WORDS`. Each is written as its place asks: percent-encoded in a URL, escaped
    in XML, quoted in JSON; so no text can become anything but text.

    A connection stands within `connect_seconds`, or nothing is sent; a request has its whole answer
    within `timeout_seconds`. Paths into an answer are those of `answers.dig`; of a text they are
    the names in the first of `answer_texts` that fits it. With `whole_message` the carrier cuts
    texts itself: it gets one request a message, and says at `parts_path`, if anywhere, how many
    parts it makes of it. An `idempotent` carrier takes what bears one `{reference}` once, however
    often it is asked, and then answers as it did at first: what is in doubt is asked for again.

    `check_url` is what `sluice carrier check` may get, with the same headers, for it sends nothing:
    of the balance, say.
    """

    url: str
    check_url: str = ""
    method: Literal["POST", "PUT", "GET"] = "POST"
    auth: BasicAuth | BearerAuth | HeaderAuth | None = None
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    secrets: dict[str, Secret] = {}
    body_kind: Literal["json", "form", "xml"] = "json"
    body: dict[str, object] | str = {}
    whole_message: bool = False
    idempotent: bool = False
    answer_kind: answers.Kind = "json"
    answer_texts: tuple[str, ...] = ()
    success_statuses: tuple[int, ...] = (200, 201, 202)
    id_path: str = ""
    parts_path: str = ""
    error_path: str = ""
    accepted_codes: tuple[str, ...] = ()
    rejected_codes: tuple[str, ...] = ()
    throttled_codes: tuple[str, ...] = ()
    deferred_codes: tuple[str, ...] = ()
    elsewhere_codes: tuple[str, ...] = ()
    halted_codes: tuple[str, ...] = ()
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
        self._check_request()
        self._check_answer()

    def _check_request(self) -> None:
        secrets = {f"secret.{name}": value.literal or "" for name, value in self.secrets.items()}
        words = secrets.keys() | templates.SEGMENT_WORDS
        templates.check("url", self.url, words)
        _check_url(str(templates.fill(self.url, dict.fromkeys(words, "1"))))
        if self.check_url:
            templates.check("check_url", self.check_url, secrets.keys())
            _check_url(
                str(templates.fill(self.check_url, dict.fromkeys(secrets, "1"))), "check_url"
            )
        templates.check("query", self.query, words)
        templates.check("headers", self.headers, secrets.keys() | {"reference"})
        for name, value in self.headers.items():
            sent = templates.fill(value, {**secrets, "reference": ""})
            checks.header(f"headers.{name}", name, str(sent))
        templates.check("body", self.body, words)
        places = (self.url, self.query, self.headers, self.body)
        if self.idempotent and "{reference}" not in str(places):
            raise ValueError("idempotent: expected {reference} in url, query, headers or body")
        _check_body(self.body_kind, self.body, dict.fromkeys(words, "1"))

    def _check_answer(self) -> None:
        for shape in self.answer_texts:
            answers.check_shape("answer_texts", shape)
        if (self.answer_kind == "text") != bool(self.answer_texts):
            raise ValueError('answer_texts: expected with answer_kind = "text", and only then')
        if self.accepted_codes and not self.error_path:
            raise ValueError("accepted_codes: expected an error_path, where the code stands")
        if self.parts_path and not self.whole_message:
            raise ValueError("parts_path: expected whole_message = true with it")


def _check_url(url: str, name: str = "url") -> None:
    try:
        parsed = yarl.URL(url, encoded=True)
        usable = parsed.scheme in ("http", "https") and parsed.host and parsed.port
    except ValueError:
        usable = None
    if not usable:
        raise ValueError(
            f"{name}: expected http:// or https://, a host, and a port up to 65535 if any"
        )


def _check_body(kind: str, body: object, words: Mapping[str, str]) -> None:
    if isinstance(body, str) != (kind == "xml"):
        raise ValueError('body: expected a text with body_kind = "xml", else a table')
    if kind == "form" and isinstance(body, dict):
        if not all(isinstance(value, str) for value in body.values()):
            raise ValueError("body: a form's values are strings")
    elif isinstance(body, str):
        filled = str(templates.fill(body, words)).encode()
        if _DECLARED.search(body) or answers.decode(filled, "xml") is None:
            raise ValueError("body: expected well-formed XML in UTF-8, without a document type")
