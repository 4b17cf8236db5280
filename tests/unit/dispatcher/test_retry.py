"""What follows from every outcome: one table, and delays that grow to an end."""

from __future__ import annotations

import pytest

from services.dispatcher import retry
from services.dispatcher.retry import Next, Rest
from shared.carriers.outcomes import DECISIONS, OutcomeKind, Sent
from shared.sms.states import SegmentState

K, S = OutcomeKind, SegmentState

# outcome, put off before, the carrier's wish in ms → segment, delay in ms, permit unused, the rest
TABLE = [
    (K.ACCEPTED, 0, 0, Next(S.SUBMITTED), Rest.SUBMIT),
    (K.ACCEPTED, 9, 9, Next(S.SUBMITTED), Rest.SUBMIT),
    (K.REJECTED, 0, 0, Next(S.REJECTED), Rest.CANCEL),
    (K.LOST, 0, 0, Next(S.IN_DOUBT), Rest.QUEUE),
    (K.THROTTLED, 0, 0, Next(S.QUEUED, 1_000, True, True), Rest.QUEUE),
    (K.THROTTLED, 30_000, 0, Next(S.QUEUED, 1_000, True, True), Rest.QUEUE),
    (K.THROTTLED, 0, 90_000, Next(S.QUEUED, 90_000, True, True), Rest.QUEUE),
    (K.THROTTLED, 0, 86_400_000, Next(S.QUEUED, 300_000, True, True), Rest.QUEUE),
    (K.DEFERRED, 0, 0, Next(S.QUEUED, 5_000, True), Rest.QUEUE),
    (K.DEFERRED, 3, 0, Next(S.QUEUED, 40_000, True), Rest.QUEUE),
    (K.DEFERRED, 22, 0, Next(S.QUEUED, 1_800_000, True), Rest.QUEUE),
    (K.DEFERRED, 23, 0, Next(S.REJECTED), Rest.CANCEL),
    (K.DEFERRED, 99, 0, Next(S.REJECTED), Rest.CANCEL),
    (K.ELSEWHERE, 0, 0, Next(S.REJECTED), Rest.CANCEL),
    (K.DEFERRED, 1, 60_000, Next(S.QUEUED, 60_000, True), Rest.QUEUE),
    (K.HALTED, 0, 0, Next(S.QUEUED, 1_000, True, True), Rest.QUEUE),
    (K.HALTED, 99, 0, Next(S.QUEUED, 1_000, True, True), Rest.QUEUE),
    (K.UNAVAILABLE, 0, 0, Next(S.QUEUED, 250, True, True), Rest.QUEUE),
    (K.UNAVAILABLE, 99, 0, Next(S.QUEUED, 250, True, True), Rest.QUEUE),
    (K.UNAVAILABLE, 0, 7_000, Next(S.QUEUED, 7_000, True, True), Rest.QUEUE),
]


def test_the_table_knows_every_outcome() -> None:
    assert {row[0] for row in TABLE} == set(OutcomeKind)


@pytest.mark.parametrize(("kind", "deferral_count", "wish_ms", "then", "rest"), TABLE)
def test_what_follows(
    kind: OutcomeKind, deferral_count: int, wish_ms: int, then: Next, rest: Rest
) -> None:
    assert retry.after(kind, deferral_count, wish_ms) == then
    assert retry.rest_after(kind, deferral_count) is rest


@pytest.mark.parametrize("kind", OutcomeKind)
def test_what_a_carrier_may_have_is_neither_sent_again_nor_given_back(kind: OutcomeKind) -> None:
    then = retry.after(kind, 0)
    if DECISIONS[kind].sent is not Sent.NO:
        assert (then.delay_ms, then.permit_unused) == (None, False)
    # and what is refunded at once is not tried again
    if DECISIONS[kind].refund:
        assert then.delay_ms is None


def test_a_part_that_was_never_tried_ends_and_gives_its_permit_back() -> None:
    assert Next(S.CANCELED, None, True) == retry.NEVER_TRIED
