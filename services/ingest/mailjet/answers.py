"""What clients read: bodies in JSON."""

from __future__ import annotations

import msgspec
from aiohttp import web

from shared.shapes import mailjet as shapes
from shared.shapes.mailjet import ListedMessage, MessageCost, Seconds, StatusShown

PREFIX = "/v4"

encode = msgspec.json.Encoder().encode


class SentSms(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was taken, with what was asked for."""

    sender: str = msgspec.field(name="From")
    recipient: str = msgspec.field(name="To")
    text: str = msgspec.field(name="Text")
    message_id: str = msgspec.field(name="MessageId")
    message_id_spelt_otherwise: str = msgspec.field(name="MessageID")
    id: str = msgspec.field(name="ID")
    segment_count: int = msgspec.field(name="SmsCount")
    segment_count_spelt_otherwise: int = msgspec.field(name="SMSCount")
    created_at: Seconds = msgspec.field(name="CreationTS")
    sent_at: Seconds = msgspec.field(name="SentTS")
    cost: MessageCost = msgspec.field(name="Cost")
    status: StatusShown = msgspec.field(name="Status", default=shapes.PENDING)

    def __repr__(self) -> str:
        """Without the numbers and the text."""
        return f"SentSms({self.message_id})"


class SmsPage(msgspec.Struct, frozen=True, rename="pascal"):
    """A part of the list."""

    data: list[ListedMessage]


class SmsCount(msgspec.Struct, frozen=True, rename="pascal"):
    """How many messages there are."""

    count: int


def response(answer: object, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=encode(answer), status=status, content_type="application/json")
