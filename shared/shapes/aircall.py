"""A number, a message and what happened to it, as clients of Aircall's messaging API read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from shared.db.inbound import StoredInbound
from shared.db.messages import StoredMessage
from shared.rules import event_types, line_kinds
from shared.rules.lines import Line, Traits
from shared.sms import e164
from shared.sms.states import MessageStatus as M

SENT: Final = "message.sent"
RECEIVED: Final = "message.received"
STATUS_UPDATED: Final = "message.status_updated"
EVENTS: Final = (SENT, RECEIVED, STATUS_UPDATED)
"""What account webhooks are told of."""
GROUP_EVENTS: Final = tuple(name.replace("message.", "group_message.") for name in EVENTS)
"""What they may ask for as well; it never happens here."""

PENDING: Final = "pending"
STATUSES: Final[Mapping[str, str]] = {
    M.SCHEDULED: PENDING,
    M.QUEUED: PENDING,
    M.PARKED: PENDING,
    M.IN_DOUBT: PENDING,
    M.SUBMITTED: "sent",
    M.UNKNOWN: "sent",
    M.DELIVERED: "delivered",
    M.UNDELIVERED: "undelivered",
    M.EXPIRED: "undelivered",
    M.REJECTED: "failed",
    M.FAILED: "failed",
    M.CANCELED: "failed",
}
"""The vendor's words for ours; of its own after "pending" only "delivered" is documented."""


def is_number(line: Line | Traits) -> bool:
    """Whether the line is one of those that this API speaks of: no names and no short codes."""
    return line_kinds.is_number(line.kind)


class PhoneLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is a number. Nothing is known here about its calls: it is shown as open."""

    id: int
    direct_link: str
    name: str
    digits: str
    e164_digits: str
    created_at: str
    country: str
    time_zone: str
    open: bool = True
    availability_status: str = "open"
    is_ivr: bool = False
    live_recording_activated: bool = False
    priority: int | None = None
    messages: dict[str, str] = {}


def number(line: Line, root: str) -> PhoneLine:
    """The number, with links under the API's `root`."""
    return PhoneLine(
        id=line.line_id,
        direct_link=f"{root}/v1/numbers/{line.line_id}",
        name=line.name or line.sender,
        digits=e164.international(line.sender),
        e164_digits=line.sender,
        created_at=moment(line.created_at),
        country=line.country,
        time_zone=line.time_zone,
    )


def moment(at: datetime) -> str:
    """As in "2024-02-01T09:00:00.000Z"."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(at: datetime) -> int:
    """Unix time."""
    return int(at.timestamp() * 1000)


def raw_digits(phone: str) -> str:
    """The number without its plus."""
    return phone.removeprefix("+")


def event_of(kind: str) -> str | None:
    """What an account webhook is told about an event of this type, or None: nothing."""
    if kind == event_types.INBOUND_RECEIVED:
        return RECEIVED
    family, _, status = kind.partition(".")
    if family != event_types.MESSAGE or STATUSES.get(status, PENDING) == PENDING:
        return None
    return SENT if status == M.SUBMITTED else STATUS_UPDATED


def outbound(stored: StoredMessage, status: str, text: str | None, line: Line) -> dict[str, Any]:
    """A message that was sent from the line, where it stood when this `status` was its own; its
    `text` where it is kept."""
    return {
        "id": stored.message_id,
        "status": STATUSES.get(status, PENDING),
        "direction": "outbound",
        "raw_digits": raw_digits(stored.recipient),
        "external_number": stored.recipient,
        "body": text,
        "created_at": milliseconds(stored.created_at),
        "channel": None,
        "number": _brief(line),
    }


def inbound(stored: StoredInbound, line: Line) -> dict[str, Any]:
    """What a phone has sent to the line."""
    return {
        "id": stored.inbound_id,
        "status": "received",
        "direction": "inbound",
        "raw_digits": raw_digits(stored.sender),
        "external_number": stored.sender,
        "body": stored.body,
        "created_at": milliseconds(stored.received_at),
        "channel": None,
        "media_details": [],
        "number": _brief(line),
    }


def _brief(line: Line) -> dict[str, Any]:
    return {
        "id": line.line_id,
        "name": line.name or line.sender,
        "digits": e164.international(line.sender),
        "e164_digits": line.sender,
    }
