"""Account webhooks: they are told of messages of numbers that serve the application."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from aiohttp import web
from msgspec import UNSET

from services.ingest.aircall import answers, faults, requests
from services.ingest.web.entrance import Visit
from shared.access import vault
from shared.db import webhooks as stored
from shared.db.webhooks import NewWebhook, StoredWebhook, WebhookForm, WebhookPatch
from shared.runtime import ids
from shared.shapes import aircall as shapes
from shared.web import problems
from shared.web.problems import Refused

FORM = WebhookForm.AIRCALL
TOKEN_BYTES = 24


async def create_webhook(visit: Visit) -> web.Response:
    """A webhook with the token that its bodies will show."""
    body = await requests.read(visit, requests.webhook_decoder)
    events = body.events or []
    requests.check_url(visit, body.url, "url")
    requests.check_events(events)
    sealed = visit.context.vault.seal(secrets.token_urlsafe(TOKEN_BYTES))
    new = NewWebhook(
        ids.uuid7(), body.url, list(dict.fromkeys(events)), sealed, FORM, body.custom_name or ""
    )
    async with visit.transaction() as opened:
        made = await stored.insert(opened, visit.account_id, new)
    if made is None:
        detail = f"An account has at most {stored.AIRCALL_COUNT_MAX} webhooks."
        raise Refused(problems.of(422, "too_many_webhooks", detail))
    return _answer(visit, made, 201)


async def webhook_list(visit: Visit) -> web.Response:
    """A page of the account's webhooks, the oldest first."""
    page = requests.page(visit.request)
    async with visit.transaction() as opened:
        found = await stored.listed(opened, visit.account_id, FORM)
    shown = [_shown(visit, each) for each in page.of(found)]
    return answers.response({"meta": page.meta(visit, len(shown), len(found)), "webhooks": shown})


async def webhook(visit: Visit) -> web.Response:
    """One webhook."""
    webhook_id = _id_of(visit)
    async with visit.transaction() as opened:
        found = await stored.get(opened, visit.account_id, webhook_id, FORM)
    return _answer(visit, _found(found))


async def change_webhook(visit: Visit) -> web.Response:
    """The webhook as it is after the change."""
    webhook_id = _id_of(visit)
    body = await requests.read(visit, requests.change_decoder)
    if body.url is not UNSET:
        requests.check_url(visit, body.url, "url")
    if body.events is not UNSET:
        requests.check_events(body.events)
    async with visit.transaction() as opened:
        before = _found(await stored.get(opened, visit.account_id, webhook_id, FORM))
        changed = await stored.change(
            opened, visit.account_id, webhook_id, _wanted(body, before.events), FORM
        )
    return _answer(visit, _found(changed))


def _wanted(body: requests.AccountWebhookChange, before: list[str]) -> WebhookPatch:
    events = None if body.events is UNSET else list(dict.fromkeys(body.events))
    if events is not None and body.events_action == "add":
        events = list(dict.fromkeys((*before, *events)))
    elif events is not None and body.events_action == "remove":
        events = [name for name in before or shapes.EVENTS if name not in events]
        if not events:
            raise faults.invalid("A webhook without events would be told of all.", "events")
    state = None
    if body.active is not UNSET:
        state = "active" if body.active else "disabled"
    return WebhookPatch(
        url=None if body.url is UNSET else body.url,
        events=events,
        state=state,
        name=None if body.custom_name is UNSET else body.custom_name or "",
    )


async def delete_webhook(visit: Visit) -> web.Response:
    """No webhook any more."""
    webhook_id = _id_of(visit)
    async with visit.transaction() as opened:
        if not await stored.delete(opened, visit.account_id, webhook_id, FORM):
            raise faults.missing("webhook")
    return web.Response(status=204)


def _id_of(visit: Visit) -> UUID:
    try:
        return UUID(visit.request.match_info["id"])
    except ValueError:
        raise faults.missing("webhook") from None


def _found(webhook: StoredWebhook | None) -> StoredWebhook:
    if webhook is None:
        raise faults.missing("webhook")
    return webhook


def _answer(visit: Visit, webhook: StoredWebhook, status: int = 200) -> web.Response:
    return answers.response({"webhook": _shown(visit, webhook)}, status)


def _shown(visit: Visit, webhook: StoredWebhook) -> dict[str, Any]:
    try:
        token = visit.context.vault.open(webhook.sealed_secret)
    except vault.NotReadable:
        token = None
    return {
        "webhook_id": webhook.webhook_id,
        "direct_link": f"{answers.root_of(visit.request)}/v1/webhooks/{webhook.webhook_id}",
        "created_at": shapes.moment(webhook.created_at),
        "url": webhook.url,
        "active": webhook.state == "active",
        "token": token,
        "events": webhook.events or list(shapes.EVENTS),
        "custom_name": webhook.name or None,
    }
