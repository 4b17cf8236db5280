"""Webhooks, as their owners make, change and watch them. Another account's are not there."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from aiohttp import web
from msgspec import UNSET, UnsetType

from services.ingest.native import answers, queries, requests
from services.ingest.web import bodies
from services.ingest.web.entrance import Visit
from shared.access import signatures
from shared.db import webhooks as stored
from shared.rules import subscriptions
from shared.runtime import ids
from shared.web import egress, problems
from shared.web.problems import Problem, Refused

TRY_PAGE_COUNT = 20
"""Rounds of tries that one answer tells of."""


def _id_of(visit: Visit) -> UUID:
    webhook_id = queries.uuid_of(visit.request.match_info["id"])
    if webhook_id is None:
        raise _missing()
    return webhook_id


def _missing() -> Refused:
    detail = "The account has no webhook with this id."
    return Refused(problems.of(404, "no_such_webhook", detail))


def _found(webhook: stored.StoredWebhook | None) -> stored.StoredWebhook:
    if webhook is None:
        raise _missing()
    return webhook


async def create_webhook(visit: Visit) -> web.Response:
    """A webhook with its secret, shown this once."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(requests.webhook_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    _check(visit, body.url, body.events)
    secret = signatures.make_secret()
    sealed = visit.context.vault.seal(secret)
    async with visit.transaction() as opened:
        webhook = await stored.insert(
            opened,
            visit.account_id,
            stored.NewWebhook(ids.uuid7(), body.url, _once(body.events), sealed),
        )
    if webhook is None:
        detail = f"An account has at most {stored.COUNT_MAX} webhooks."
        raise Refused(problems.of(409, "too_many_webhooks", detail))
    return answers.response(answers.webhook_with_secret(webhook, secret), 201)


def _check(visit: Visit, url: str | UnsetType, patterns: Sequence[str] | UnsetType) -> None:
    """Raises Refused. What the URL's host leads to is judged each time it is asked."""
    if url is not UNSET:
        try:
            egress.check(url, visit.context.watch.current.egress_allowed)
        except egress.NotAllowed as error:
            detail = problems.sentence(str(error))
            raise Refused(problems.of(422, "invalid_url", detail, "url")) from None
    if patterns is not UNSET:
        for index, pattern in enumerate(patterns):
            if not subscriptions.is_pattern(pattern):
                detail = "There are no events of this type, and no such family of them."
                raise Refused(problems.of(422, "unknown_event", detail, f"events[{index}]"))


def _once(patterns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(patterns))


async def webhook_list(visit: Visit) -> web.Response:
    """All webhooks of the account."""
    async with visit.transaction() as opened:
        found = await stored.listed(opened, visit.account_id)
    return answers.response(answers.WebhookList([*map(answers.webhook, found)]))


async def webhook(visit: Visit) -> web.Response:
    """One webhook; 404 alike for another account's and for none."""
    webhook_id = _id_of(visit)
    async with visit.transaction() as opened:
        found = await stored.get(opened, visit.account_id, webhook_id)
    return answers.response(answers.webhook(_found(found)))


async def change_webhook(visit: Visit) -> web.Response:
    """The webhook as it is after the change."""
    webhook_id = _id_of(visit)
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(requests.change_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    _check(visit, body.url, body.events)
    async with visit.transaction() as opened:
        changed = await stored.change(
            opened,
            visit.account_id,
            webhook_id,
            stored.WebhookPatch(
                None if body.url is UNSET else body.url,
                None if body.events is UNSET else _once(body.events),
                None if body.state is UNSET else body.state,
            ),
        )
    return answers.response(answers.webhook(_found(changed)))


async def rotate_secret(visit: Visit) -> web.Response:
    """The webhook with a new secret, shown this once; the one before is good for a day more."""
    webhook_id = _id_of(visit)
    secret = signatures.make_secret()
    sealed = visit.context.vault.seal(secret)
    async with visit.transaction() as opened:
        rotated = await stored.rotate(opened, visit.account_id, webhook_id, sealed)
    return answers.response(answers.webhook_with_secret(_found(rotated), secret))


async def delete_webhook(visit: Visit) -> web.Response:
    """No webhook any more."""
    webhook_id = _id_of(visit)
    async with visit.transaction() as opened:
        if not await stored.delete(opened, visit.account_id, webhook_id):
            raise _missing()
    return web.Response(status=204)


async def replay_events(visit: Visit) -> web.Response:
    """The webhook as it is told once more of what follows a cursor."""
    webhook_id = _id_of(visit)
    query = queries.read(visit.request, queries.ReplayQuery)
    async with visit.transaction() as opened:
        _found(await stored.get(opened, visit.account_id, webhook_id))
        replayed = await stored.replay(opened, visit.account_id, webhook_id, query.after)
    if replayed is None:
        detail = "There is no event of this number yet."
        raise Refused(problems.of(422, "invalid_cursor", detail, "after"))
    return answers.response(answers.webhook(replayed), 202)


async def try_list(visit: Visit) -> web.Response:
    """What was tried of late, newest first."""
    webhook_id = _id_of(visit)
    query = queries.read(visit.request, queries.TriesQuery)
    async with visit.transaction() as opened:
        _found(await stored.get(opened, visit.account_id, webhook_id))
        found = await stored.tries(
            opened, visit.account_id, webhook_id, query.cursor, TRY_PAGE_COUNT
        )
    is_last = len({each.page_id for each in found}) < TRY_PAGE_COUNT
    cursor = None if is_last else str(found[-1].page_id)
    return answers.response(answers.WebhookTryPage([*map(answers.webhook_try, found)], cursor))
