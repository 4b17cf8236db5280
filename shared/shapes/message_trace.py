"""How a message came to where it stands: what was decided, and all that happened, in order."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.db import traces
from shared.db.traces import StoredTrace
from shared.ledger import money
from shared.shapes import message, timeline, verdict
from shared.shapes.message import Amount, Message, Time
from shared.shapes.timeline import TimelineEntry
from shared.shapes.verdict import MessageVerdict
from shared.sms import e164


class RateUsed(msgspec.Struct, frozen=True, kw_only=True):
    """The rate that was used: of the list for this country, when the message was accepted."""

    list: Literal["ordinary", "special_numbers"]
    country: str
    segment_price: Amount
    segments: int
    price: Amount
    currency: str
    at: Time


class CheckPassed(msgspec.Struct, frozen=True):
    """Something the message was checked for before it was accepted, and what was found."""

    name: str
    found: str


class RouteChosen(msgspec.Struct, frozen=True, kw_only=True):
    """From which line, to which country, by which carrier: chosen when it was accepted."""

    line: str
    line_kind: str | None
    country: str
    carrier: str | None
    adapter: str | None


class WaitingFor(msgspec.Struct, frozen=True):
    """What it waits for now: ready or published, for a dispatcher; parked, for its line;
    scheduled, for its time."""

    state: Literal["ready", "published", "parked", "scheduled"]
    since_or_until: Time


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A message's whole way. `verdict` is why the rules let it pass, null for messages from before
    there were any. `waits` is null where it waits for nothing; `not_known` says what is
    missing here because it is no longer kept, or never was."""

    message: Message
    price: RateUsed
    checks: Annotated[list[CheckPassed], Meta(description="In the order they were made.")]
    verdict: MessageVerdict | None
    route: RouteChosen
    waits: WaitingFor | None
    timeline: Annotated[list[TimelineEntry], Meta(description="Ordered by time.")]
    not_known: list[str]


def shown(stored: StoredTrace, mask: timeline.Masking | None) -> Trace:
    """The trace of a message, never with text; `mask` hides its numbers from whoever may not see
    them, and is None for the account that wrote them."""
    told = stored.message
    shown_message = message.shown(told)
    if mask is not None:
        shown_message = msgspec.structs.replace(
            shown_message,
            recipient=mask(told.recipient),
            sender=timeline.masked(told.sender, stored, mask),
        )
    way = stored.way
    return Trace(
        message=shown_message,
        price=_price(stored),
        checks=_checks(stored),
        verdict=verdict.shown(told.verdict),
        route=RouteChosen(
            line=shown_message.sender,
            line_kind=way.line_kind,
            country=told.country,
            carrier=way.carrier,
            adapter=way.adapter,
        ),
        waits=_waits(stored),
        timeline=timeline.entries(stored, mask),
        not_known=traces.forgotten(stored),
    )


def _price(stored: StoredTrace) -> RateUsed:
    told = stored.message
    return RateUsed(
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


def _checks(stored: StoredTrace) -> list[CheckPassed]:
    told = stored.message
    return [
        CheckPassed(
            "recipient", f"{_kind(told.recipient)} number of {told.country}, open to the account"
        ),
        CheckPassed("line", "the account's own"),
        CheckPassed("opt_out", "the phone had not opted out, or is answered to its own word"),
        CheckPassed("text", f"{told.encoding}, {told.segment_count} segments, below every ceiling"),
        CheckPassed("route", f"a carrier for {told.country}"),
        CheckPassed("price", f"a price for {told.country} in {told.currency}, below every ceiling"),
        CheckPassed("daily_limit", "within the account's limit of that day"),
        CheckPassed("balance", "paid in full"),
    ]


def _waits(stored: StoredTrace) -> WaitingFor | None:
    way = stored.way
    if way.work_state is None or way.work_ready_at is None:
        return None
    return msgspec.convert(
        {"state": way.work_state, "since_or_until": way.work_ready_at}, WaitingFor, strict=False
    )
