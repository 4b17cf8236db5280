"""What happened to a message, one thing after the other, made of rows, marks and receipts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared.db import traces
from shared.db.receipts import KeptReceipt
from shared.db.traces import StoredTrace
from shared.db.trail import StoredMark, TrailStep
from shared.ledger import money
from shared.ledger.transfers import Kind
from shared.shapes.message import Amount, Time
from shared.sms.states import SegmentState

Masking = Callable[[str], str]
"""Hides the middle of a number."""

What = Literal[
    "accepted",
    "debited",
    "rescheduled",
    "due",
    "waited",
    "released",
    "rerouted",
    "impossible",
    "attempt",
    "answered",
    "billed",
    "proved",
    "resubmitted",
    "receipt",
    "overdue",
    "ended",
    "refunded",
    "event",
    "webhook",
]
_ORDER = {what: place for place, what in enumerate(get_args(What))}
_LIMITS = ["line", "country", "account_country"]


class LimitBucket(msgspec.Struct, frozen=True):
    """A limit: of the line, of the country for everybody, or of the country for the account.
    Without a window it was others of the line whose turn it was."""

    scope: str
    window: Literal["hour", "day", "month"] | None


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened, of the whole message unless it names a `part`. `what` is one of:

    accepted: stored; `until` is when it is to be sent, if that was later. debited: paid for, each
    part. rescheduled: it waits `until` another time. due: the time it had waited for had come.
    waited: no leave to send, because of `bucket`, at least `until`. released: its line had room
    again. rerouted: it waits for another `carrier` by now. impossible: more parts than `bucket`
    ever holds. attempt: the intent to submit was stored, and the `limits` were charged.
    answered: what came of the attempt begun at `of`: accepted, rejected, throttled, deferred (the
    phone cannot be reached for now), elsewhere (this carrier does not serve it), halted (the
    carrier did not let us send), unavailable (nothing was sent), lost, abandoned (our process
    died), put_back (nothing was sent), with the carrier's `code`; `until` is when it is tried
    again, and with `limits_returned` they are charged no more. billed: the carrier, which cuts
    texts itself, counts `billed_count` parts, and we do not. proved: other evidence that a carrier
    has taken it. resubmitted: it was lost, and may go out twice. receipt: `raw` as it came, without
    text, `state` as it was read; also an answer that came late. overdue: no receipt within the
    deadline. ended: without a carrier. refunded: given back. event: the account's log told of a new
    `state` under the number `sequence`. webhook: a webhook was told of that event; `http_status` is
    absent where no answer came, `outcome` says what came.
    """

    at: Time
    what: What
    part: int | UnsetType = UNSET
    carrier: str | UnsetType = UNSET
    limits: list[str] | UnsetType = UNSET
    bucket: LimitBucket | UnsetType = UNSET
    until: Time | UnsetType = UNSET
    of: Time | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    carrier_message_id: str | UnsetType = UNSET
    limits_returned: bool | UnsetType = UNSET
    state: str | UnsetType = UNSET
    raw: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    amount: Amount | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    sequence: int | UnsetType = UNSET
    webhook_id: UUID | UnsetType = UNSET
    http_status: int | UnsetType = UNSET
    billed_count: int | UnsetType = UNSET


def entries(stored: StoredTrace, mask: Masking | None) -> list[TimelineEntry]:
    """All that happened, ordered by time; `mask` as for `message_trace.shown`."""
    return sorted(_entries(stored, mask), key=lambda entry: (entry.at, _ORDER[entry.what]))


def _entries(stored: StoredTrace, mask: Masking | None) -> Iterator[TimelineEntry]:
    told = stored.message
    yield TimelineEntry(at=told.created_at, what="accepted", until=_given(_first_time(stored)))
    yield from _movements(stored)
    yield from _steps(stored)
    for part in stored.parts:
        yield from _last_submit(stored, part)
        yield from _end(stored, part)
    for kept in stored.receipts:
        yield _receipt(stored, kept, mask)
    for event in stored.events:
        yield TimelineEntry(
            at=event.created_at,
            what="event",
            sequence=event.sequence,
            state=event.status,
            reason=event.reason or UNSET,
        )
    for tried in stored.tries:
        yield TimelineEntry(
            at=tried.tried_at,
            what="webhook",
            webhook_id=tried.webhook_id,
            sequence=tried.sequence,
            http_status=tried.status or UNSET,
            outcome=tried.outcome,
        )


def _first_time(stored: StoredTrace) -> datetime | None:
    """The time a message was to be sent at when it was accepted."""
    changes = (mark for mark in stored.marks if mark.step is TrailStep.RESCHEDULED)
    first = next(changes, None)
    return stored.message.send_at if first is None else datetime.fromisoformat(first.detail)


def _given(moment: datetime | None) -> datetime | UnsetType:
    return UNSET if moment is None else moment


def _movements(stored: StoredTrace) -> Iterator[TimelineEntry]:
    for moved in stored.transfers:
        is_debit = moved.kind == Kind.DEBIT
        yield TimelineEntry(
            at=moved.created_at,
            what="debited" if is_debit else "refunded",
            part=moved.part,
            amount=money.format_amount(moved.amount_micro),
            currency=stored.message.currency,
            reason=UNSET if is_debit else moved.reason,
        )


_OF_MESSAGE: dict[TrailStep, What] = {
    TrailStep.WAITED: "waited",
    TrailStep.RELEASED: "released",
    TrailStep.REROUTED: "rerouted",
    TrailStep.RESCHEDULED: "rescheduled",
    TrailStep.DUE: "due",
    TrailStep.IMPOSSIBLE: "impossible",
}
_BY_BUCKETS = frozenset[What]({"waited", "impossible"})
_OF_SEGMENT: dict[TrailStep, What] = {
    TrailStep.RESUBMITTED: "resubmitted",
    TrailStep.OVERDUE: "overdue",
}
_RETURNED = frozenset(
    {
        TrailStep.THROTTLED,
        TrailStep.DEFERRED,
        TrailStep.ELSEWHERE,
        TrailStep.HALTED,
        TrailStep.UNAVAILABLE,
        TrailStep.PUT_BACK,
    }
)


def _steps(stored: StoredTrace) -> Iterator[TimelineEntry]:
    waited: StoredMark | None = None
    for mark in stored.marks:
        if mark.step in _OF_MESSAGE:
            again = mark.step is TrailStep.WAITED and waited is not None
            if again and waited and (mark.until, mark.detail) == (waited.until, waited.detail):
                continue
            waited = mark if mark.step is TrailStep.WAITED else None
            what = _OF_MESSAGE[mark.step]
            yield TimelineEntry(
                at=mark.recorded_at,
                what=what,
                carrier=mark.detail.rpartition(" ")[2] if what == "rerouted" else UNSET,
                bucket=_bucket(mark.detail) if what in _BY_BUCKETS else UNSET,
                until=_given(mark.until),
            )
        elif mark.step is TrailStep.BILLED:
            yield TimelineEntry(
                at=mark.recorded_at,
                what="billed",
                of=_given(mark.begun_at),
                billed_count=int(mark.detail),
            )
        elif mark.step in _OF_SEGMENT:
            yield TimelineEntry(
                at=mark.recorded_at,
                what=_OF_SEGMENT[mark.step],
                part=mark.part,
                of=_given(mark.begun_at),
            )
        elif mark.begun_at is not None:
            yield _attempt(stored, mark.part, mark.begun_at)
            yield TimelineEntry(
                at=mark.recorded_at,
                what="answered",
                part=mark.part,
                of=mark.begun_at,
                outcome=mark.step.value,
                code=mark.detail or UNSET,
                until=_given(mark.until),
                limits_returned=mark.step in _RETURNED or UNSET,
            )


def _bucket(detail: str) -> LimitBucket | UnsetType:
    if not detail:
        return UNSET
    scope, _, window = detail.partition(" ")
    return msgspec.convert({"scope": scope, "window": window or None}, LimitBucket)


def _attempt(stored: StoredTrace, part: int, begun_at: datetime) -> TimelineEntry:
    return TimelineEntry(
        at=begun_at,
        what="attempt",
        part=part,
        carrier=_carrier_at(stored, begun_at) or UNSET,
        limits=_LIMITS,
    )


def _carrier_at(stored: StoredTrace, moment: datetime) -> str | None:
    """The carrier that had the message then."""
    later = (
        mark
        for mark in stored.marks
        if mark.step is TrailStep.REROUTED and mark.recorded_at > moment
    )
    following = next(later, None)
    return stored.way.carrier if following is None else following.detail.partition(" ")[0]


_NEVER_TRIED = frozenset({SegmentState.CANCELED, SegmentState.FAILED})


def _last_submit(stored: StoredTrace, part: traces.TracedPart) -> Iterator[TimelineEntry]:
    """The submit that a segment's own row tells of, and how it was taken or refused."""
    begun_at = part.submitted_at
    answered = {
        mark.begun_at: mark.step
        for mark in stored.marks
        if mark.part == part.part and mark.step not in _OF_SEGMENT
    }
    if begun_at is not None and begun_at not in answered:
        if part.state in _NEVER_TRIED:
            return
        yield _attempt(stored, part.part, begun_at)
        refused_at = part.finished_at if part.state == SegmentState.REJECTED else None
        at, outcome = (
            (part.accepted_at, "accepted") if part.accepted_at else (refused_at, "rejected")
        )
        if at is not None:
            yield TimelineEntry(
                at=at,
                what="answered",
                part=part.part,
                of=begun_at,
                outcome=outcome,
                carrier_message_id=part.carrier_message_id or UNSET,
                code=(part.code or UNSET) if outcome == "rejected" else UNSET,
            )
    elif part.accepted_at is not None:
        yield TimelineEntry(
            at=part.accepted_at,
            what="proved",
            part=part.part,
            carrier_message_id=part.carrier_message_id or UNSET,
        )


_UNSENT = frozenset({SegmentState.CANCELED, SegmentState.FAILED, SegmentState.EXPIRED})


def _end(stored: StoredTrace, part: traces.TracedPart) -> Iterator[TimelineEntry]:
    """An end that no carrier has brought about."""
    by_receipt = any(kept.part == part.part for kept in stored.receipts)
    if part.finished_at is None or part.state not in _UNSENT or by_receipt:
        return
    yield TimelineEntry(
        at=part.finished_at,
        what="ended",
        part=part.part,
        state=part.state,
        reason=part.reason or UNSET,
    )


def _receipt(stored: StoredTrace, kept: KeptReceipt, mask: Masking | None) -> TimelineEntry:
    raw = _TEXT.sub(r"\1", kept.raw.decode("utf-8", "replace"))
    return TimelineEntry(
        at=kept.received_at,
        what="receipt",
        part=kept.part,
        carrier=stored.way.carrier or UNSET,
        state=kept.state,
        raw=raw if mask is None else masked(raw, stored, mask),
    )


_TEXT = re.compile(r'(\btext:)[^"]*', re.IGNORECASE)
"""What a carrier repeats of the message at the end of a receipt."""
_DIGITS = re.compile(r"\+?\d{6,}")


def masked(text: str, stored: StoredTrace, mask: Masking) -> str:
    """The text without the message's two numbers, however much of them a carrier writes."""
    phones = [stored.message.recipient.lstrip("+"), stored.message.sender.lstrip("+")]

    def hide(found: re.Match[str]) -> str:
        digits = found.group().lstrip("+0")
        known = any(
            phone.isdigit() and (phone.endswith(digits) or digits.endswith(phone[-7:]))
            for phone in phones
        )
        return mask(found.group()) if known and digits else found.group()

    return _DIGITS.sub(hide, text)
