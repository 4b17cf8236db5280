"""What the load generator is told to send, and the whole requests that come of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import quote, urlencode

import msgspec

from tests.bench import workload

Face = Literal["native", "sendsms"]
"""Sluice's own API, or Kannel's."""

MARKS: Mapping[Face, bytes] = {
    "native": b'"status":"queued"',
    "sendsms": b"0: Accepted for delivery",
}
"""What an answer holds once for each message that was taken."""

_SEED = 6


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: messages `first` and on, over connections spread over the ports."""

    ports: list[int]
    tokens: list[str]
    """Bearers' tokens, of one account each, a request each in turn; for sendsms one user and
    password, as `name:word`."""
    first: int
    count: int
    batch_size: int
    """Messages a request; 0 sends single ones."""
    connections: int
    tally_path: str
    per_second: float = 0.0
    """Requests arrive by the clock, so many a second; 0: as fast as the answers allow."""
    line_count: int = 0
    """Lines of each account, used in turn; 0: its default line."""
    face: Face = "native"
    callback_port: int = 0
    """Where sendsms is to call with receipts."""


def requests(order: Order) -> list[bytes]:
    """Whole HTTP/1.1 requests for all messages of an order, in turn."""
    numbers = range(order.first, order.first + order.count)
    if order.face == "sendsms":
        return [_sendsms(order, index) for index in numbers]
    size = order.batch_size or 1
    starts = range(0, order.count, size)
    return [
        _request(order, place, numbers[start : start + size]) for place, start in enumerate(starts)
    ]


def _request(order: Order, place: int, numbers: range) -> bytes:
    round_number, payer = divmod(place, len(order.tokens))
    token = order.tokens[payer]
    bodies = [_body(order, index, round_number + turn) for turn, index in enumerate(numbers)]
    if not order.batch_size:
        return _post("/v1/messages", token, bodies[0])
    return _post("/v1/messages/batch", token, {"messages": bodies})


def _body(order: Order, index: int, turn: int) -> dict[str, str]:
    body = {"to": workload.recipient(index), "text": workload.text(index)}
    if order.line_count:
        body["from"] = workload.sender(turn % order.line_count)
    return body


def _post(path: str, token: str, body: object) -> bytes:
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _sendsms(order: Order, index: int) -> bytes:
    """A request that asks for a call with the receipt of this message: delivered (1) or not (2)."""
    name, _, word = order.tokens[0].partition(":")
    recipient = workload.recipient(index)
    query = urlencode(
        {
            "username": name,
            "password": word,
            "from": "Sluice",
            "to": recipient,
            "text": workload.text(index),
            "dlr-mask": "3",
            "dlr-url": f"http://127.0.0.1:{order.callback_port}/%d/{recipient[1:]}",
        },
        quote_via=quote,
    )
    return f"GET /cgi-bin/sendsms?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def arrivals(per_second: float) -> Iterator[float]:
    """Seconds from the start at which requests arrive: a Poisson process, the same each time."""
    chance = random.Random(_SEED)
    at = 0.0
    while True:
        at += chance.expovariate(per_second)
        yield at
