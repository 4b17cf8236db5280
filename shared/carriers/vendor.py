"""What adapters of vendors' own web APIs share: where the API is, where it calls us back, and how a
refusal is read.

| the vendor did | outcome, first match wins |
|---|---|
| said a code that its adapter knows | what the adapter says of it |
| 401, 402, 403, 404, 407: it does not let us in, or has no such account | HALTED |
| 429, 503 | THROTTLED, paused as `Retry-After` asks |
| 408, 5xx | LOST |
| anything else, redirects too | REJECTED, not understood |
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple
from urllib.parse import quote

import msgspec
import yarl

from shared.carriers import (
    answers,
    calls,
    checks,
    contract,
    findings,
    outcomes,
    secret,
    web_check,
    web_link,
)

_NOT_LET_IN = frozenset({401, 402, 403, 404, 407})
_TOO_MANY = frozenset({429, 503})
_DOOR = "/carriers/"
_WORD = re.compile(r"[A-Za-z0-9_-]{1,128}")
NO_CALLS = contract.CallbackRefusal(404, "this carrier has no callback")
NO_RECEIPT = contract.CallbackRefusal(400, "no receipt could be read from the call")
NOT_PROVED = contract.CallbackRefusal(403, "the proof of the sender is wrong")
NO_INBOUND = contract.CallbackRefusal(400, "no inbound message could be read from the call")


class CodeRuling(NamedTuple):
    """What one of a vendor's codes means, and what a producer may read about it."""

    kind: outcomes.OutcomeKind
    reason: str


class VendorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`callbacks_url` is this carrier's place at our door, as the vendor is to call it:
    `https://HOST/carriers/NAME`. Without it nothing is reported and nothing comes in. `addresses`
    are the networks that the vendor calls from, if they are known."""

    api_url: str
    callbacks_url: str = ""
    addresses: tuple[str, ...] = ()
    connect_seconds: float = 2.0
    timeout_seconds: float = 30.0
    window: int = 32

    def __post_init__(self) -> None:
        # A permit to send lives 5 s; longer waits for a connection would outlive it.
        checks.number("connect_seconds", self.connect_seconds, 0.1, 2)
        checks.number("timeout_seconds", self.timeout_seconds, 0.1, 300)
        checks.number("window", self.window, 1, 10_000)
        calls.networks(self.addresses)
        _check_url("api_url", self.api_url)
        if self.callbacks_url:
            _check_url("callbacks_url", self.callbacks_url)
            if _DOOR not in self.callbacks_url:
                raise ValueError(f"callbacks_url: expected {_DOOR}NAME at its end")

    @property
    def public_url(self) -> str:
        """What stands before our paths in the URLs that the vendor knows."""
        return self.callbacks_url.rpartition(_DOOR)[0]


class DoorSettings(VendorSettings, frozen=True, kw_only=True):
    """Of a vendor that may prove itself by what we write into the address of its calls: a secret in
    the path, or a user's name and password, which it then sends as basic auth."""

    callback_auth: Literal["path_secret", "basic"] = "path_secret"
    callback_user: str = "sluice"
    callback_secret: secret.Secret | None = None


def door(settings: DoorSettings, method: Literal["POST", "GET"] = "POST") -> calls.CallProof | None:
    """Who calls, where the address proves it; None where nobody may."""
    if not settings.callbacks_url or settings.callback_secret is None:
        return None
    return calls.CallProof(
        auth=settings.callback_auth,
        secret=settings.callback_secret,
        username=settings.callback_user,
        method=method,
        addresses=settings.addresses,
    )


def review_door(settings: DoorSettings) -> None:
    """Refuse a door without a secret, or with one that can be guessed. Raises ValueError."""
    if settings.callbacks_url:
        check_secret("callback_secret", settings.callback_secret)


def is_path_secret(settings: DoorSettings, given: str) -> bool:
    """Whether this is the secret in the path of this carrier's calls."""
    wanted = settings.callback_secret
    if not settings.callbacks_url or wanted is None or settings.callback_auth != "path_secret":
        return False
    return calls.is_secret(given, wanted)


def address(settings: VendorSettings, proof: calls.CallProof | None) -> str:
    """Where the vendor is to report receipts, with the proof that it will give there."""
    plain = yarl.URL(f"{settings.callbacks_url}/receipts", encoded=True)
    if proof is None or proof.auth == "hmac":
        return str(plain)
    word = proof.secret.reveal()
    if proof.auth == "path_secret":
        return f"{plain}/{quote(word, safe='')}"
    return str(plain.with_user(proof.username).with_password(word))


def heard(
    request: contract.CallbackRequest, proof: calls.CallProof | None
) -> object | contract.CallbackRefusal:
    """What a call says, once it has proved its sender."""
    if proof is None:
        return NO_CALLS
    refusal = calls.distrust(request, proof)
    return calls.content(request, proof) if refusal is None else refusal


def _check_url(name: str, url: str) -> None:
    try:
        parsed = yarl.URL(url, encoded=True)
        plain = not (parsed.query_string or parsed.fragment or parsed.user or parsed.password)
        usable = parsed.scheme in ("http", "https") and parsed.host and parsed.port and plain
    except ValueError:
        usable = None
    if not usable or url.endswith("/"):
        raise ValueError(
            f"{name}: expected http:// or https:// and a host, perhaps a port and a path without a"
            " slash at its end, and nothing more"
        )


def check_word(name: str, value: str) -> None:
    """Refuse what could not stand in a path as it is. Raises ValueError."""
    if not _WORD.fullmatch(value):
        raise ValueError(f"{name}: expected letters, digits, - and _")


def check_secret(name: str, value: secret.Secret | None) -> None:
    """Refuse a secret that a stranger could guess, or none. Raises ValueError."""
    told = "" if value is None else value.literal
    if told is not None and len(told) < calls.SECRET_CHARS_MIN:
        raise ValueError(f"{name}: expected at least {calls.SECRET_CHARS_MIN} characters")


def link(
    carrier: str,
    settings: VendorSettings,
    write: Callable[[contract.Segment], web_link.Request],
    read: Callable[[int, Mapping[str, str], bytes | None], outcomes.Outcome],
    *,
    whole_messages: bool = False,
) -> web_link.WebLink:
    """A link that is up until a request fails to leave. Receipts come by callback, not through it.
    Call it inside the event loop."""
    api = web_link.Api(
        write,
        read,
        settings.window,
        settings.connect_seconds,
        settings.timeout_seconds,
        whole_messages,
    )
    return web_link.WebLink(carrier, api)


async def check(
    settings: VendorSettings, url: str, authorization: str
) -> tuple[findings.CheckFinding, ...]:
    """What the API answers to a question that sends nothing and costs nothing."""
    headers = {"Authorization": authorization}
    harmless = web_check.HarmlessRequest(yarl.URL(url, encoded=True), headers, "api_url")
    return await web_check.check(
        yarl.URL(settings.api_url, encoded=True), where="api_url", harmless=harmless
    )


def post(url: str, authorization: str, content_type: str, body: bytes) -> web_link.Request:
    """A request to the vendor; `authorization` may be empty."""
    headers = {"Content-Type": content_type, "Accept-Encoding": "identity"}
    if authorization:
        headers["Authorization"] = authorization
    return web_link.Request("POST", yarl.URL(url, encoded=True), headers, body)


def basic(user: str, password: secret.Secret) -> str:
    """The value of an `Authorization` header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()


def ruled(code: str, rulings: Mapping[str, CodeRuling]) -> outcomes.Outcome:
    """What a refusal with this code means: one nobody knows is for good."""
    ruling = rulings.get(code)
    if ruling is None:
        reason = f"the carrier refused it ({code})"
        return outcomes.Outcome(outcomes.OutcomeKind.REJECTED, "", code, reason, understood=False)
    return outcomes.Outcome(ruling.kind, "", code, ruling.reason)


def refused(
    status: int, headers: Mapping[str, str], code: str, rulings: Mapping[str, CodeRuling]
) -> outcomes.Outcome:
    """What an answer means that takes nothing, by the table above."""
    kinds = outcomes.OutcomeKind
    wish_ms = answers.wait_ms(headers.get("Retry-After", ""))
    if code in rulings:
        return msgspec.structs.replace(ruled(code, rulings), retry_after_ms=wish_ms)
    said = code or str(status)
    if status in _NOT_LET_IN:
        return outcomes.Outcome(
            kinds.HALTED, "", said, outcomes.DECISIONS[kinds.HALTED].reason, wish_ms
        )
    if status in _TOO_MANY:
        reason = outcomes.DECISIONS[kinds.THROTTLED].reason
        return outcomes.Outcome(kinds.THROTTLED, "", said, reason, wish_ms)
    return outcomes.LOST if status == 408 or status >= 500 else ruled(said, rulings)
