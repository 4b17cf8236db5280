"""What a producer reads: the shapes of answers, and how our rows fill them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from shared.db import events, messages
from shared.ledger import money
from shared.rules.compose import Draft
from shared.sms.classes import CLASSES
from shared.web.problems import Problem

CONTENT_TYPE = "application/json"

_Amount = Annotated[str, Meta(description="A decimal string.", examples=["0.0453"])]
_Status = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/MessageStatus"})]
_Time = Annotated[datetime, Meta(tz=True)]
_Segments = Annotated[int, Meta(description="How many SMS the message takes on the air.", ge=1)]


class Money(msgspec.Struct, frozen=True):
    """An amount, exactly."""

    amount: _Amount
    currency: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that is stored and paid for."""

    id: UUID
    status: Literal["queued", "scheduled"]
    segments: _Segments
    encoding: str
    price: _Amount
    currency: str
    balance: Money | UnsetType = UNSET
    """What remains; in a batch it stands once, beside the results."""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What would have become of a message; nothing is stored or charged."""

    status: Literal["dry_run"] = "dry_run"
    segments: _Segments
    encoding: str
    price: _Amount
    currency: str


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a message of a batch was refused."""

    code: str
    detail: str
    field: str | UnsetType = UNSET


class Failed(msgspec.Struct, frozen=True):
    """A message of a batch that was refused; nothing of it is stored or charged."""

    error: Fault


Result = Annotated[
    object,
    Meta(
        extra_json_schema={
            "oneOf": [
                {"$ref": f"#/components/schemas/{kind.__name__}"}
                for kind in (Accepted, DryRun, Failed)
            ]
        }
    ),
]


class BatchAccepted(msgspec.Struct, frozen=True):
    """What became of each message, in the order they were given."""

    results: list[Result]
    balance: Money


class Preview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a text would take, and cost if its recipient was given."""

    encoding: str
    segments: _Segments
    price: _Amount | UnsetType = UNSET
    currency: str | UnsetType = UNSET


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message and where it stands."""

    message_id: UUID = msgspec.field(name="id")
    status: _Status
    reason: str
    sender: str = msgspec.field(name="from")
    recipient: str = msgspec.field(name="to")
    country: str
    encoding: str
    segment_count: _Segments = msgspec.field(name="segments")
    class_name: str = msgspec.field(name="class")
    delivery: str
    price: _Amount
    currency: str
    reference: str | None
    created_at: _Time
    send_at: _Time | None
    expires_at: _Time
    updated_at: _Time


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of a message and where it stands."""

    part: int
    state: str
    code: str
    submitted_at: _Time | None
    accepted_at: _Time | None
    finished_at: _Time | None
    refunded: bool


class MessageWithParts(Message, frozen=True, kw_only=True):
    """A message with each of its segments."""

    parts: list[Part]


class MessagePage(msgspec.Struct, frozen=True):
    """Messages, newest first; `cursor` leads to the next page and is null on the last. With filters
    a page may hold fewer messages than asked for, even none, and still lead on: what does not fit
    is gone through so many at a time."""

    messages: list[Message]
    cursor: str | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A message's status became `status`. Numbers rise by one within an account."""

    sequence: int
    message_id: UUID
    status: _Status
    reason: str
    reference: str | None
    created_at: _Time


class EventPage(msgspec.Struct, frozen=True):
    """Events, oldest first. `cursor` is where to go on; it stays the same when nothing is new."""

    events: list[Event]
    cursor: str


encode = msgspec.json.Encoder().encode


def response(answer: msgspec.Struct | bytes, status: int = 200) -> web.Response:
    """An answer that is not a problem."""
    body = answer if isinstance(answer, bytes) else encode(answer)
    return web.Response(body=body, status=status, content_type=CONTENT_TYPE)


def balance(amount_micro: int, currency: str) -> Money:
    """What a wallet holds."""
    return Money(money.format_amount(amount_micro), currency)


def accepted(draft: Draft, remaining: Money | UnsetType = UNSET) -> Accepted:
    """A draft that was stored."""
    return Accepted(
        id=draft.message_id,
        status="queued" if draft.send_at is None else "scheduled",
        segments=draft.segment_count,
        encoding=draft.encoding,
        price=money.format_amount(draft.price_micro),
        currency=draft.currency,
        balance=remaining,
    )


def dry_run(draft: Draft) -> DryRun:
    """A draft that is not going to be stored."""
    return DryRun(
        segments=draft.segment_count,
        encoding=draft.encoding,
        price=money.format_amount(draft.price_micro),
        currency=draft.currency,
    )


def preview(draft: Draft) -> Preview:
    """What a draft takes and costs."""
    return Preview(
        encoding=draft.encoding,
        segments=draft.segment_count,
        price=money.format_amount(draft.price_micro),
        currency=draft.currency,
    )


def failed(problem: Problem) -> Failed:
    """A message of a batch that was refused."""
    return Failed(Fault(code=problem.code, detail=problem.detail, field=problem.field))


_AS_STORED = [
    field.name
    for field in fields(messages.StoredMessage)
    if field.name in Message.__struct_fields__
]


def message(stored: messages.StoredMessage) -> Message:
    """A message as its producer reads it."""
    return Message(**_members(stored))


def message_with_parts(
    stored: messages.StoredMessage, parts: Sequence[messages.Part]
) -> MessageWithParts:
    """A message as its producer reads it, with its segments."""
    shown = [msgspec.convert(part, Part, from_attributes=True) for part in parts]
    return MessageWithParts(**_members(stored), parts=shown)


def _members(stored: messages.StoredMessage) -> dict[str, Any]:
    members = {name: getattr(stored, name) for name in _AS_STORED}
    members["class_name"] = CLASSES[stored.message_class]
    members["delivery"] = "at_least_once" if stored.at_least_once else "at_most_once"
    members["price"] = money.format_amount(stored.price_micro)
    return members


def event_page(stored: Sequence[events.StoredEvent], after: int) -> EventPage:
    """The page that follows `after`."""
    page = [msgspec.convert(event, Event, from_attributes=True) for event in stored]
    return EventPage(page, str(stored[-1].sequence if stored else after))
