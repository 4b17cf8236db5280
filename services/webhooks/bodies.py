"""The body that tells of an event, with what it is about as that stands now."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

import msgspec

from shared.access.seals import Seals
from shared.db import deposits, inbound, messages, opt_outs, webhooks
from shared.db.connection import Connection
from shared.db.events import StoredEvent
from shared.rules import event_types
from shared.shapes import deposit as deposit_shapes
from shared.shapes import inbound as inbound_shapes
from shared.shapes import message as shapes
from shared.shapes import opt_out
from shared.shapes import webhook as webhook_shapes

_EVENTS = UUID("6f1c3b7e-52a0-4d0b-9a39-0f3c1b0f5a11")
"""The namespace of events' ids (RFC 9562 §5.5)."""


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """`data` is what it happened to, and the event's number in its account's log."""

    type: str
    id: str
    created_at: shapes.Time
    data: dict[str, object]


class ToldEvent(msgspec.Struct, frozen=True):
    """An event as it is sent. The id is the same whenever and to whomever it is told.
    `hands_over`: what a phone has sent, whose text is not to be kept once this is taken."""

    sequence: int
    event_id: str
    body: bytes
    hands_over: UUID | None


def event_id(account_id: int, sequence: int) -> str:
    """What tells an event from all others, those of other accounts too."""
    return str(uuid.uuid5(_EVENTS, f"{account_id}:{sequence}"))


async def told(
    connection: Connection,
    seals: Seals,
    account_id: int,
    events: Sequence[StoredEvent],
    hidden: AbstractSet[str] = frozenset(),
) -> list[ToldEvent]:
    """The events with the newest state of what they are about; without those about something that
    is gone: by the retention, or, of a webhook, by its owner; and without those about messages from
    or to `hidden` senders. Of a family that is not known here, as a later release may have written
    it, only the id is told."""
    shown: dict[str, Mapping[UUID, msgspec.Struct]] = {}
    for family, read in _READERS.items():
        if subject_ids := list({each.subject_id for each in events if each.family == family}):
            shown[family] = await read(connection, seals, account_id, subject_ids)
    found: list[ToldEvent] = []
    for event in events:
        if event.family not in _READERS:
            found.append(_told(account_id, event, {"id": event.subject_id}))
        elif (subject := shown[event.family].get(event.subject_id)) is not None and not _is_about(
            subject, hidden
        ):
            found.append(_told(account_id, event, msgspec.to_builtins(subject)))
    return found


def _is_about(subject: msgspec.Struct, senders: AbstractSet[str]) -> bool:
    if isinstance(subject, shapes.Message):
        return subject.sender in senders
    return isinstance(subject, inbound_shapes.InboundMessage) and subject.recipient in senders


def _told(account_id: int, event: StoredEvent, subject: dict[str, object]) -> ToldEvent:
    name = event_id(account_id, event.sequence)
    told_as = _Told(
        type=event.type,
        id=name,
        created_at=event.created_at,
        data=subject | {"sequence": event.sequence},
    )
    is_sealed = event.family == event_types.INBOUND and not subject.get("body_stored", True)
    return ToldEvent(
        event.sequence,
        name,
        msgspec.json.encode(told_as),
        event.subject_id if is_sealed else None,
    )


async def _messages(
    connection: Connection, _seals: Seals, account_id: int, message_ids: Sequence[UUID]
) -> Mapping[UUID, msgspec.Struct]:
    found = await messages.get_many(connection, account_id, message_ids)
    parts = await messages.parts_of_many(connection, list(found))
    return {
        message_id: shapes.shown_with_parts(stored, parts[message_id])
        for message_id, stored in found.items()
    }


async def _inbound(
    connection: Connection, seals: Seals, account_id: int, inbound_ids: Sequence[UUID]
) -> Mapping[UUID, msgspec.Struct]:
    found = await inbound.get_many(connection, account_id, inbound_ids)
    readable = await inbound.with_texts(connection, seals, found.values())
    return {stored.inbound_id: inbound_shapes.shown(stored) for stored in readable}


async def _webhooks(
    connection: Connection, _seals: Seals, account_id: int, _webhook_ids: Sequence[UUID]
) -> Mapping[UUID, msgspec.Struct]:
    """All of the account, for they are few."""
    found = await webhooks.listed(connection, account_id)
    return {stored.webhook_id: webhook_shapes.state(stored) for stored in found}


async def _opt_outs(
    connection: Connection, _seals: Seals, account_id: int, opt_out_ids: Sequence[UUID]
) -> Mapping[UUID, msgspec.Struct]:
    found = await opt_outs.get_many(connection, account_id, opt_out_ids)
    return {opt_out_id: opt_out.shown(stored) for opt_out_id, stored in found.items()}


async def _deposits(
    connection: Connection, _seals: Seals, account_id: int, deposit_ids: Sequence[UUID]
) -> Mapping[UUID, msgspec.Struct]:
    """Without the provider's page: who is told need not be who pays."""
    found = await deposits.get_many(connection, account_id, list(deposit_ids))
    return {
        deposit_id: msgspec.structs.replace(deposit_shapes.shown(stored), checkout_url=None)
        for deposit_id, stored in found.items()
    }


_Reader = Callable[
    [Connection, Seals, int, Sequence[UUID]], Awaitable[Mapping[UUID, msgspec.Struct]]
]
_READERS: Mapping[str, _Reader] = {
    event_types.MESSAGE: _messages,
    event_types.INBOUND: _inbound,
    event_types.OPT_OUT: _opt_outs,
    event_types.WEBHOOK: _webhooks,
    event_types.DEPOSIT: _deposits,
}
"""For each family: how many of an account's things are read at once, each as the API shows it."""
