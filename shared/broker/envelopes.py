"""What travels between the services: ids and what the limiter needs, never a text.

Both shapes carry a version; during a roll-out old bytes must still decode, and a test keeps some.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

VERSION = 1

ENVELOPE_ITEM_COUNT_MAX = 200
"""Items in one envelope: large enough to make the broker's cost vanish, small enough to spread."""


class UnreadableEnvelope(ValueError):
    """Bytes that are not an envelope of a version this code knows."""


_Id = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_SegmentCount = Annotated[int, msgspec.Meta(ge=1, le=255)]


class WorkItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message with something to submit. `class_` is not here: it is the queue's."""

    message_id: UUID
    account_id: _Id
    line_id: _Id
    country: str
    segment_count: _SegmentCount
    expires_at_ms: int
    bypass_gate: bool = False


class WorkEnvelope(msgspec.Struct, frozen=True, array_like=True):
    """Messages for one carrier and class."""

    version: int
    items: list[WorkItem]


class RawReceipt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A carrier's receipt as its adapter took it in, without any message text. The id makes a
    repeated delivery harmless."""

    receipt_id: UUID
    carrier_id: int
    received_at_ms: int
    body: bytes


class ReceiptEnvelope(msgspec.Struct, frozen=True, array_like=True):
    """Receipts, of any carrier."""

    version: int
    items: list[RawReceipt]


_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode_work = msgspec.msgpack.Decoder(WorkEnvelope).decode
_decode_receipts = msgspec.msgpack.Decoder(ReceiptEnvelope).decode


def encode_work(items: list[WorkItem]) -> bytes:
    """One envelope; at most ENVELOPE_ITEM_COUNT_MAX items."""
    return _encode(WorkEnvelope(VERSION, items))


def decode_work(data: bytes) -> list[WorkItem]:
    """The items; raises UnreadableEnvelope."""
    try:
        return _decode_work(data).items
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableEnvelope(type(error).__name__) from None


def encode_receipts(items: list[RawReceipt]) -> bytes:
    """One envelope; at most ENVELOPE_ITEM_COUNT_MAX items."""
    return _encode(ReceiptEnvelope(VERSION, items))


def decode_receipts(data: bytes) -> list[RawReceipt]:
    """The items; raises UnreadableEnvelope."""
    try:
        return _decode_receipts(data).items
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableEnvelope(type(error).__name__) from None
