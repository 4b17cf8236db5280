"""The `twilio` adapter: Twilio's Messages API, which cuts texts itself.

A message is one request, one id and one bill of `num_segments`; `SmartEncoded` is off and the
reference has 8 bits, so that Twilio cuts where the price was made. The name of the message stands
in the address that Twilio calls, under Twilio's own signature: receipts of answers that were lost
find their segments by it.

Sources: Twilio's Messages resource, its error dictionary, and "Validating requests are coming from
Twilio" (X-Twilio-Signature).
"""

from __future__ import annotations

import re
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
from shared.sms import causes, inbound, receipts

_INBOUND = web_settings.InboundFields("From", "To", "Body", "MessageSid")
_VALID_SECONDS_MAX = 36_000
_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
_FORM = "application/x-www-form-urlencoded"
_SIGNATURE = calls.CallSignature(
    header="X-Twilio-Signature", algorithm="sha1", encoding="base64", over="{url}{form}"
)

RULINGS: Mapping[str, CodeRuling] = {
    "14107": CodeRuling(OutcomeKind.THROTTLED, "the carrier asks for time"),
    "20003": CodeRuling(OutcomeKind.HALTED, "the carrier refuses our credentials"),
    "20005": CodeRuling(OutcomeKind.HALTED, "our account at the carrier is not active"),
    "20006": CodeRuling(OutcomeKind.HALTED, "the carrier refuses our credentials"),
    "20404": CodeRuling(OutcomeKind.HALTED, "the carrier does not know our account"),
    "20429": CodeRuling(OutcomeKind.THROTTLED, "the carrier asks for time"),
    "21211": CodeRuling(OutcomeKind.REJECTED, "the recipient is no valid number"),
    "21212": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier does not know the sender"),
    "21408": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier does not send to this country for us"),
    "21602": CodeRuling(OutcomeKind.REJECTED, "the carrier found no text"),
    "21604": CodeRuling(OutcomeKind.REJECTED, "the carrier found no recipient"),
    "21606": CodeRuling(OutcomeKind.ELSEWHERE, "the sender is not ours at this carrier"),
    "21608": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier sends to verified numbers only"),
    "21610": CodeRuling(OutcomeKind.REJECTED, "the recipient has opted out at the carrier"),
    "21611": CodeRuling(OutcomeKind.DEFERRED, "the carrier's queue of this sender is full"),
    "21612": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier has no way from this sender to there"),
    "21614": CodeRuling(OutcomeKind.REJECTED, "the recipient is no mobile number"),
    "21617": CodeRuling(OutcomeKind.REJECTED, "the text is too long for the carrier"),
    "21659": CodeRuling(OutcomeKind.ELSEWHERE, "the sender is not ours at this carrier"),
    "21703": CodeRuling(OutcomeKind.ELSEWHERE, "the carrier has no sender for this message"),
    "21705": CodeRuling(OutcomeKind.HALTED, "the carrier does not know our messaging service"),
    "30001": CodeRuling(OutcomeKind.DEFERRED, "the carrier's queue of this sender is full"),
    "30002": CodeRuling(OutcomeKind.HALTED, "our account at the carrier is suspended"),
    "63038": CodeRuling(OutcomeKind.ELSEWHERE, "our day's messages at the carrier are used up"),
}
"""What Twilio's codes in an answer mean."""

CAUSES: Mapping[str, causes.Cause] = {
    "21610": causes.Cause.OPTED_OUT,
    "30003": causes.Cause.UNREACHABLE,
    "30004": causes.Cause.BARRED,
    "30005": causes.Cause.UNKNOWN_NUMBER,
    "30006": causes.Cause.NO_MOBILE,
    "30007": causes.Cause.CONTENT,
    "30008": causes.Cause.NETWORK,
    "30034": causes.Cause.SENDER,
}
"""What Twilio's codes in a status callback say of the phone or its network."""

_STATES = {
    "accepted": receipts.ReceiptState.ENROUTE,
    "scheduled": receipts.ReceiptState.ENROUTE,
    "queued": receipts.ReceiptState.ENROUTE,
    "sending": receipts.ReceiptState.ENROUTE,
    "sent": receipts.ReceiptState.ENROUTE,
    "delivered": receipts.ReceiptState.DELIVERED,
    "read": receipts.ReceiptState.DELIVERED,
    "undelivered": receipts.ReceiptState.UNDELIVERED,
    "failed": receipts.ReceiptState.REJECTED,
    "canceled": receipts.ReceiptState.REJECTED,
}
_EXPIRED = "30036"


class Settings(vendor.VendorSettings, frozen=True, kw_only=True):
    """An account at Twilio. `auth_token` signs Twilio's calls, and requests too unless an API key
    is given; with `messaging_service_sid` that service's rules hold for the sender."""

    account_sid: str
    auth_token: secret.Secret
    concatenation: Literal["8bit"]
    api_url: str = "https://api.twilio.com"
    api_key_sid: str = ""
    api_key_secret: secret.Secret | None = None
    messaging_service_sid: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("account_sid", "api_key_sid", "messaging_service_sid"):
            value = getattr(self, name)
            if (value or name == "account_sid") and not _SID.fullmatch(value):
                raise ValueError(f"{name}: expected two letters and 32 hexadecimal digits")
        if bool(self.api_key_sid) != (self.api_key_secret is not None):
            raise ValueError("api_key_sid and api_key_secret: expected both, or neither")


def review(settings: Settings) -> None:
    """Refuse a token that a stranger could guess. Raises ValueError."""
    vendor.check_secret("auth_token", settings.auth_token)


async def check(settings: Settings) -> tuple[findings.CheckFinding, ...]:
    """Ask for the balance, which sends nothing."""
    return await vendor.check(
        settings,
        f"{settings.api_url}/2010-04-01/Accounts/{settings.account_sid}/Balance.json",
        _login(settings),
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
    form = {
        "To": segment.recipient,
        "From": segment.source,
        "Body": segment.text,
        "SmartEncoded": "false",
        "ValidityPeriod": str(min(segment.valid_seconds, _VALID_SECONDS_MAX)),
    }
    if settings.messaging_service_sid:
        form["MessagingServiceSid"] = settings.messaging_service_sid
    if settings.callbacks_url:
        name = reports.name_of_whole(segment)
        form["StatusCallback"] = f"{settings.callbacks_url}/receipts?reference={name}"
    return vendor.post(
        f"{settings.api_url}/2010-04-01/Accounts/{settings.account_sid}/Messages.json",
        _login(settings),
        _FORM,
        urlencode(form).encode(),
    )


def _login(settings: Settings) -> str:
    if settings.api_key_secret is not None:
        return vendor.basic(settings.api_key_sid, settings.api_key_secret)
    return vendor.basic(settings.account_sid, settings.auth_token)


def _outcome(status: int, headers: Mapping[str, str], content: bytes | None) -> outcomes.Outcome:
    answer = answers.decode(content or b"")
    if status in (200, 201):
        sid = answers.word_at(answer, "sid", answers.ID_CHARS_MAX)
        billed = answers.count_at(answer, "num_segments", reports.PART_COUNT_MAX)
        accepted = outcomes.Outcome(OutcomeKind.ACCEPTED, sid, billed_count=billed)
        return accepted if sid else outcomes.LOST
    code = answers.word_at(answer, "code", answers.CODE_CHARS_MAX)
    return vendor.refused(status, headers, code, RULINGS)


def _proof(settings: Settings) -> calls.CallProof | None:
    """Twilio signs the address it calls, and each name and value of its form in order."""
    if not settings.callbacks_url:
        return None
    return calls.CallProof(
        auth="hmac",
        secret=settings.auth_token,
        signature=_SIGNATURE,
        public_url=settings.public_url,
        addresses=settings.addresses,
    )


def admit_callback(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[bytes, ...] | contract.CallbackRefusal:
    """The receipts in a status callback: one of each part of the message."""
    said = vendor.heard(request, _proof(settings))
    if isinstance(said, contract.CallbackRefusal):
        return said
    report = reports.SegmentReport(
        answers.word_at(said, "MessageSid", answers.ID_CHARS_MAX),
        answers.word_at(said, "MessageStatus", answers.CODE_CHARS_MAX),
        answers.word_at(said, "ErrorCode", answers.CODE_CHARS_MAX),
        answers.word_at(said, "To", answers.CODE_CHARS_MAX),
        request.query.get("reference", ""),
    )
    return reports.of_parts(report) or vendor.NO_RECEIPT


def admit_inbound(
    settings: Settings, request: contract.CallbackRequest
) -> tuple[inbound.InboundPart, ...] | contract.CallbackRefusal:
    """What a phone has sent. Twilio has joined its parts already."""
    said = vendor.heard(request, _proof(settings))
    if isinstance(said, contract.CallbackRefusal):
        return said
    part = web_reports.inbound_part(_INBOUND, said)
    return (part,) if part else vendor.NO_INBOUND


def read_receipt(settings: Settings, body: bytes) -> receipts.Receipt | None:
    """One stored receipt in our words; None for garbage and for words nobody knows."""
    del settings
    return reports.read(body, _state, CAUSES)


def _state(report: reports.SegmentReport) -> receipts.ReceiptState | None:
    if report.code == _EXPIRED:
        return receipts.ReceiptState.EXPIRED
    return _STATES.get(report.state.casefold())
