"""A message and where it stands, as clients of Mailjet's SMS API read them.

Members whose spelling differs between the vendor's guide, its clients and its answers are there in
each of them, with the same value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.db import message_windows, opt_outs
from shared.db.exports import StoredExport
from shared.db.message_windows import WantedStandings, WindowRow
from shared.ledger import money
from shared.sms import causes
from shared.sms.states import MessageStatus as M


class StatusCode(IntEnum):
    """The vendor's numbers; the names are its words, also where it misspells them."""

    UNKNOWN = 0
    SENT_PENDING = 1
    SENT = 2
    DELIVERED = 3
    REJECTED_OPERATOR = 4
    REJECTED_UNDELIVERED = 5
    REJECTED_EXPIRED = 6
    REJECTED_INCORRECT_DELIVERY = 7
    REJECTED_NETWORK = 8
    REJECTED_DND = 9
    REJECTED_FROM_BLACKLIST = 10
    REJECTED_TO_BLACKLIST = 11
    REJECTED_ANTI_FLOOD = 12
    REJECTED_SYSTEM_ERROR = 13
    INVALID_PHONE_NUMBER = 14
    REJECTED_INSUFFICENT_FUNDS = 15
    REJECTED_DAILY_LIMIT_REACHED = 16


_DESCRIPTIONS: Final[Mapping[StatusCode, str]] = {
    StatusCode.UNKNOWN: "Nobody has said what became of the message",
    StatusCode.SENT_PENDING: "Message is being sent",
    StatusCode.SENT: "Message handed to the operator",
    StatusCode.DELIVERED: "Message delivered",
    StatusCode.REJECTED_OPERATOR: "Message refused by the operator",
    StatusCode.REJECTED_UNDELIVERED: "Message could not be delivered",
    StatusCode.REJECTED_EXPIRED: "Message could not be delivered in time",
    StatusCode.REJECTED_INCORRECT_DELIVERY: "Delivered, but the phone could not take it",
    StatusCode.REJECTED_NETWORK: "Network error",
    StatusCode.REJECTED_DND: "Recipient does not want to be disturbed",
    StatusCode.REJECTED_FROM_BLACKLIST: "Sender refused by the operator",
    StatusCode.REJECTED_TO_BLACKLIST: "Recipient has opted out",
    StatusCode.REJECTED_ANTI_FLOOD: "Too many messages at once",
    StatusCode.REJECTED_SYSTEM_ERROR: "Message was not sent",
    StatusCode.INVALID_PHONE_NUMBER: "Recipient refused by the operator as no phone number",
    StatusCode.REJECTED_INSUFFICENT_FUNDS: "The recipient's contract does not pay for it",
    StatusCode.REJECTED_DAILY_LIMIT_REACHED: "No more messages reach the recipient today",
}

CODES: Final[Mapping[M, StatusCode]] = {
    M.SCHEDULED: StatusCode.SENT_PENDING,
    M.QUEUED: StatusCode.SENT_PENDING,
    M.PARKED: StatusCode.SENT_PENDING,
    M.IN_DOUBT: StatusCode.SENT_PENDING,
    M.SUBMITTED: StatusCode.SENT,
    M.UNKNOWN: StatusCode.UNKNOWN,
    M.DELIVERED: StatusCode.DELIVERED,
    M.REJECTED: StatusCode.REJECTED_OPERATOR,
    M.UNDELIVERED: StatusCode.REJECTED_UNDELIVERED,
    M.EXPIRED: StatusCode.REJECTED_EXPIRED,
    M.FAILED: StatusCode.REJECTED_SYSTEM_ERROR,
    M.CANCELED: StatusCode.REJECTED_SYSTEM_ERROR,
}
"""What a status is, unless its reason says more."""

_CODES_BY_CAUSE: Final[Mapping[causes.Cause, StatusCode]] = {
    causes.Cause.UNFIT_PHONE: StatusCode.REJECTED_INCORRECT_DELIVERY,
    causes.Cause.NETWORK: StatusCode.REJECTED_NETWORK,
    causes.Cause.DO_NOT_DISTURB: StatusCode.REJECTED_DND,
    causes.Cause.SENDER: StatusCode.REJECTED_FROM_BLACKLIST,
    causes.Cause.OPTED_OUT: StatusCode.REJECTED_TO_BLACKLIST,
    causes.Cause.FLOOD: StatusCode.REJECTED_ANTI_FLOOD,
    causes.Cause.UNKNOWN_NUMBER: StatusCode.INVALID_PHONE_NUMBER,
    causes.Cause.NO_MOBILE: StatusCode.INVALID_PHONE_NUMBER,
    causes.Cause.NO_CREDIT: StatusCode.REJECTED_INSUFFICENT_FUNDS,
    causes.Cause.DAILY_LIMIT: StatusCode.REJECTED_DAILY_LIMIT_REACHED,
}
"""What a network says in its receipt; the other causes are what their status is."""

CODES_BY_REASON: Final[Mapping[tuple[M, str], StatusCode]] = {
    (M.CANCELED, opt_outs.REASON): StatusCode.REJECTED_TO_BLACKLIST,
    (M.REJECTED, "the carrier refused the sender"): StatusCode.REJECTED_FROM_BLACKLIST,
    (M.REJECTED, "the carrier refused the recipient"): StatusCode.INVALID_PHONE_NUMBER,
    (M.REJECTED, "the message cannot be put into SMPP"): StatusCode.REJECTED_SYSTEM_ERROR,
} | {
    (status, causes.SENTENCES[cause]): code
    for cause, code in _CODES_BY_CAUSE.items()
    for status in (M.REJECTED, M.UNDELIVERED)
}
"""Reasons as adapters write them (law 7): a carrier's own codes are translated there and nowhere
else. 15 and 16 are of the phone's contract and network: what its producer has not paid for, or is
above the day's limit, is refused and not stored."""


class StatusShown(msgspec.Struct, frozen=True, rename="pascal"):
    """Where a message stands."""

    code: int
    name: str
    description: str


class MessageCost(msgspec.Struct, frozen=True, rename="pascal"):
    """What a message costs: units of the currency, as a number with six places at most. No float
    ever holds it."""

    value: msgspec.Raw
    currency: str


Seconds = Annotated[int, Meta(description="Unix time.")]


class ListedMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of the list. `SentTS` is left out until the operator has taken the message."""

    sender: str = msgspec.field(name="From")
    recipient: str = msgspec.field(name="To")
    status: StatusShown = msgspec.field(name="Status")
    message_id: str = msgspec.field(name="MessageId")
    message_id_spelt_otherwise: str = msgspec.field(name="MessageID")
    id: str = msgspec.field(name="ID")
    created_at: Seconds = msgspec.field(name="CreationTS")
    sent_at: Seconds | UnsetType = msgspec.field(name="SentTS", default=UNSET)
    segment_count: int = msgspec.field(name="SMSCount")
    segment_count_spelt_otherwise: int = msgspec.field(name="SmsCount")
    cost: MessageCost = msgspec.field(name="Cost")


class OrderedExport(msgspec.Struct, frozen=True, kw_only=True):
    """An export and how far it has come. What is not known before the file is there is null."""

    id: int = msgspec.field(name="ID")
    created_at: Seconds | None = msgspec.field(name="CreationTS")
    expires_at: Seconds | None = msgspec.field(name="ExpirationTS")
    url: str | None = msgspec.field(name="URL")
    status: StatusShown = msgspec.field(name="Status")
    from_second: Seconds = msgspec.field(name="FromTs")
    to_second: Seconds = msgspec.field(name="ToTs")


_EXPORT_STATES: Final[Mapping[str, StatusShown]] = {
    "pending": StatusShown(1, "PENDING", "The request is accepted."),
    "in_progress": StatusShown(2, "IN_PROGRESS", "The file is being written."),
    "completed": StatusShown(3, "COMPLETED", "The file is ready."),
    "error": StatusShown(4, "ERROR", "The file could not be written."),
}

_SHOWN: Final[Mapping[StatusCode, StatusShown]] = {
    code: StatusShown(int(code), code.name.lower(), _DESCRIPTIONS[code]) for code in StatusCode
}
PENDING: Final = _SHOWN[StatusCode.SENT_PENDING]
"""Of a message that was just taken."""


def code_of(status: str, reason: str) -> StatusCode:
    """The vendor's number for a message of this status, which it has for this reason."""
    known = M(status)
    return CODES_BY_REASON.get((known, reason), CODES[known])


def standings(codes: Iterable[int]) -> WantedStandings:
    """The messages that are shown under these numbers."""
    wanted = set(codes)
    return WantedStandings(
        statuses=[status.value for status, code in CODES.items() if code in wanted],
        except_for=[pair for pair, code in CODES_BY_REASON.items() if code not in wanted],
        and_for=[pair for pair, code in CODES_BY_REASON.items() if code in wanted],
    )


def cost(price_micro: int, currency: str) -> MessageCost:
    """An amount, exactly."""
    return MessageCost(msgspec.Raw(money.format_amount(price_micro).encode()), currency)


def listed(row: WindowRow) -> ListedMessage:
    """A message as a row of the list."""
    stored, message_id = row.message, str(row.message.message_id)
    return ListedMessage(
        sender=stored.sender,
        recipient=stored.recipient,
        status=_SHOWN[code_of(stored.status, stored.reason)],
        message_id=message_id,
        message_id_spelt_otherwise=message_id,
        id=message_id,
        created_at=message_windows.second_of(stored.message_id),
        sent_at=UNSET if row.accepted_at is None else int(row.accepted_at.timestamp()),
        segment_count=stored.segment_count,
        segment_count_spelt_otherwise=stored.segment_count,
        cost=cost(stored.price_micro, stored.currency),
    )


def export(stored: StoredExport, url: str | None) -> OrderedExport:
    """An export, and where its file is, None: not there yet. Its bounds are both included."""
    finished_at = stored.finished_at if url is not None else None
    return OrderedExport(
        id=stored.export_id,
        created_at=None if finished_at is None else int(finished_at.timestamp()),
        expires_at=None if url is None else int(stored.expires_at.timestamp()),
        url=url,
        status=_EXPORT_STATES[stored.state],
        from_second=int(stored.from_at.timestamp()),
        to_second=int(stored.to_at.timestamp()) - 1,
    )
