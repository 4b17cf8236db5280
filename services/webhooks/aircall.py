"""What happened, told in the form of Aircall's messaging API: to the URLs of lines in API mode, and
to account webhooks about all other lines. A token in each body proves that we tell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from services.webhooks.bodies import ToldEvent, event_id
from shared.access.seals import Seals
from shared.db import inbound, messages
from shared.db.connection import Connection
from shared.db.events import StoredEvent
from shared.db.inbound import StoredInbound
from shared.rules import event_types
from shared.rules.line_kinds import LineMode
from shared.rules.lines import Line
from shared.rules.snapshot import Configuration
from shared.shapes import aircall as shapes

_encode = msgspec.json.Encoder().encode


class LineEvent(NamedTuple):
    """An event with the line it happened on, and what is told of it."""

    event: StoredEvent
    line: Line
    data: dict[str, Any]
    hands_over: UUID | None = None
    """What a phone has sent, whose text is not to be kept once this is told."""

    def __repr__(self) -> str:
        return f"LineEvent({self.event.sequence})"


async def read(
    connection: Connection,
    seals: Seals,
    current: Configuration,
    account_id: int,
    events: Sequence[StoredEvent],
    mode: LineMode,
) -> list[LineEvent]:
    """Those of the account's events that tell something of messages of its lines in this mode, in
    their order; without what is gone by the retention."""
    telling = [event for event in events if shapes.event_of(event.type) is not None]
    ids = {
        family: list({each.subject_id for each in telling if each.family == family})
        for family in (event_types.MESSAGE, event_types.INBOUND)
    }
    sent, texts, received = {}, {}, {}
    if ids[event_types.MESSAGE]:
        sent = await messages.get_many(connection, account_id, ids[event_types.MESSAGE])
        texts = await messages.texts(connection, account_id, list(sent))
    if ids[event_types.INBOUND]:
        stored = await inbound.get_many(connection, account_id, ids[event_types.INBOUND])
        readable = await inbound.with_texts(connection, seals, stored.values())
        received = {each.inbound_id: each for each in readable}

    def found() -> Iterator[LineEvent]:
        for event in telling:
            message, arrival = sent.get(event.subject_id), received.get(event.subject_id)
            sender = message.sender if message else arrival.recipient if arrival else ""
            line = current.lines.of_sender(account_id, sender)
            if line is None or line.mode is not mode:
                continue
            if message is not None:
                text = texts.get(message.message_id)
                yield LineEvent(event, line, shapes.outbound(message, event.status, text, line))
            elif arrival is not None:
                yield LineEvent(event, line, shapes.inbound(arrival, line), _sealed(arrival))

    return [*found()]


def _sealed(arrival: StoredInbound) -> UUID | None:
    return None if arrival.body_stored else arrival.inbound_id


def callback(told: LineEvent, token: str) -> bytes:
    """The body that calls a line's owner back. Some receivers read `event`, others
    `event_name`."""
    is_inbound = told.event.family == event_types.INBOUND
    name = shapes.RECEIVED if is_inbound else "message.updated"
    return _encode(
        {
            "event": name,
            "event_name": name,
            "resource": "message",
            "timestamp": shapes.milliseconds(told.event.created_at),
            "token": token,
            "data": told.data,
        }
    )


async def told(
    connection: Connection,
    seals: Seals,
    current: Configuration,
    account_id: int,
    token: str,
    events: Sequence[StoredEvent],
) -> list[ToldEvent]:
    """These events for an account webhook; those about lines in API mode are none of its own."""
    read_events = await read(connection, seals, current, account_id, events, LineMode.APPLICATION)
    return [
        ToldEvent(
            each.event.sequence,
            event_id(account_id, each.event.sequence),
            _encode(
                {
                    "resource": "message",
                    "event": shapes.event_of(each.event.type),
                    "timestamp": int(each.event.created_at.timestamp()),
                    "token": token,
                    "data": {**each.data, "origin": "native"},
                }
            ),
            each.hands_over,
        )
        for each in read_events
    ]
