"""The `infobip` adapter: Infobip's SMS API, by parts: each segment is a message of its own.

A text of one part goes as text; parts of a longer one go as octets with their header, cut where the
price was made, so that each has its own id, receipt and bill, as with us. The id is ours: a receipt
names its segment whatever became of the answer, and a segment that comes twice is refused as a
duplicate, which proves that it was taken before.

Sources: Infobip's SMS API reference (messages, reports, incoming messages) and its list of status
codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from shared.carriers import (
    answers,
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
from shared.sms import causes, inbound, receipts, segmentation

_VALID_SECONDS_MAX = 2 * 86_400
_HAS_UDH = 0x40
_INBOUND = web_settings.InboundFields("from", "to", "text", "messageId")
_DUPLICATE = "REJECTED_DUPLICATE_MESSAGE_ID"

RULINGS: Mapping[str, CodeRuling] = {
    "REJECTED_NETWORK": CodeRuling(
        OutcomeKind.ELSEWHERE, "the carrier does not serve this network"
    ),
    "REJECTED_PREFIX_MISSING": CodeRuling(
        OutcomeKind.ELSEWHERE, "the carrier does not know the recipient's prefix"
    ),
    "REJECTED_DND": CodeRuling(
        OutcomeKind.REJECTED, "the recipient is on a list of do not disturb"
    ),
    "REJECTED_SOURCE": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier does not take the sender"),
    "REJECTED_SENDER": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier does not take the sender"),
    "REJECTED_NOT_ENOUGH_CREDITS": CodeRuling(
        OutcomeKind.HALTED, "our credit at the carrier is used up"
    ),
    "REJECTED_PREPAID_PACKAGE_EXPIRED": CodeRuling(
        OutcomeKind.HALTED, "our credit at the carrier is used up"
    ),
    "REJECTED_DESTINATION": CodeRuling(
        OutcomeKind.REJECTED, "the recipient is barred at the carrier"
    ),
    "REJECTED_DESTINATION_NOT_REGISTERED": CodeRuling(
        OutcomeKind.ELSEWHERE, "the carrier sends to registered numbers only"
    ),
    "REJECTED_ROUTE_NOT_AVAILABLE": CodeRuling(
        OutcomeKind.ELSEWHERE, "the carrier has no route to this number"
    ),
    "REJECTED_FLOODING_FILTER": CodeRuling(
        OutcomeKind.DEFERRED, "the carrier holds too many messages to this phone"
    ),
    "REJECTED_SYSTEM_ERROR": CodeRuling(OutcomeKind.DEFERRED, "the carrier asks to try it again"),
    "REJECTED_INVALID_UDH": CodeRuling(
        OutcomeKind.REJECTED, "the carrier refuses the part's header"
    ),
    "REJECTED_MESSAGE_TOO_LONG": CodeRuling(
        OutcomeKind.REJECTED, "the text is too long for the carrier"
    ),
    "MISSING_TO": CodeRuling(OutcomeKind.REJECTED, "the carrier found no recipient"),
    "REJECTED_INVALID_DESTINATION": CodeRuling(
        OutcomeKind.REJECTED, "the recipient is no valid number"
    ),
    "TOO_MANY_REQUESTS": CodeRuling(OutcomeKind.THROTTLED, "the carrier asks for time"),
    "UNAUTHORIZED": CodeRuling(OutcomeKind.HALTED, "the carrier refuses our credentials"),
}
"""What the names of Infobip's statuses, and of its errors, mean in an answer."""

CAUSES: Mapping[str, causes.Cause] = {
    "EC_ABSENT_SUBSCRIBER": causes.Cause.UNREACHABLE,
    "EC_CALL_BARRED": causes.Cause.BARRED,
    "EC_EQUIPMENT_NOT_SM_EQUIPPED": causes.Cause.UNFIT_PHONE,
    "EC_ILLEGAL_SUBSCRIBER": causes.Cause.BARRED,
    "EC_MEMORY_CAPACITY_EXCEEDED": causes.Cause.MEMORY_FULL,
    "EC_SUBSCRIBER_BUSY_FOR_MT_SMS": causes.Cause.UNREACHABLE,
    "EC_SYSTEM_FAILURE": causes.Cause.NETWORK,
    "EC_TELESERVICE_NOT_PROVISIONED": causes.Cause.NO_MOBILE,
    "EC_UNIDENTIFIED_SUBSCRIBER": causes.Cause.UNKNOWN_NUMBER,
    "EC_UNKNOWN_SUBSCRIBER": causes.Cause.UNKNOWN_NUMBER,
    "REJECTED_DND": causes.Cause.DO_NOT_DISTURB,
}
"""What the names of Infobip's errors, or of its statuses, say of the phone or its network."""

_STATES = {
    "PENDING": receipts.ReceiptState.ENROUTE,
    "DELIVERED": receipts.ReceiptState.DELIVERED,
    "UNDELIVERABLE": receipts.ReceiptState.UNDELIVERED,
    "EXPIRED": receipts.ReceiptState.EXPIRED,
    "REJECTED": receipts.ReceiptState.REJECTED,
    # More precise than the groups they are in.
    "DELIVERED_TO_OPERATOR": receipts.ReceiptState.ENROUTE,
    "EXPIRED_DLR_UNKNOWN": receipts.ReceiptState.UNKNOWN,
}


class Settings(vendor.DoorSettings, frozen=True, kw_only=True):
    """An account at Infobip; `api_url` is its own base URL."""

    api_url: str
    api_key: secret.Secret
    concatenation: contract.Concatenation = "16bit"


def review(settings: Settings) -> None:
    """Refuse a door that a stranger could open. Raises ValueError."""
    vendor.review_door(settings)


async def check(settings: Settings) -> tuple[findings.CheckFinding, ...]:
    """Ask for the balance, which sends nothing."""
    return await vendor.check(
        settings, f"{settings.api_url}/account/1/balance", f"App {settings.api_key.reveal()}"
    )


def open_link(
    carrier: str,
    settings: Settings,
    on_receipt: contract.ReceiptSink,
    on_inbound: contract.InboundSink,
) -> web_link.WebLink:
    """As `vendor.link`."""
    del on_receipt, on_inbound
    return vendor.link(carrier, settings, partial(_request, settings), _outcome)


def _request(settings: Settings, segment: contract.Segment) -> web_link.Request:
    message: dict[str, object] = {
        "sender": segment.source.removeprefix("+"),
        "destinations": [
            {"to": segment.recipient.removeprefix("+"), "messageId": segment.reference}
        ],
        "content": _content(segment),
        "options": {
            "validityPeriod": {
                "amount": min(segment.valid_seconds, _VALID_SECONDS_MAX),
                "timeUnit": "SECONDS",
            }
        },
    }
    if settings.callbacks_url:
        url = vendor.address(settings, vendor.door(settings))
        message["webhooks"] = {
            "delivery": {"url": url},
            "contentType": "application/json",
            "callbackData": segment.reference,
        }
    return vendor.post(
        f"{settings.api_url}/sms/3/messages",
        f"App {settings.api_key.reveal()}",
        "application/json",
        msgspec.json.encode({"messages": [message]}),
    )


def _content(segment: contract.Segment) -> dict[str, object]:
    if not segment.udh:
        return {"text": segment.text}
    return {
        "dataCoding": segmentation.data_coding(segment.encoding),
        "esmClass": _HAS_UDH,
        "hex": (segment.udh + segment.payload).hex(" "),
    }


def _outcome(status: int, headers: Mapping[str, str], content: bytes | None) -> outcomes.Outcome:
    answer = answers.decode(content or b"")
    if status != 200:
        return vendor.refused(status, headers, _error(answer), RULINGS)
    message_id = answers.word_at(answer, "messages.0.messageId", answers.ID_CHARS_MAX)
    name = answers.word_at(answer, "messages.0.status.name", answers.CODE_CHARS_MAX)
    group = answers.word_at(answer, "messages.0.status.groupName", answers.CODE_CHARS_MAX)
    if group in ("PENDING", "DELIVERED") or name == _DUPLICATE:
        return outcomes.Outcome(OutcomeKind.ACCEPTED, message_id) if message_id else outcomes.LOST
    return vendor.refused(status, headers, name, RULINGS) if name else outcomes.LOST


def _error(answer: object) -> str:
    """The code of an error, of this version of the API or of the one before."""
    return answers.word_at(answer, "errorCode", answers.CODE_CHARS_MAX) or answers.word_at(
        answer, "requestError.serviceException.messageId", answers.CODE_CHARS_MAX
    )


def knows_secret(settings: Settings, path_secret: str) -> bool:
    """Whether this is the secret in the path of this carrier's calls."""
    return vendor.is_path_secret(settings, path_secret)


def admit_callback(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[bytes, ...] | contract.CallbackRefusal:
    """The receipts in a call, a segment each. Items without an id or a state are left out."""
    said = vendor.heard(request, vendor.door(settings))
    if isinstance(said, contract.CallbackRefusal):
        return said
    bodies = [body for item in _results(said) for body in reports.of_part(_report(item))]
    return tuple(bodies) or vendor.NO_RECEIPT


def _report(item: object) -> reports.SegmentReport:
    name = answers.word_at(item, "status.name", answers.CODE_CHARS_MAX)
    group = answers.word_at(item, "status.groupName", answers.CODE_CHARS_MAX)
    error = answers.word_at(item, "error.name", answers.CODE_CHARS_MAX)
    return reports.SegmentReport(
        answers.word_at(item, "messageId", answers.ID_CHARS_MAX),
        name if name in _STATES else group,
        name if error in ("", "NO_ERROR") else error,
        answers.word_at(item, "to", answers.CODE_CHARS_MAX),
        answers.word_at(item, "callbackData", answers.CODE_CHARS_MAX),
    )


def admit_inbound(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[inbound.InboundPart, ...] | contract.CallbackRefusal:
    """What phones have sent. Infobip has joined their parts already."""
    said = vendor.heard(request, vendor.door(settings))
    if isinstance(said, contract.CallbackRefusal):
        return said
    parts = tuple(
        part for item in _results(said) if (part := web_reports.inbound_part(_INBOUND, item))
    )
    return parts or vendor.NO_INBOUND


def _results(said: object) -> list[object]:
    results = answers.dig(said, "results")
    return results if isinstance(results, list) else []


def read_receipt(settings: Settings, body: bytes) -> receipts.Receipt | None:
    """One stored receipt in our words; None for garbage and for words nobody knows."""
    del settings
    return reports.read(body, lambda said: _STATES.get(said.state.upper()), CAUSES)
