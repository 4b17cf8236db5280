"""What the load generator sends: every message once, by the face that was asked for."""

from __future__ import annotations

import itertools
import json
from urllib.parse import parse_qs, urlsplit

import msgspec

from tests.bench import orders, workload

ORDER = orders.Order(
    ports=[8080],
    tokens=["name:word"],
    first=10,
    count=7,
    batch_size=0,
    connections=1,
    tally_path="",
    callback_port=99,
)


def _bodies(order: orders.Order) -> list[bytes]:
    return [request.partition(b"\r\n\r\n")[2] for request in orders.requests(order)]


def test_batches_hold_every_message_once_when_the_last_is_short() -> None:
    order = msgspec.structs.replace(ORDER, batch_size=3)
    batches = [json.loads(body)["messages"] for body in _bodies(order)]
    assert [len(batch) for batch in batches] == [3, 3, 1]
    sent = [message["to"] for batch in batches for message in batch]
    assert sent == [workload.recipient(index) for index in range(10, 17)]


def test_accounts_and_their_lines_take_turns() -> None:
    order = msgspec.structs.replace(ORDER, tokens=["one", "two"], line_count=2)
    bearers = [request.partition(b"Bearer ")[2][:3] for request in orders.requests(order)]
    assert bearers == [b"one", b"two", b"one", b"two", b"one", b"two", b"one"]
    senders = [json.loads(body)["from"] for body in _bodies(order)]
    assert senders == [workload.sender(turn) for turn in (0, 0, 1, 1, 0, 0, 1)]


def test_a_rivals_request_asks_for_the_receipt_of_its_own_message() -> None:
    order = msgspec.structs.replace(ORDER, face="sendsms")
    targets = [urlsplit(request.split(b" ")[1].decode()) for request in orders.requests(order)]
    for index, target in enumerate(targets, 10):
        asked = {name: values[0] for name, values in parse_qs(target.query).items()}
        recipient = workload.recipient(index)
        assert (asked["username"], asked["password"]) == ("name", "word")
        assert (asked["to"], asked["text"]) == (recipient, workload.text(index))
        assert asked["dlr-url"] == f"http://127.0.0.1:99/%d/{recipient[1:]}"


def test_arrivals_come_at_their_rate_and_not_in_step() -> None:
    moments = list(itertools.islice(orders.arrivals(200.0), 20_000))
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert moments == sorted(moments)
    assert abs(len(moments) / moments[-1] - 200.0) < 5.0
    # Given that a Poisson process has a gap below its mean in 63 % of cases
    assert abs(sum(gap < 1 / 200.0 for gap in gaps) / len(gaps) - 0.632) < 0.02
