"""What travels between the services stays readable for the version before, and carries no text."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from shared.broker import envelopes, topology

WORK_V1 = bytes.fromhex(
    "92019197c410019000000000700080000000000000010102a2465203cf000001977420dc00c3"
)
RECEIPTS_V1 = bytes.fromhex(
    "92019194c4100190000000007000800000000000000204cf000001977420dc00c40a7b226964223a2261227d"
)


def test_work_written_by_version_1_still_decodes() -> None:
    assert envelopes.decode_work(WORK_V1) == [
        envelopes.WorkItem(
            UUID("01900000-0000-7000-8000-000000000001"), 1, 2, "FR", 3, 1_750_000_000_000, True
        )
    ]


def test_receipts_written_by_version_1_still_decode() -> None:
    assert envelopes.decode_receipts(RECEIPTS_V1) == [
        envelopes.RawReceipt(
            UUID("01900000-0000-7000-8000-000000000002"), 4, 1_750_000_000_000, b'{"id":"a"}'
        )
    ]


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xff" * 9, b"{}", WORK_V1[:-1], RECEIPTS_V1 + b"\x00"]
)
def test_other_bytes_are_unreadable_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(envelopes.UnreadableEnvelope):
        envelopes.decode_work(data)
    with pytest.raises(envelopes.UnreadableEnvelope):
        envelopes.decode_receipts(data)


STORABLE = envelopes.WorkItem(UUID(int=1), 1, 2, "FR", 3, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("segment_count", count) for count in (0, -1, 256)),
        *((name, ours) for name in ("account_id", "line_id") for ours in (0, -1, 2**31, 2**63)),
    ],
)
def test_work_that_nobody_could_have_stored_is_unreadable(field: str, value: int) -> None:
    assert envelopes.decode_work(envelopes.encode_work([STORABLE])) == [STORABLE]
    stray = msgspec.structs.replace(STORABLE, **{field: value})
    with pytest.raises(envelopes.UnreadableEnvelope):
        envelopes.decode_work(envelopes.encode_work([stray]))


def test_a_queue_has_one_name_by_one_rule() -> None:
    assert topology.mt_queues("acme-2") == [
        "mt.acme-2.urgent",
        "mt.acme-2.normal",
        "mt.acme-2.bulk",
    ]
    for name in topology.mt_queues("acme.uk"):
        assert topology.mt_queue(*topology.of_mt_queue(name)) == name
