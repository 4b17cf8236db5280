"""How a webhook fares, as its owner reads it, and the owner's other webhooks too."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import msgspec

from shared.db import webhooks
from shared.shapes.message import Time


class WebhookState(msgspec.Struct, frozen=True, kw_only=True):
    """How a webhook fares; its URL, which may hold a secret, is not for those of other URLs.

    `reason` says why it is disabled: `by_owner`; `gone`, it answered 410; `failing`, for days it
    took nothing. `cursor` is how far it has been told, of which `retries` events are to be tried
    again."""

    webhook_id: UUID = msgspec.field(name="id")
    state: Literal["active", "disabled"]
    reason: str
    created_at: Time
    updated_at: Time
    failing_since: Time | None
    cursor: str
    retry_count: int = msgspec.field(name="retries")


def members(stored: webhooks.StoredWebhook) -> dict[str, Any]:
    """What the state is made of."""
    names = set(WebhookState.__struct_fields__) - {"cursor"}
    return {name: getattr(stored, name) for name in names} | {"cursor": str(stored.read_until)}


def state(stored: webhooks.StoredWebhook) -> WebhookState:
    """How a webhook fares."""
    return WebhookState(**members(stored))
