"""The simulated carrier spoken to as odd carriers want it, with receipts all the way."""

from __future__ import annotations

import pytest

from shared.carriers.adapters import smpp
from shared.sms import receipts
from tests.integration.carriers import segments
from tests.integration.simulator import running


@pytest.mark.parametrize(
    "values",
    [
        {"bind": "transmitter+receiver"},
        {"bind": "transmitter+receiver", "binds": 2, "window": 2},
        {"concatenation": "sar"},
        {"interface_version": "3.3", "validity": "none"},
        {"validity": "absolute", "ton": {"alphanumeric": 5}, "tlvs": [{"tag": 5120, "value": "1"}]},
    ],
)
async def test_each_part_is_taken_and_its_receipt_comes_back(values: dict[str, object]) -> None:
    sink = segments.Sink()
    parts = [each for _ in range(5) for each in segments.segments(text="x" * 200)]
    async with (
        running.simulated() as simulator,
        running.linked(simulator, sink, None, **values) as link,
    ):
        answers = [await running.outcome(link, part) for part in parts]
        bodies = [await sink.next() for _ in parts]
    read = [smpp.read_receipt(running.settings(1, **values), body) for body in bodies]
    delivered = {
        each.carrier_message_id
        for each in read
        if isinstance(each, receipts.Receipt) and each.state is receipts.ReceiptState.DELIVERED
    }
    assert delivered == {answer.carrier_message_id for answer in answers}
    assert len(delivered) == len(parts)
