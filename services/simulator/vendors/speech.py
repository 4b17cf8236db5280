"""What a vendor's way of speaking is made of, and what its words are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec
from aiohttp import web

from services.simulator import moods, outbox
from shared.sms import inbound, segmentation

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_NUMBER_DIGITS_MIN = 9


class NotAnOrder(ValueError):
    """A request that orders nothing; the vendor refuses it."""


class OrderPiece(NamedTuple):
    """What one part carries, and its header where there are several."""

    data_coding: int
    udh: bytes
    payload: bytes


class VendorOrder(NamedTuple):
    """A message to send, and where and under which name its receipts go; addresses as
    `carrier.Submit` has them."""

    source: str
    recipient: str
    pieces: Sequence[OrderPiece]
    report_url: str
    name: str


class ReceiptTicket(msgspec.Struct, frozen=True):
    """What a receipt needs besides its end. It travels as the receipt's `reference`."""

    url: str
    message_id: str
    name: str


class SpokenWords(NamedTuple):
    """An answer, or a call."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = MappingProxyType({})


class VendorSpeech(Protocol):
    """A vendor's API: where it listens, and how it reads and writes. `key` is the one secret of
    the account; calls are signed with it where the vendor signs."""

    system_id: str
    path: str
    parts_have_one_id: bool

    def knows(self, request: web.Request, body: bytes, key: str) -> bool:
        """Whether the request bears the account's secret."""

    def order(self, body: bytes) -> VendorOrder:
        """What is to be sent. Raises NotAnOrder."""

    def message_id(self, number: str) -> str:
        """The vendor's id of what the simulated carrier numbers so, in hexadecimal."""

    def accepted(self, order: VendorOrder, message_ids: Sequence[str]) -> SpokenWords:
        """All pieces were taken, under these ids."""

    def refused(self, answer: moods.Answer) -> SpokenWords:
        """It was refused, or throttled."""

    def stranger(self) -> SpokenWords:
        """The secret is wrong."""

    def report(self, receipt: outbox.Receipt, ticket: ReceiptTicket, key: str) -> SpokenWords:
        """The call by which a receipt is reported."""

    def inbound(self, message_id: str, item: outbox.Inbound, url: str, key: str) -> SpokenWords:
        """The call by which a phone's text is handed over."""


def json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> SpokenWords:
    """An answer or a call in JSON."""
    return SpokenWords(msgspec.json.encode(value), status, JSON, headers or {})


def international(number: str) -> str:
    """A number as E.164 where the vendor leaves the plus out; names stay as they are."""
    digits = number.isascii() and number.isdecimal() and len(number) >= _NUMBER_DIGITS_MIN
    return f"+{number}" if digits else number


class TextCutter:
    """Cuts texts as vendors do that take them whole."""

    def __init__(self) -> None:
        self._reference = 0

    def cut(self, text: str) -> list[OrderPiece]:
        """The parts of a text. Raises NotAnOrder for none, and for one that is too long."""
        self._reference = self._reference + 1 & 0xFF
        try:
            parts = segmentation.split(text, self._reference, 8)
        except (segmentation.EmptyText, segmentation.TextTooLong):
            raise NotAnOrder from None
        return [
            OrderPiece(segmentation.data_coding(each.encoding), each.udh, each.payload)
            for each in parts
        ]


def text_of(item: outbox.Inbound) -> str:
    """What a phone has written."""
    alphabet, _, payload = inbound.read(item.payload, item.data_coding, has_udh=False)
    return inbound.decode(payload, alphabet)
