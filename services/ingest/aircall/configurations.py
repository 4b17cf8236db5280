"""Whom a number serves: the application, or this API and a URL that is called back."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from services.ingest.aircall import answers, faults, phone_numbers, requests
from services.ingest.web.entrance import Visit
from shared.access import vault
from shared.db import events, line_callbacks
from shared.db.line_callbacks import LineCallback
from shared.rules import verdicts
from shared.rules.line_kinds import LineKind, LineMode
from shared.rules.lines import Line
from shared.rules.snapshot import Account


class NumberConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """`token` stands in every call back; it stays the same until the configuration is deleted."""

    token: str
    callback_url: str | None = msgspec.field(name="callbackUrl")
    type: str = "Public Api"


async def configure(visit: Visit) -> web.Response:
    """The number serves this API from now on, and no more the application."""
    line = phone_numbers.of_path(visit)
    body = requests.ConfigurationBody()
    if visit.request.can_read_body:
        body = await requests.read(visit, requests.configuration_decoder)
    check_plan(visit.account)
    _check_line(line, datetime.now(UTC))
    if body.callback_url is not None:
        requests.check_url(visit, body.callback_url, "callbackUrl")
    # In a transaction of its own, for others wait to number theirs.
    async with visit.transaction() as opened:
        await events.number(opened)
    async with visit.transaction() as opened:
        stored = await line_callbacks.configure(
            opened, visit.account_id, line.line_id, body.callback_url, _new_token(visit)
        )
    await visit.context.watch.refresh()
    return answers.response(_shown(visit, stored))


def check_plan(account: Account) -> None:
    """Raises Refused for an account whose plan has no API sending (A22)."""
    if account.plan != verdicts.API_PLAN:
        raise faults.forbidden("plan", "Sending over the API is part of the Professional plan.")


def _check_line(line: Line, now: datetime) -> None:
    """Raises Refused for a number that has no messages (A8), or is not fully registered (A12)."""
    if not line.capabilities:
        raise faults.forbidden("no_messages", "The number is not enabled for SMS or MMS.")
    if _needs_registration(line) and not line.registration.holds_at(now):
        raise faults.forbidden("not_registered", "The number is not fully registered.")


def _needs_registration(line: Line) -> bool:
    if line.kind is LineKind.TOLL_FREE:
        return line.country in ("US", "CA")
    return line.kind is LineKind.LONG_CODE and line.country == "US"


async def configuration(visit: Visit) -> web.Response:
    """How the number is configured; 404 while it serves the application."""
    line = _configured(visit)
    async with visit.transaction() as opened:
        stored = await line_callbacks.of_line(
            opened, visit.account_id, line.line_id, _new_token(visit)
        )
    return answers.response(_shown(visit, stored))


async def delete_configuration(visit: Visit) -> web.Response:
    """The number serves the application again."""
    line = _configured(visit)
    async with visit.transaction() as opened:
        await line_callbacks.release(opened, visit.account_id, line.line_id)
    await visit.context.watch.refresh()
    return web.Response(status=204)


def _configured(visit: Visit) -> Line:
    line = phone_numbers.of_path(visit)
    if line.mode is not LineMode.API:
        raise faults.missing("configuration")
    return line


def _new_token(visit: Visit) -> bytes:
    return visit.context.vault.seal(str(uuid.uuid4()))


def _shown(visit: Visit, stored: LineCallback) -> NumberConfiguration:
    try:
        token = visit.context.vault.open(stored.sealed_token)
    except vault.NotReadable:
        detail = "The token is no longer known; delete the configuration and make it again."
        raise faults.forbidden("token_not_readable", detail) from None
    return NumberConfiguration(token=token, callback_url=stored.url)
