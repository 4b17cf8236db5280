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
    token: str
    """The bearer's token, or sendsms' user and password as `name:word`."""
    first: int
    count: int
    batch_size: int
    """Messages a request; 0 sends single ones."""
    connections: int
    tally_path: str
    per_second: float = 0.0
    """Requests arrive by the clock, so many a second; 0: as fast as the answers allow."""
    face: Face = "native"
    callback_port: int = 0
    """Where sendsms is to call with receipts."""


def requests(order: Order) -> list[bytes]:
    """Whole HTTP/1.1 requests for all messages of an order, in turn."""
    numbers = range(order.first, order.first + order.count)
    if order.face == "sendsms":
        return [_sendsms(order, index) for index in numbers]
    bodies = [{"to": workload.recipient(index), "text": workload.text(index)} for index in numbers]
    if not order.batch_size:
        return [_post("/v1/messages", order.token, body) for body in bodies]
    starts = range(0, order.count, order.batch_size)
    batches = [bodies[start : start + order.batch_size] for start in starts]
    return [_post("/v1/messages/batch", order.token, {"messages": batch}) for batch in batches]


def _post(path: str, token: str, body: object) -> bytes:
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _sendsms(order: Order, index: int) -> bytes:
    """A request that asks for a call with the receipt of this message: delivered (1) or not (2)."""
    name, _, word = order.token.partition(":")
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
