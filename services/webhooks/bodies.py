"""The body that tells of an event, with its message as it stands now."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from shared.db import messages
from shared.db.connection import Connection
from shared.db.events import StoredEvent
from shared.rules import subscriptions
from shared.shapes import message as shapes

_EVENTS = UUID("6f1c3b7e-52a0-4d0b-9a39-0f3c1b0f5a11")
"""The namespace of events' ids (RFC 9562 §5.5)."""


class _Data(shapes.MessageWithParts, frozen=True, kw_only=True):
    """The message, and the event's number in its account's log."""

    sequence: int


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    id: str
    created_at: shapes.Time
    data: _Data


class ToldEvent(msgspec.Struct, frozen=True):
    """An event as it is sent. The id is the same whenever and to whomever it is told."""

    sequence: int
    event_id: str
    body: bytes


def type_of(event: StoredEvent) -> str:
    """The event's type, as webhooks ask for it."""
    return f"{subscriptions.MESSAGE}.{event.status}"


def event_id(account_id: int, sequence: int) -> str:
    """What tells an event from all others, those of other accounts too."""
    return str(uuid.uuid5(_EVENTS, f"{account_id}:{sequence}"))


async def told(
    connection: Connection, account_id: int, events: Sequence[StoredEvent]
) -> list[ToldEvent]:
    """The events with their messages' newest state; without those whose messages the retention has
    taken away."""
    message_ids = list({event.message_id for event in events})
    found = await messages.get_many(connection, account_id, message_ids)
    parts = await messages.parts_of_many(connection, list(found))
    return [
        _told(account_id, event, found[event.message_id], parts)
        for event in events
        if event.message_id in found
    ]


def _told(
    account_id: int,
    event: StoredEvent,
    stored: messages.StoredMessage,
    parts: Mapping[UUID, Sequence[messages.Part]],
) -> ToldEvent:
    whole = shapes.shown_with_parts(stored, parts[stored.message_id])
    name = event_id(account_id, event.sequence)
    told_as = _Told(
        type=type_of(event),
        id=name,
        created_at=event.created_at,
        data=_Data(**msgspec.structs.asdict(whole), sequence=event.sequence),
    )
    return ToldEvent(event.sequence, name, msgspec.json.encode(told_as))
