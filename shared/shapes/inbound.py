"""What a phone has sent, as the account whose line it came to reads it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.db import inbound
from shared.shapes.message import Time


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a phone has sent to a line of the account.

    `text` is null where a part of it is no text; then `data` has its octets in base64, and `header`
    those of its user data header. Where the body is not stored, both are null once a webhook has
    taken them, or a day has passed. `missing` are the numbers of the `parts` that did not come in
    time. `answers` is the account's last message to the phone."""

    inbound_id: UUID = msgspec.field(name="id")
    sender: str = msgspec.field(name="from")
    recipient: str = msgspec.field(name="to")
    body: str | None = msgspec.field(name="text")
    data: bytes | None
    body_stored: bool
    udh: bytes | None = msgspec.field(name="header")
    encoding: str
    part_count: Annotated[int, Meta(ge=1)] = msgspec.field(name="parts")
    missing: list[int]
    answer_to: UUID | None = msgspec.field(name="answers")
    received_at: Time


def shown(stored: inbound.StoredInbound) -> InboundMessage:
    """A message as its account reads it."""
    return InboundMessage(
        **{name: getattr(stored, name) for name in InboundMessage.__struct_fields__}
    )
