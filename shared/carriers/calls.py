"""What an adapter may believe of a carrier's HTTP call, and how it reads one; pure and total.

A carrier proves itself by a secret in the path, basic auth, a bearer's token or a signature
(HMAC, RFC 2104; JWT with HS256, RFC 7519), and may have to call from its own addresses besides.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Literal

import msgspec

from shared.carriers import answers, checks, contract
from shared.carriers.secret import Secret

ProofKind = Literal["path_secret", "hmac", "basic", "bearer"]
"""A secret in the call's path, an HMAC in a header, or what `Authorization` says."""
Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]

SECRET_CHARS_MIN = 16
_WORD = re.compile(rb"\{(body|url|form|query|method|header\.[0-9A-Za-z-]+)\}")
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_XML = frozenset({"application/xml", "text/xml"})


class CallSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a carrier signs: an HMAC in `header`, behind `prefix` if it is there, of `over`.

    `over` may hold `{body}`; `{form}` or `{query}`, each field's name and value one after the other
    in the order of names; `{url}`, the call's whole URL as the carrier knows it; `{method}`; and
    `{header.NAME}`. With `time_header`, seconds or milliseconds since 1970, a call is too old or
    too new beyond `tolerance_seconds`; the time is to be part of `over`.
    """

    header: str = "X-Signature"
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    over: str = "{body}"
    prefix: str = ""
    time_header: str = ""
    tolerance_seconds: int = 300

    def __post_init__(self) -> None:
        checks.header("signature.header", self.header, self.prefix)
        checks.number("signature.tolerance_seconds", self.tolerance_seconds, 1, 86_400)
        if not self.covered:
            raise ValueError("signature.over: expected {body}, {form}, {query} or {url} in it")
        if b"{" in _WORD.sub(b"", self.over.encode()):
            raise ValueError("signature.over: unknown placeholder")
        time_word = f"{{header.{self.time_header}}}".lower()
        if self.time_header and time_word not in self.over.lower():
            raise ValueError(f"signature.over: expected {time_word} in it, lest times be invented")

    @property
    def covered(self) -> frozenset[str]:
        """Which of a call's contents it proves."""
        return frozenset(
            word for word in ("body", "form", "query", "url") if f"{{{word}}}" in self.over
        )


class CallProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who calls, and how that is known. While a secret is changed `previous_secret` is believed
    too. `public_url` is what stands before `/carriers/` in the URL the carrier was given; `method`
    is its own, and `addresses` are the networks it calls from, if they are known."""

    auth: ProofKind
    secret: Secret
    previous_secret: Secret | None = None
    username: str = ""
    hmac_header: str = ""
    signature: CallSignature = CallSignature()
    public_url: str = ""
    method: Literal["POST", "GET"] = "POST"
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        networks(self.addresses)
        if self.hmac_header:
            checks.header("hmac_header", self.hmac_header, "")
        if self.auth == "basic":
            checks.filled("username", self.username)
        covered = self.signature.covered
        if "url" in covered and not self.public_url.startswith(("http://", "https://")):
            raise ValueError("public_url: expected http:// or https://, for the signature is of it")
        if self.auth == "hmac" and self.method == "GET" and not covered & {"query", "url"}:
            raise ValueError("signature.over: expected {url} or {query}, for a GET has no body")

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Those that are believed, the current one first."""
        return (self.secret, *([self.previous_secret] if self.previous_secret else []))


def review(proof: CallProof) -> None:
    """Raise ValueError for a secret that can be guessed."""
    for name, value in (("secret", proof.secret), ("previous_secret", proof.previous_secret)):
        told = None if value is None else value.literal
        if told is not None and len(told) < SECRET_CHARS_MIN:
            raise ValueError(f"callback.{name}: expected at least {SECRET_CHARS_MIN} characters")


def distrust(
    request: contract.CallbackRequest, proof: CallProof
) -> contract.CallbackRefusal | None:
    """Why the call is not believed, or None when it has proved its sender."""
    if proof.addresses and not is_from(request.address, proof.addresses):
        return contract.CallbackRefusal(403, "the call comes from a foreign address")
    refusal = _distrust_proof(request, proof)
    if refusal is None and request.method != proof.method:
        detail = f"this carrier calls with {proof.method}"
        return contract.CallbackRefusal(405, detail, proof.method)
    return refusal


def _distrust_proof(
    request: contract.CallbackRequest, proof: CallProof
) -> contract.CallbackRefusal | None:
    if proof.auth == "path_secret":
        given, proved = request.path_secret, is_secret(request.path_secret, *proof.secrets)
    elif proof.auth == "hmac":
        signature = proof.signature
        if proof.hmac_header:
            signature = msgspec.structs.replace(signature, header=proof.hmac_header)
        given = header(request, signature.header)
        proved = is_signed(request, signature, proof.secrets, proof.public_url)
    else:
        given = header(request, "Authorization")
        if proof.auth == "basic":
            proved = is_basic(request, proof.username, *proof.secrets)
        else:
            proved = is_bearer(request, *proof.secrets)
    if not given:
        return contract.CallbackRefusal(401, "the call carries no proof of its sender")
    return None if proved else contract.CallbackRefusal(403, "the proof of the sender is wrong")


# The proofs, each by itself ----------------------------------------------------------------------


def is_secret(given: str, *wanted: Secret) -> bool:
    """Whether the caller gave one of the secrets, told in the same time whatever it gave."""
    octets = given.encode(errors="replace")
    return any(hmac.compare_digest(octets, each.reveal().encode()) for each in wanted)


def is_basic(request: contract.CallbackRequest, username: str, *passwords: Secret) -> bool:
    """Whether `Authorization` is basic auth (RFC 7617) of this user and one of the passwords."""
    wanted = (Secret(f"{username}:{each.reveal()}") for each in passwords)
    try:
        given = base64.b64decode(_credentials(request, "basic"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return is_secret(given.decode(errors="replace"), *wanted)


def is_bearer(request: contract.CallbackRequest, *tokens: Secret) -> bool:
    """Whether `Authorization` carries one of the tokens (RFC 6750)."""
    return is_secret(_credentials(request, "bearer"), *tokens)


def is_signed(
    request: contract.CallbackRequest,
    signature: CallSignature,
    keys: Sequence[Secret],
    public_url: str = "",
) -> bool:
    """Whether the call bears the signature, by one of the keys, and is of our time."""
    if signature.time_header and not is_recent(
        header(request, signature.time_header), request.received_at, signature.tolerance_seconds
    ):
        return False
    given = _digest(header(request, signature.header), signature)
    message = signed_message(request, signature.over, public_url)
    return any(
        hmac.compare_digest(given, hmac_of(key, message, signature.algorithm)) for key in keys
    )


def hmac_of(key: Secret, message: bytes, algorithm: Algorithm) -> bytes:
    """The HMAC's octets."""
    return hmac.new(key.reveal().encode(), message, algorithm).digest()


def signed_message(request: contract.CallbackRequest, over: str, public_url: str = "") -> bytes:
    """What a signature `over` this is of; see CallSignature."""

    def filled(found: re.Match[bytes]) -> bytes:
        word = found[1].decode()
        if word == "body":
            return request.body
        if word == "form":
            return _in_order(answers.form(request.body))
        if word == "query":
            return _in_order(request.query)
        if word == "url":
            return (public_url.rstrip("/") + request.target).encode(errors="replace")
        if word == "method":
            return request.method.encode(errors="replace")
        return header(request, word.removeprefix("header.")).encode(errors="replace")

    return _WORD.sub(filled, over.encode())


def is_recent(said: str, now: float, tolerance_seconds: float) -> bool:
    """Whether a time in seconds or milliseconds since 1970 is within the tolerance of now."""
    if not said.isascii() or not said.isdigit() or len(said) > 13:
        return False
    seconds = int(said) / 1000 if len(said) > 11 else int(said)
    return abs(now - seconds) <= tolerance_seconds


def is_from(address: str, allowed: tuple[str, ...]) -> bool:
    """Whether an address is in one of the networks; one that cannot be read is in none."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks(allowed))


@cache
def networks(
    allowed: tuple[str, ...],
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Addresses and networks as settings write them. Raises ValueError."""
    try:
        return tuple(ipaddress.ip_network(each) for each in allowed)
    except ValueError:
        raise ValueError("addresses: expected networks such as 203.0.113.0/24") from None


def claims(token: str, keys: Sequence[Secret]) -> Mapping[str, object] | None:
    """What a JSON Web Token says that one of the keys has signed with HS256; None of any other
    (RFC 7519; `alg` is not for who calls to choose)."""
    signed, _, given = token.rpartition(".")
    head, _, payload = signed.partition(".")
    decoded = (
        _base64url(given),
        answers.decode(_base64url(head)),
        answers.decode(_base64url(payload)),
    )
    octets, said_head, said = decoded
    if not isinstance(said_head, dict) or said_head.get("alg") != "HS256":
        return None
    message = signed.encode(errors="replace")
    right = any(hmac.compare_digest(octets, hmac_of(key, message, "sha256")) for key in keys)
    return said if right and isinstance(said, dict) else None


# What a call says --------------------------------------------------------------------------------


def content(request: contract.CallbackRequest, proof: CallProof) -> object:
    """What the call says: its JSON, XML or form or, in a call without a body, its query; None for
    anything else. Of a signed call nothing that the signature does not cover."""
    covered = proof.signature.covered if proof.auth == "hmac" else {"body", "query"}
    if not request.body:
        return dict(request.query) if covered & {"query", "url"} else None
    if "body" not in covered:
        return answers.form(request.body) if "form" in covered else None
    media_type = request.content_type.partition(";")[0].strip().lower()
    if media_type == _JSON or media_type.endswith("+json"):
        return answers.decode(request.body)
    if media_type in _XML or media_type.endswith("+xml"):
        return answers.decode(request.body, "xml")
    return answers.form(request.body)


def header(request: contract.CallbackRequest, name: str) -> str:
    """A header's value whatever the case of its name; empty when there is none."""
    wanted = name.lower()
    return next((value for key, value in request.headers.items() if key.lower() == wanted), "")


def _credentials(request: contract.CallbackRequest, scheme: str) -> str:
    said, _, rest = header(request, "Authorization").partition(" ")
    return rest.strip() if said.lower() == scheme else ""


def _digest(given: str, signature: CallSignature) -> bytes:
    # Many hex signatures come behind the algorithm's name, whatever their pages say.
    bare = given.removeprefix(signature.prefix).removeprefix(f"{signature.algorithm}=")
    try:
        if signature.encoding == "hex":
            return bytes.fromhex(bare)
        return base64.b64decode(bare.encode(errors="replace"), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _base64url(given: str) -> bytes:
    try:
        return base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _in_order(fields: Mapping[str, str]) -> bytes:
    pairs: Iterable[tuple[str, str]] = sorted(fields.items())
    return "".join(name + value for name, value in pairs).encode(errors="replace")
