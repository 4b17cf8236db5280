"""What a producer reads: the shapes of answers, and how our rows fill them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from shared.db import events, inbound, webhooks
from shared.ledger import money
from shared.rules import event_types
from shared.rules.compose import Draft
from shared.rules.snapshot import Account
from shared.shapes import webhook as webhook_shapes
from shared.shapes.inbound import InboundMessage
from shared.shapes.line import Line
from shared.shapes.message import Amount, Message, MessageWithParts, Segments, Status, Time
from shared.shapes.opt_out import OptOut
from shared.shapes.webhook import WebhookState
from shared.web.problems import Problem

CONTENT_TYPE = "application/json"


class Money(msgspec.Struct, frozen=True):
    """An amount, exactly."""

    amount: Amount
    currency: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that is stored and paid for."""

    id: UUID
    status: Literal["queued", "scheduled"]
    segments: Segments
    encoding: str
    price: Amount
    currency: str
    estimated_departure_at: Time
    balance: Money | UnsetType = UNSET
    """What remains; in a batch it stands once, beside the results. Main accounts alone are told."""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What would have become of a message; nothing is stored or charged."""

    status: Literal["dry_run"] = "dry_run"
    segments: Segments
    encoding: str
    price: Amount
    currency: str
    estimated_departure_at: Time


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a message of a batch was refused."""

    code: str
    detail: str
    field: str | UnsetType = UNSET
    rule: str | UnsetType = UNSET
    rules_version: int | UnsetType = UNSET
    possible_at: Time | UnsetType = UNSET


class Failed(msgspec.Struct, frozen=True):
    """A message of a batch that was refused; nothing of it is stored or charged."""

    error: Fault


Result = Annotated[
    object,
    Meta(
        extra_json_schema={
            "oneOf": [
                {"$ref": f"#/components/schemas/{kind.__name__}"}
                for kind in (Accepted, DryRun, Failed)
            ]
        }
    ),
]


class BatchAccepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of each message, in the order they were given. A sub-account is not told of the
    balance."""

    results: list[Result]
    balance: Money | UnsetType = UNSET


class WaitingMessage(MessageWithParts, frozen=True, kw_only=True, omit_defaults=True):
    """The same, and when it is expected to leave, as long as it waits for that."""

    estimated_departure_at: Time | UnsetType = UNSET


class Preview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a text would take, and cost if its recipient was given."""

    encoding: str
    segments: Segments
    price: Amount | UnsetType = UNSET
    currency: str | UnsetType = UNSET


class MessagePage(msgspec.Struct, frozen=True):
    """Messages, newest first; `cursor` leads to the next page and is null on the last. With filters
    a page may hold fewer messages than asked for, even none, and still lead on: what does not fit
    is gone through so many at a time."""

    messages: list[Message]
    cursor: str | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened. Of the ids there is the one of what it happened to, as `type` tells; of a
    message, `status` is what its status became. Numbers rise by one within an account. There will
    be further types: let pass what you do not know."""

    sequence: int
    type: Annotated[str, Meta(examples=["message.delivered", "inbound.received"])]
    message_id: UUID | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    inbound_id: UUID | UnsetType = UNSET
    opt_out_id: UUID | UnsetType = UNSET
    webhook_id: UUID | UnsetType = UNSET
    deposit_id: UUID | UnsetType = UNSET
    reason: str
    reference: str | None
    created_at: Time


class EventPage(msgspec.Struct, frozen=True):
    """Events, oldest first. `cursor` is where to go on; it stays the same when nothing is new."""

    events: list[Event]
    cursor: str


class Webhook(WebhookState, frozen=True, kw_only=True):
    """A URL that is told of events. `reason` says why it is disabled: `by_owner`; `gone`, it
    answered 410; `failing`, for days it took nothing. `cursor` is how far it has been told, of
    which `retries` events are to be tried again."""

    url: str
    events: list[str]
    old_secret_until: Time | None


class WebhookWithSecret(Webhook, frozen=True, kw_only=True):
    """A webhook with the secret that its requests are signed with: it is not shown again."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True):
    """All webhooks of the account, the oldest first."""

    webhooks: list[Webhook]


class WebhookTry(msgspec.Struct, frozen=True, kw_only=True):
    """A request that told of the event of this number. `status` is null where no answer came, and
    `outcome` says what came instead."""

    sequence: int
    status: int | None
    outcome: str
    tried_at: Time


class WebhookTryPage(msgspec.Struct, frozen=True):
    """Tries, newest first; `cursor` leads to the next page and is null on the last."""

    tries: list[WebhookTry]
    cursor: str | None


class NumberedInbound(InboundMessage, frozen=True, kw_only=True):
    """The same with its number, which rises by one within an account."""

    sequence: int


class InboundPage(msgspec.Struct, frozen=True):
    """Inbound messages, oldest first. `cursor` is where to go on; it stays the same when nothing is
    new."""

    inbound: list[NumberedInbound]
    cursor: str


class LinePage(msgspec.Struct, frozen=True):
    """Lines in the order of their ids; `cursor` leads to the next page and is null on the last."""

    lines: list[Line]
    cursor: int | None


class OptOutPage(msgspec.Struct, frozen=True):
    """Opt-outs that are in force, in the order of numbers; `cursor` leads to the next page and is
    null on the last."""

    opt_outs: list[OptOut]
    cursor: str | None


class NotImported(msgspec.Struct, frozen=True):
    """A number of an import, by its place, that is none; nothing of it is stored."""

    index: int
    error: Fault


class OptOutsImported(msgspec.Struct, frozen=True, kw_only=True):
    """How many phones were opted out, how many had been before, and what was no phone."""

    added_count: int = msgspec.field(name="added")
    known_count: int = msgspec.field(name="known")
    failed: list[NotImported]


encode = msgspec.json.Encoder().encode


def response(answer: msgspec.Struct | bytes, status: int = 200) -> web.Response:
    """An answer that is not a problem."""
    body = answer if isinstance(answer, bytes) else encode(answer)
    return web.Response(body=body, status=status, content_type=CONTENT_TYPE)


def balance(amount_micro: int, currency: str) -> Money:
    """What a wallet holds."""
    return Money(money.format_amount(amount_micro), currency)


def remaining(account: Account, amount_micro: int, currency: str) -> Money | UnsetType:
    """What the wallet that has paid still holds: nothing for a sub-account to know (M8)."""
    return balance(amount_micro, currency) if account.is_main else UNSET


def accepted(draft: Draft, departs_at: datetime, remaining: Money | UnsetType = UNSET) -> Accepted:
    """A draft that was stored."""
    return Accepted(
        id=draft.message_id,
        status="queued" if draft.send_at is None else "scheduled",
        segments=draft.segment_count,
        encoding=draft.encoding,
        price=money.format_amount(draft.price_micro),
        currency=draft.currency,
        estimated_departure_at=departs_at,
        balance=remaining,
    )


def dry_run(draft: Draft, departs_at: datetime) -> DryRun:
    """A draft that is not going to be stored."""
    return DryRun(
        segments=draft.segment_count,
        encoding=draft.encoding,
        price=money.format_amount(draft.price_micro),
        currency=draft.currency,
        estimated_departure_at=departs_at,
    )


def waiting(shown: MessageWithParts, departs_at: datetime) -> WaitingMessage:
    """A message that has not left."""
    return WaitingMessage(**msgspec.structs.asdict(shown), estimated_departure_at=departs_at)


def preview(draft: Draft) -> Preview:
    """What a draft takes and costs."""
    return Preview(
        encoding=draft.encoding,
        segments=draft.segment_count,
        price=money.format_amount(draft.price_micro),
        currency=draft.currency,
    )


def failed(problem: Problem) -> Failed:
    """A message of a batch that was refused."""
    return Failed(
        Fault(
            code=problem.code,
            detail=problem.detail,
            field=problem.field,
            rule=problem.rule,
            rules_version=problem.rules_version,
            possible_at=problem.possible_at,
        )
    )


_ID_NAMES = {family: f"{family}_id" for family in event_types.FAMILIES}


def _event(stored: events.StoredEvent) -> Event:
    members: dict[str, Any] = {}
    if (name := _ID_NAMES.get(stored.family)) is not None:
        members[name] = stored.subject_id
    if stored.status:
        members["status"] = stored.status
    return Event(
        sequence=stored.sequence,
        type=stored.type,
        reason=stored.reason,
        reference=stored.reference,
        created_at=stored.created_at,
        **members,
    )


def event_page(stored: Sequence[events.StoredEvent], after: int) -> EventPage:
    """The page that follows `after`."""
    page = [*map(_event, stored)]
    return EventPage(page, str(stored[-1].sequence if stored else after))


def webhook(stored: webhooks.StoredWebhook) -> Webhook:
    """A webhook as its owner reads it."""
    return Webhook(**_webhook_members(stored))


def webhook_with_secret(stored: webhooks.StoredWebhook, secret: str) -> WebhookWithSecret:
    """The same with a secret that was made just now."""
    return WebhookWithSecret(**_webhook_members(stored), secret=secret)


def _webhook_members(stored: webhooks.StoredWebhook) -> dict[str, Any]:
    own = {name: getattr(stored, name) for name in ("url", "events", "old_secret_until")}
    return webhook_shapes.members(stored) | own


def webhook_try(stored: webhooks.StoredTry) -> WebhookTry:
    """A try as its webhook's owner reads it."""
    return WebhookTry(
        sequence=stored.sequence,
        status=stored.status or None,
        outcome=stored.outcome,
        tried_at=stored.tried_at,
    )


def inbound_page(stored: Sequence[inbound.StoredInbound], after: int) -> InboundPage:
    """The page that follows `after`."""
    page = [
        NumberedInbound(**{name: getattr(each, name) for name in NumberedInbound.__struct_fields__})
        for each in stored
    ]
    return InboundPage(page, str(stored[-1].sequence if stored else after))
