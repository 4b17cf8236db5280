"""How a message came to where it stands: what was decided, and all that happened, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.db import traces
from shared.db.receipts import KeptReceipt
from shared.db.traces import Stored
from shared.db.trail import Marked, Step
from shared.ledger import money
from shared.ledger.transfers import Kind
from shared.runtime import logs
from shared.shapes import message
from shared.shapes.message import Amount, Message, Time
from shared.sms import e164
from shared.sms.states import SegmentState

What = Literal[
    "accepted",
    "debited",
    "due",
    "waited",
    "released",
    "impossible",
    "attempt",
    "answered",
    "proved",
    "resubmitted",
    "receipt",
    "overdue",
    "ended",
    "refunded",
    "event",
    "webhook",
]
_ORDER = {what: place for place, what in enumerate(What.__args__)}  # type: ignore[attr-defined]
_LIMITS = ["line", "country", "account_country"]


class Bucket(msgspec.Struct, frozen=True):
    """A limit: of the line, of the country for everybody, or of the country for the account.
    Without a window it was others of the line whose turn it was."""

    scope: str
    window: Literal["hour", "day", "month"] | None


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened, of the whole message unless it names a `part`. `what` is one of:

    accepted: stored; `until` is when it is to be sent, if that was later. debited: paid for, each
    part. due: the time it had waited for had come. waited: no leave to send, because of `bucket`,
    at least `until`. released: its line had room again. impossible: more parts than `bucket` ever
    holds. attempt: the intent to submit was stored, and the `limits` were charged. answered: what
    came of the attempt begun at `of`: accepted, rejected, throttled, unavailable (nothing was
    sent), lost, abandoned (our process died), put_back (nothing was sent), with the carrier's
    `code`; `until` is when it is tried again, and with `limits_returned` they are charged no more.
    proved: other evidence that a carrier has taken it. resubmitted: it was lost, and may go out
    twice. receipt: `raw` as it came, without text, `state` as it was read; also an answer that came
    late. overdue: no receipt within the deadline. ended: without a carrier. refunded: given back.
    event: the account's log told of a new `state` under the number `sequence`. webhook: a webhook
    was told of that event; `http_status` is absent where no answer came, `outcome` says what came.
    """

    at: Time
    what: What
    part: int | UnsetType = UNSET
    carrier: str | UnsetType = UNSET
    limits: list[str] | UnsetType = UNSET
    bucket: Bucket | UnsetType = UNSET
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


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """The rate that was used: of the list for this country, when the message was accepted."""

    list: Literal["ordinary", "special_numbers"]
    country: str
    segment_price: Amount
    segments: int
    price: Amount
    currency: str
    at: Time


class Check(msgspec.Struct, frozen=True):
    """Something the message was checked for before it was accepted, and what was found."""

    name: str
    found: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """From which line, to which country, by which carrier: chosen when it was accepted."""

    line: str
    line_kind: str | None
    country: str
    carrier: str | None
    adapter: str | None


class Waits(msgspec.Struct, frozen=True):
    """What it waits for now: ready or published, for a dispatcher; parked, for its line;
    scheduled, for its time."""

    state: Literal["ready", "published", "parked", "scheduled"]
    since_or_until: Time


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A message's whole way. `waits` is null where it waits for nothing; `not_known` says what is
    missing here because it is no longer kept, or never was."""

    message: Message
    price: Price
    checks: Annotated[list[Check], Meta(description="In the order they were made.")]
    route: Route
    waits: Waits | None
    timeline: Annotated[list[Entry], Meta(description="Ordered by time.")]
    not_known: list[str]


def shown(stored: Stored, *, with_numbers: bool) -> Trace:
    """The trace of a message, with phone numbers only for those who may see them; never with
    text."""
    told = stored.message
    shown_message = message.shown(told)
    if not with_numbers:
        shown_message = msgspec.structs.replace(
            shown_message, recipient=logs.mask(told.recipient), sender=_masked(told.sender, stored)
        )
    entries = sorted(
        _entries(stored, with_numbers), key=lambda entry: (entry.at, _ORDER[entry.what])
    )
    way = stored.way
    return Trace(
        message=shown_message,
        price=_price(stored),
        checks=_checks(stored),
        route=Route(
            line=shown_message.sender,
            line_kind=way.line_kind,
            country=told.country,
            carrier=way.carrier,
            adapter=way.adapter,
        ),
        waits=_waits(stored),
        timeline=entries,
        not_known=traces.forgotten(stored),
    )


def _price(stored: Stored) -> Price:
    told = stored.message
    return Price(
        list="special_numbers" if _kind(told.recipient) == "special" else "ordinary",
        country=told.country,
        segment_price=money.format_amount(told.segment_price_micro),
        segments=told.segment_count,
        price=money.format_amount(told.price_micro),
        currency=told.currency,
        at=told.created_at,
    )


def _kind(recipient: str) -> str:
    """What the numbering plan says of a number; by a newer plan it may not say it any more."""
    try:
        return str(e164.parse(recipient).kind)
    except e164.InvalidNumber:
        return "unknown"


def _checks(stored: Stored) -> list[Check]:
    told = stored.message
    return [
        Check(
            "recipient", f"{_kind(told.recipient)} number of {told.country}, open to the account"
        ),
        Check("line", "the account's own"),
        Check("text", f"{told.encoding}, {told.segment_count} segments, within every ceiling"),
        Check("route", f"a carrier for {told.country}"),
        Check("price", f"a price for {told.country} in {told.currency}, within every ceiling"),
        Check("daily_limit", "within the account's limit of that day"),
        Check("balance", "paid in full"),
    ]


def _waits(stored: Stored) -> Waits | None:
    way = stored.way
    if way.work_state is None or way.work_ready_at is None:
        return None
    return msgspec.convert(
        {"state": way.work_state, "since_or_until": way.work_ready_at}, Waits, strict=False
    )


def _entries(stored: Stored, with_numbers: bool) -> Iterator[Entry]:
    told = stored.message
    yield Entry(at=told.created_at, what="accepted", until=_given(told.send_at))
    yield from _movements(stored)
    yield from _steps(stored)
    for part in stored.parts:
        yield from _last_submit(stored, part)
        yield from _end(stored, part)
    for kept in stored.receipts:
        yield _receipt(stored, kept, with_numbers)
    for event in stored.events:
        yield Entry(
            at=event.created_at,
            what="event",
            sequence=event.sequence,
            state=event.status,
            reason=event.reason or UNSET,
        )
    for tried in stored.tries:
        yield Entry(
            at=tried.tried_at,
            what="webhook",
            webhook_id=tried.webhook_id,
            sequence=tried.sequence,
            http_status=tried.status or UNSET,
            outcome=tried.outcome,
        )


def _given(moment: datetime | None) -> datetime | UnsetType:
    return UNSET if moment is None else moment


def _movements(stored: Stored) -> Iterator[Entry]:
    for moved in stored.transfers:
        is_debit = moved.kind == Kind.DEBIT
        yield Entry(
            at=moved.created_at,
            what="debited" if is_debit else "refunded",
            part=moved.part,
            amount=money.format_amount(moved.amount_micro),
            currency=stored.message.currency,
            reason=UNSET if is_debit else moved.reason,
        )


_OF_MESSAGE: dict[Step, What] = {
    Step.WAITED: "waited",
    Step.RELEASED: "released",
    Step.DUE: "due",
    Step.IMPOSSIBLE: "impossible",
}
_OF_SEGMENT: dict[Step, What] = {Step.RESUBMITTED: "resubmitted", Step.OVERDUE: "overdue"}
_RETURNED = frozenset({Step.THROTTLED, Step.UNAVAILABLE, Step.PUT_BACK})


def _steps(stored: Stored) -> Iterator[Entry]:
    waited: Marked | None = None
    for mark in stored.marks:
        if mark.step in _OF_MESSAGE:
            again = mark.step is Step.WAITED and waited is not None
            if again and waited and (mark.until, mark.detail) == (waited.until, waited.detail):
                continue
            waited = mark if mark.step is Step.WAITED else None
            yield Entry(
                at=mark.recorded_at,
                what=_OF_MESSAGE[mark.step],
                bucket=_bucket(mark.detail),
                until=_given(mark.until),
            )
        elif mark.step in _OF_SEGMENT:
            yield Entry(
                at=mark.recorded_at,
                what=_OF_SEGMENT[mark.step],
                part=mark.part,
                of=_given(mark.begun_at),
            )
        elif mark.begun_at is not None:
            yield _attempt(stored, mark.part, mark.begun_at)
            yield Entry(
                at=mark.recorded_at,
                what="answered",
                part=mark.part,
                of=mark.begun_at,
                outcome=mark.step.value,
                code=mark.detail or UNSET,
                until=_given(mark.until),
                limits_returned=mark.step in _RETURNED or UNSET,
            )


def _bucket(detail: str) -> Bucket | UnsetType:
    if not detail:
        return UNSET
    scope, _, window = detail.partition(" ")
    return msgspec.convert({"scope": scope, "window": window or None}, Bucket)


def _attempt(stored: Stored, part: int, begun_at: datetime) -> Entry:
    return Entry(
        at=begun_at,
        what="attempt",
        part=part,
        carrier=stored.way.carrier or UNSET,
        limits=_LIMITS,
    )


_NEVER_TRIED = frozenset({SegmentState.CANCELED, SegmentState.FAILED})


def _last_submit(stored: Stored, part: traces.Part) -> Iterator[Entry]:
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
            yield Entry(
                at=at,
                what="answered",
                part=part.part,
                of=begun_at,
                outcome=outcome,
                carrier_message_id=part.carrier_message_id or UNSET,
                code=(part.code or UNSET) if outcome == "rejected" else UNSET,
            )
    elif part.accepted_at is not None:
        yield Entry(
            at=part.accepted_at,
            what="proved",
            part=part.part,
            carrier_message_id=part.carrier_message_id or UNSET,
        )


_UNSENT = frozenset({SegmentState.CANCELED, SegmentState.FAILED, SegmentState.EXPIRED})


def _end(stored: Stored, part: traces.Part) -> Iterator[Entry]:
    """An end that no carrier has brought about."""
    by_receipt = any(kept.part == part.part for kept in stored.receipts)
    if part.finished_at is None or part.state not in _UNSENT or by_receipt:
        return
    yield Entry(
        at=part.finished_at,
        what="ended",
        part=part.part,
        state=part.state,
        reason=part.reason or UNSET,
    )


def _receipt(stored: Stored, kept: KeptReceipt, with_numbers: bool) -> Entry:
    raw = _TEXT.sub(r"\1", kept.raw.decode("utf-8", "replace"))
    return Entry(
        at=kept.received_at,
        what="receipt",
        part=kept.part,
        carrier=stored.way.carrier or UNSET,
        state=kept.state,
        raw=raw if with_numbers else _masked(raw, stored),
    )


_TEXT = re.compile(r'(\btext:)[^"]*', re.IGNORECASE)
"""What a carrier repeats of the message at the end of a receipt."""
_DIGITS = re.compile(r"\+?\d{6,}")


def _masked(text: str, stored: Stored) -> str:
    """The text without the message's two numbers, however much of them a carrier writes."""
    phones = [stored.message.recipient.lstrip("+"), stored.message.sender.lstrip("+")]

    def hide(found: re.Match[str]) -> str:
        digits = found.group().lstrip("+0")
        known = any(
            phone.isdigit() and (phone.endswith(digits) or digits.endswith(phone[-7:]))
            for phone in phones
        )
        return logs.mask(found.group()) if known and digits else found.group()

    return _DIGITS.sub(hide, text)
