"""A message and where it stands, as its producer reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.db import messages
from shared.ledger import money
from shared.shapes import verdict
from shared.shapes.verdict import MessageVerdict
from shared.sms.classes import CLASSES

Amount = Annotated[str, Meta(description="A decimal string.", examples=["0.0453"])]
Status = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/MessageStatus"})]
Time = Annotated[datetime, Meta(tz=True)]
Segments = Annotated[int, Meta(description="How many SMS the message takes on the air.", ge=1)]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message and where it stands."""

    message_id: UUID = msgspec.field(name="id")
    status: Status
    reason: str
    sender: str = msgspec.field(name="from")
    recipient: str = msgspec.field(name="to")
    country: str
    encoding: str
    segment_count: Segments = msgspec.field(name="segments")
    class_name: str = msgspec.field(name="class")
    delivery: str
    price: Amount
    currency: str
    reference: str | None
    body_stored: Annotated[
        bool, Meta(description="Whether its text is kept; if not, only until it is submitted.")
    ]
    created_at: Time
    send_at: Time | None
    expires_at: Time
    updated_at: Time


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of a message and where it stands."""

    part: int
    state: str
    code: str
    submitted_at: Time | None
    accepted_at: Time | None
    finished_at: Time | None
    refunded: bool


class MessageWithParts(Message, frozen=True, kw_only=True):
    """A message with each of its segments. `verdict` is null for messages from before there were
    any."""

    parts: list[Part]
    verdict: MessageVerdict | None


_AS_STORED = [
    field.name
    for field in fields(messages.StoredMessage)
    if field.name in Message.__struct_fields__
]


def shown(stored: messages.StoredMessage) -> Message:
    """A message as its producer reads it."""
    return Message(**_members(stored))


def shown_with_parts(
    stored: messages.StoredMessage, parts: Sequence[messages.Part]
) -> MessageWithParts:
    """A message as its producer reads it, with its segments."""
    each = [msgspec.convert(part, Part, from_attributes=True) for part in parts]
    return MessageWithParts(**_members(stored), parts=each, verdict=verdict.shown(stored.verdict))


def _members(stored: messages.StoredMessage) -> dict[str, Any]:
    members = {name: getattr(stored, name) for name in _AS_STORED}
    members["class_name"] = CLASSES[stored.message_class]
    members["delivery"] = "at_least_once" if stored.at_least_once else "at_most_once"
    members["price"] = money.format_amount(stored.price_micro)
    return members
