"""Each status has one meaning, and an operator the last word."""

from __future__ import annotations

import pytest

from shared.carriers import smpp_statuses
from shared.carriers.outcomes import OutcomeKind as Kind
from shared.carriers.smpp_statuses import Statuses


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0x58, Kind.THROTTLED),
        (0x08, Kind.THROTTLED),
        (0x14, Kind.DEFERRED),
        (0x64, Kind.DEFERRED),
        (0x45, Kind.ELSEWHERE),
        (0x67, Kind.ELSEWHERE),
        *((status, Kind.HALTED) for status in (0x04, 0x05, 0x0D, 0x0E, 0x0F)),
        *((status, Kind.REJECTED) for status in (0x01, 0x0A, 0x0B, 0x62, 0x65, 0xFE)),
    ],
)
def test_a_status_of_the_specification_is_understood(status: int, kind: Kind) -> None:
    read = Statuses({}).read(status)
    assert (read.kind, read.understood) == (kind, True)
    assert read.reason


@pytest.mark.parametrize("status", [0x09, 0xFF, 0x400, 0xDEADBEEF, smpp_statuses.STATUS_MAX])
def test_what_nobody_knows_is_a_refusal_that_is_not_understood(status: int) -> None:
    read = Statuses({}).read(status)
    assert (read.kind, read.understood) == (Kind.REJECTED, False)


def test_every_status_of_a_byte_ends_somewhere() -> None:
    statuses = Statuses({})
    assert {statuses.read(status).kind for status in range(1, 256)} == {
        Kind.THROTTLED,
        Kind.DEFERRED,
        Kind.ELSEWHERE,
        Kind.HALTED,
        Kind.REJECTED,
    }


def test_an_operator_s_word_counts_and_the_narrowest_range_first() -> None:
    statuses = Statuses(
        {"0x0400-0x04FF": "elsewhere", "0x0410": "halted", "1039": "deferred", "0x14": "throttled"},
        frozenset({0x45, 0x14}),
    )
    assert statuses.read(0x400).kind is Kind.ELSEWHERE
    assert statuses.read(0x4FF) == statuses.read(0x400)
    assert statuses.read(0x410).kind is Kind.HALTED
    assert statuses.read(0x40F).kind is Kind.DEFERRED
    assert statuses.read(0x14).kind is Kind.THROTTLED
    assert (statuses.read(0x45).kind, statuses.read(0x45).retry_after_ms) == (Kind.THROTTLED, 1_000)
    assert statuses.outcome(0x500).code == "0x00000500"
    assert statuses.read(0x500).understood is False


@pytest.mark.parametrize("entry", ["", "x", "0x", "0", "-1", "0x20-0x10", "0x100000000", "1-2-3"])
def test_an_entry_that_is_no_status_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="statuses: "):
        Statuses({entry: "rejected"})
