"""The `vonage` adapter: Vonage's SMS API, which cuts texts itself and answers for each part.

Each part has its own id, status, price and receipts, as with us; the reference has 8 bits, so that
Vonage cuts where the price was made. `client-ref` names the message, which receipts of answers that
were lost find their segment by if it is the message's only one.

Sources: Vonage's SMS API reference (requests, statuses, delivery receipts, inbound messages) and
"Signing messages" (`sig`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Literal
from urllib.parse import urlencode

from shared.carriers import (
    answers,
    calls,
    contract,
    findings,
    outcomes,
    reports,
    secret,
    vendor,
    web_link,
    web_reports,
    web_settings,
)
from shared.carriers.outcomes import OutcomeKind
from shared.carriers.vendor import CodeRuling
from shared.sms import causes, encoding, inbound, receipts

_INBOUND = web_settings.InboundFields(
    "msisdn",
    "to",
    "text",
    "messageId",
    reference_field="concat-ref",
    total_field="concat-total",
    number_field="concat-part",
)
_VALID_SECONDS = (20, 604_800)
_FORM = "application/x-www-form-urlencoded"

RULINGS: Mapping[str, CodeRuling] = {
    "1": CodeRuling(OutcomeKind.THROTTLED, "the carrier asks for time"),
    "2": CodeRuling(OutcomeKind.REJECTED, "the carrier misses a field"),
    "3": CodeRuling(OutcomeKind.REJECTED, "the carrier refuses a field"),
    "4": CodeRuling(OutcomeKind.HALTED, "the carrier refuses our credentials"),
    "5": CodeRuling(OutcomeKind.LOST, outcomes.LOST.reason),
    "6": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier cannot route to this number"),
    "7": CodeRuling(OutcomeKind.REJECTED, "the recipient is barred at the carrier"),
    "8": CodeRuling(OutcomeKind.HALTED, "our account at the carrier is barred"),
    "9": CodeRuling(OutcomeKind.HALTED, "our credit at the carrier is used up"),
    "10": CodeRuling(OutcomeKind.THROTTLED, "the carrier asks for time"),
    "11": CodeRuling(OutcomeKind.HALTED, "our account may not use this interface"),
    "12": CodeRuling(OutcomeKind.REJECTED, "the text is too long for the carrier"),
    "14": CodeRuling(OutcomeKind.HALTED, "the carrier refuses our signature"),
    "15": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier does not take the sender"),
    "22": CodeRuling(OutcomeKind.REJECTED, "the carrier does not know the network"),
    "23": CodeRuling(OutcomeKind.HALTED, "the carrier refuses our address for callbacks"),
    "29": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier sends to listed numbers only"),
    "32": CodeRuling(OutcomeKind.HALTED, "the carrier refuses our credentials"),
    "33": CodeRuling(OutcomeKind.REJECTED, "the recipient's number is out of use"),
}
"""What the status of a part in an answer means. 5 is an error inside Vonage, which does not say
whether the part was taken."""

CAUSES: Mapping[str, causes.Cause] = {
    "2": causes.Cause.UNREACHABLE,
    "3": causes.Cause.UNKNOWN_NUMBER,
    "4": causes.Cause.BARRED,
    "6": causes.Cause.CONTENT,
    "7": causes.Cause.UNREACHABLE,
    "8": causes.Cause.NETWORK,
    "9": causes.Cause.UNKNOWN_NUMBER,
    "10": causes.Cause.CONTENT,
    "12": causes.Cause.UNREACHABLE,
    "13": causes.Cause.BARRED,
    "14": causes.Cause.BARRED,
    "15": causes.Cause.NO_CREDIT,
    "39": causes.Cause.SENDER,
    "51": causes.Cause.SENDER,
    "52": causes.Cause.CONTENT,
    "53": causes.Cause.OPTED_OUT,
}
"""What the `err-code` of a delivery receipt says of the phone or its network."""

_STATES = {
    "accepted": receipts.ReceiptState.ENROUTE,
    "buffered": receipts.ReceiptState.ENROUTE,
    "delivered": receipts.ReceiptState.DELIVERED,
    "failed": receipts.ReceiptState.UNDELIVERED,
    "expired": receipts.ReceiptState.EXPIRED,
    "rejected": receipts.ReceiptState.REJECTED,
    "unknown": receipts.ReceiptState.UNKNOWN,
}


class Settings(vendor.DoorSettings, frozen=True, kw_only=True):
    """An account at Vonage. With `signature_secret` its calls prove themselves by their `sig`, an
    HMAC, or by a JSON Web Token; without, as `vendor.DoorSettings` says."""

    api_key: str
    api_secret: secret.Secret
    concatenation: Literal["8bit"]
    api_url: str = "https://rest.nexmo.com"
    signature_secret: secret.Secret | None = None
    signature_method: Literal["sha256", "sha512", "sha1", "jwt"] = "sha256"
    callback_method: Literal["POST", "GET"] = "POST"


def review(settings: Settings) -> None:
    """Refuse a door that a stranger could open. Raises ValueError."""
    if settings.signature_secret is None:
        vendor.review_door(settings)
    else:
        vendor.check_secret("signature_secret", settings.signature_secret)


async def check(settings: Settings) -> tuple[findings.CheckFinding, ...]:
    """Ask for the balance, which sends nothing."""
    return await vendor.check(
        settings,
        f"{settings.api_url}/account/get-balance",
        vendor.basic(settings.api_key, settings.api_secret),
    )


def open_link(
    carrier: str,
    settings: Settings,
    on_receipt: contract.ReceiptSink,
    on_inbound: contract.InboundSink,
) -> web_link.WebLink:
    """As `vendor.link`."""
    del on_receipt, on_inbound
    return vendor.link(
        carrier, settings, partial(_request, settings), _outcome, whole_messages=True
    )


def _request(settings: Settings, segment: contract.Segment) -> web_link.Request:
    shortest, longest = _VALID_SECONDS
    form = {
        "api_key": settings.api_key,
        "api_secret": settings.api_secret.reveal(),
        "from": segment.source.removeprefix("+"),
        "to": segment.recipient.removeprefix("+"),
        "text": segment.text,
        "type": "text" if segment.encoding is encoding.Encoding.GSM7 else "unicode",
        "ttl": str(1000 * min(max(segment.valid_seconds, shortest), longest)),
        "client-ref": reports.name_of_whole(segment),
        "status-report-req": "1",
    }
    if settings.callbacks_url:
        proof = None if settings.signature_secret else _door(settings)
        form["callback"] = vendor.address(settings, proof)
    return vendor.post(f"{settings.api_url}/sms/json", "", _FORM, urlencode(form).encode())


def _outcome(status: int, headers: Mapping[str, str], content: bytes | None) -> outcomes.Outcome:
    parts = answers.dig(answers.decode(content or b""), "messages")
    if status != 200:
        return vendor.refused(status, headers, "", {})
    if not isinstance(parts, list) or not parts:
        return outcomes.LOST
    statuses = [answers.word_at(part, "status", answers.CODE_CHARS_MAX) for part in parts]
    ids = [answers.word_at(part, "message-id", answers.ID_CHARS_MAX) for part in parts]
    if all(said == "0" and each for said, each in zip(statuses, ids, strict=True)):
        return outcomes.Outcome(
            OutcomeKind.ACCEPTED, ids[0], billed_count=len(ids), part_ids=tuple(ids)
        )
    if "0" in statuses or "" in statuses:
        return outcomes.LOST
    return vendor.refused(status, headers, statuses[0], RULINGS)


def knows_secret(settings: Settings, path_secret: str) -> bool:
    """Whether this is the secret in the path of this carrier's calls."""
    return settings.signature_secret is None and vendor.is_path_secret(settings, path_secret)


def admit_callback(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[bytes, ...] | contract.CallbackRefusal:
    """The receipt of a part in a call."""
    said = _heard(settings, request)
    if isinstance(said, contract.CallbackRefusal):
        return said
    report = reports.SegmentReport(
        answers.word_at(said, "messageId", answers.ID_CHARS_MAX),
        answers.word_at(said, "status", answers.CODE_CHARS_MAX),
        answers.word_at(said, "err-code", answers.CODE_CHARS_MAX),
        answers.word_at(said, "msisdn", answers.CODE_CHARS_MAX),
        _name_of_one(answers.word_at(said, "client-ref", answers.CODE_CHARS_MAX)),
    )
    return reports.of_part(report) or vendor.NO_RECEIPT


def _name_of_one(client_ref: str) -> str:
    """Of several parts a receipt does not say which it means."""
    name = reports.named(client_ref)
    return client_ref if name is not None and name.number == 1 else ""


def admit_inbound(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[inbound.InboundPart, ...] | contract.CallbackRefusal:
    """What a phone has sent, or a part of it; data that is no text is left alone."""
    said = _heard(settings, request)
    if isinstance(said, contract.CallbackRefusal):
        return said
    part = web_reports.inbound_part(_INBOUND, said)
    return (part,) if part else vendor.NO_INBOUND


def _heard(
    settings: Settings, request: contract.CallbackRequest
) -> object | contract.CallbackRefusal:
    """What a call says, once it has proved its sender. Nothing hangs on a signature's age: what
    comes twice changes nothing."""
    key = settings.signature_secret
    if key is None or not settings.callbacks_url:
        return vendor.heard(request, _door(settings))
    if settings.addresses and not calls.is_from(request.address, settings.addresses):
        return contract.CallbackRefusal(403, "the call comes from a foreign address")
    if settings.signature_method == "jwt":
        said = calls.claims(calls.header(request, "Authorization").removeprefix("Bearer "), [key])
        proved = (
            said is not None
            and said.get("payload_hash") == hashlib.sha256(request.body).hexdigest()
        )
        fields = _fields(request) if proved else {}
    else:
        fields = _fields(request)
        right = _signature(fields, key, settings.signature_method)
        proved = calls.is_secret(
            answers.word(fields.get("sig"), answers.ID_CHARS_MAX).lower(), secret.Secret(right)
        )
    return fields if proved else vendor.NOT_PROVED


def _door(settings: Settings) -> calls.CallProof | None:
    return vendor.door(settings, settings.callback_method)


def _fields(request: contract.CallbackRequest) -> Mapping[str, object]:
    if not request.body:
        return dict(request.query)
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        return dict(answers.form(request.body))
    decoded = answers.decode(request.body)
    return decoded if isinstance(decoded, dict) else {}


def _signature(fields: Mapping[str, object], key: secret.Secret, algorithm: calls.Algorithm) -> str:
    """HMAC of `&name=value` of all fields but `sig`, in the order of names; in values `&` and `=`
    count as `_`."""
    signed = "".join(
        f"&{name}={str(value).replace('&', '_').replace('=', '_')}"
        for name, value in sorted(fields.items())
        if name != "sig"
    )
    return calls.hmac_of(key, signed.encode("utf-8", "replace"), algorithm).hex()


def read_receipt(settings: Settings, body: bytes) -> receipts.Receipt | None:
    """One stored receipt in our words; None for garbage and for words nobody knows."""
    del settings
    return reports.read(body, lambda said: _STATES.get(said.state.casefold()), CAUSES)
