"""The `sinch` adapter: Sinch's REST API of batches, which cuts texts itself.

A message is a batch of one recipient, with one id and one receipt. `max_number_of_message_parts`
is what was paid for: Sinch sends nothing that it would cut into more. `client_reference` names the
message in receipts, by which those of answers that were lost find their segments.

Sources: Sinch's SMS API reference (batches, delivery reports, inbounds, callbacks).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

import msgspec

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
from shared.sms import causes, inbound, receipts

_INBOUND = web_settings.InboundFields("from", "to", "body", "id")
_VALID_SECONDS_MAX = 3 * 86_400
_HEADER = "x-sinch-webhook-signature"
_SIGNATURE = calls.CallSignature(
    header=_HEADER,
    algorithm="sha256",
    encoding="base64",
    over=f"{{body}}.{{header.{_HEADER}-nonce}}.{{header.{_HEADER}-timestamp}}",
)

RULINGS: Mapping[str, CodeRuling] = {
    "syntax_invalid_json": CodeRuling(OutcomeKind.REJECTED, "the carrier cannot read the request"),
    "syntax_invalid_parameter_format": CodeRuling(
        OutcomeKind.REJECTED, "the carrier refuses a number or a field"
    ),
    "syntax_constraint_violation": CodeRuling(
        OutcomeKind.REJECTED, "the carrier refuses a number or a field"
    ),
    "missing_parameter_value": CodeRuling(OutcomeKind.REJECTED, "the carrier misses a field"),
    "unknown_group": CodeRuling(OutcomeKind.REJECTED, "the carrier does not know the recipient"),
    "unknown_campaign": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier does not know the campaign"),
    "missing_callback_url": CodeRuling(OutcomeKind.HALTED, "the carrier has no address to call"),
    "unauthorized": CodeRuling(OutcomeKind.HALTED, "the carrier refuses our credentials"),
    "insufficient_balance": CodeRuling(OutcomeKind.HALTED, "our credit at the carrier is used up"),
    "too_many_requests": CodeRuling(OutcomeKind.THROTTLED, "the carrier asks for time"),
}
"""What Sinch's codes in an answer mean."""

CAUSES: Mapping[str, causes.Cause] = {
    "403": causes.Cause.NETWORK,
    "404": causes.Cause.UNREACHABLE,
    "410": causes.Cause.SENDER,
}
"""What the code of a delivery report says of the phone or its network."""

_STATES = {
    "queued": receipts.ReceiptState.ENROUTE,
    "dispatched": receipts.ReceiptState.ENROUTE,
    "delivered": receipts.ReceiptState.DELIVERED,
    "failed": receipts.ReceiptState.UNDELIVERED,
    "expired": receipts.ReceiptState.EXPIRED,
    "rejected": receipts.ReceiptState.REJECTED,
    "aborted": receipts.ReceiptState.REJECTED,
    "cancelled": receipts.ReceiptState.REJECTED,
    "deleted": receipts.ReceiptState.REJECTED,
    "unknown": receipts.ReceiptState.UNKNOWN,
}


class Settings(vendor.DoorSettings, frozen=True, kw_only=True):
    """A service plan at Sinch; `api_url` is of its region. With `signature_secret`, which is set at
    the plan, its calls prove themselves by HMAC-SHA256; without, as `vendor.DoorSettings` says."""

    service_plan_id: str
    api_token: secret.Secret
    concatenation: Literal["8bit"]
    api_url: str = "https://eu.sms.api.sinch.com"
    signature_secret: secret.Secret | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        vendor.check_word("service_plan_id", self.service_plan_id)


def review(settings: Settings) -> None:
    """Refuse a door that a stranger could open. Raises ValueError."""
    if settings.signature_secret is None:
        vendor.review_door(settings)
    else:
        vendor.check_secret("signature_secret", settings.signature_secret)


async def check(settings: Settings) -> tuple[findings.CheckFinding, ...]:
    """Ask for the newest batch, which sends nothing."""
    return await vendor.check(
        settings,
        f"{settings.api_url}/xms/v1/{settings.service_plan_id}/batches?page_size=1",
        f"Bearer {settings.api_token.reveal()}",
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
    expire_at = datetime.now(UTC) + timedelta(
        seconds=min(segment.valid_seconds, _VALID_SECONDS_MAX)
    )
    body: dict[str, object] = {
        "from": segment.source.removeprefix("+"),
        "to": [segment.recipient.removeprefix("+")],
        "body": segment.text,
        "type": "mt_text",
        "delivery_report": "per_recipient",
        "client_reference": reports.name_of_whole(segment),
        "max_number_of_message_parts": 1 if segment.udh else segment.part_count,
        "expire_at": expire_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    if settings.callbacks_url:
        body["callback_url"] = vendor.address(settings, _proof(settings))
    else:
        body["delivery_report"] = "none"
    return vendor.post(
        f"{settings.api_url}/xms/v1/{settings.service_plan_id}/batches",
        f"Bearer {settings.api_token.reveal()}",
        "application/json",
        msgspec.json.encode(body),
    )


def _outcome(status: int, headers: Mapping[str, str], content: bytes | None) -> outcomes.Outcome:
    answer = answers.decode(content or b"")
    if status in (200, 201):
        batch_id = answers.word_at(answer, "id", answers.ID_CHARS_MAX)
        return outcomes.Outcome(OutcomeKind.ACCEPTED, batch_id) if batch_id else outcomes.LOST
    code = answers.word_at(answer, "code", answers.CODE_CHARS_MAX)
    return vendor.refused(status, headers, code, RULINGS)


def knows_secret(settings: Settings, path_secret: str) -> bool:
    """Whether this is the secret in the path of this carrier's calls."""
    return settings.signature_secret is None and vendor.is_path_secret(settings, path_secret)


def _proof(settings: Settings) -> calls.CallProof | None:
    """Nothing hangs on a signature's age: what comes twice changes nothing."""
    if settings.signature_secret is None or not settings.callbacks_url:
        return vendor.door(settings)
    return calls.CallProof(
        auth="hmac",
        secret=settings.signature_secret,
        signature=_SIGNATURE,
        addresses=settings.addresses,
    )


def admit_callback(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[bytes, ...] | contract.CallbackRefusal:
    """The receipts in a delivery report: one of each part of the message."""
    said = vendor.heard(request, _proof(settings))
    if isinstance(said, contract.CallbackRefusal):
        return said
    report = reports.SegmentReport(
        answers.word_at(said, "batch_id", answers.ID_CHARS_MAX),
        answers.word_at(said, "status", answers.CODE_CHARS_MAX),
        answers.word_at(said, "code", answers.CODE_CHARS_MAX),
        answers.word_at(said, "recipient", answers.CODE_CHARS_MAX),
        answers.word_at(said, "client_reference", answers.CODE_CHARS_MAX),
    )
    return reports.of_parts(report) or vendor.NO_RECEIPT


def admit_inbound(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[inbound.InboundPart, ...] | contract.CallbackRefusal:
    """What a phone has sent. Sinch has joined its parts already."""
    said = vendor.heard(request, _proof(settings))
    if isinstance(said, contract.CallbackRefusal):
        return said
    if answers.dig(said, "type") != "mo_text":
        return vendor.NO_INBOUND
    part = web_reports.inbound_part(_INBOUND, said)
    return (part,) if part else vendor.NO_INBOUND


def read_receipt(settings: Settings, body: bytes) -> receipts.Receipt | None:
    """One stored receipt in our words; None for garbage and for words nobody knows."""
    del settings
    return reports.read(body, lambda said: _STATES.get(said.state.casefold()), CAUSES)
