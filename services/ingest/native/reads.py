"""GET: what became of messages, what happened, what is left. Each query is bound to its account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from aiohttp import web
from msgspec import UNSET, UnsetType

from services.ingest.native import answers, queries, requests
from services.ingest.web import counts, entrance, waiters
from services.ingest.web.entrance import Visit
from shared.db import connection, events, inbound, listing, messages, traces
from shared.shapes import message as shapes
from shared.shapes import message_trace as trace_shapes
from shared.sms import e164
from shared.web import problems
from shared.web.problems import Refused

READ_SECONDS = 5.0

Row = TypeVar("Row")


@asynccontextmanager
async def reading(visit: Visit) -> AsyncIterator[connection.Connection]:
    """A connection for a short question, or TimeoutError."""
    async with asyncio.timeout(READ_SECONDS), visit.context.pool.acquire() as opened:
        yield opened


async def message(visit: Visit) -> web.Response:
    """One message with its parts; 404 alike for another account's and for none."""
    message_id = queries.uuid_of(visit.request.match_info["id"])
    found = None
    if message_id is not None:
        async with reading(visit) as opened:
            found = await messages.get(opened, visit.account_id, message_id)
            parts = await messages.parts(opened, message_id) if found else []
    if found is None:
        raise no_such_message()
    check_mode(visit, found.sender)
    return await answer_with(visit, found, parts)


async def answer_with(
    visit: Visit, found: messages.StoredMessage, parts: Sequence[messages.Part]
) -> web.Response:
    """A message with its parts, and when it leaves if it still waits for that."""
    shown = shapes.shown_with_parts(found, parts)
    async with asyncio.timeout(READ_SECONDS):
        departs_at = await visit.context.departures.of_waiting(visit.account_id, found)
    return answers.response(shown if departs_at is None else answers.waiting(shown, departs_at))


def no_such_message() -> Refused:
    """404, alike for another account's and for none."""
    return Refused(problems.of(404, "no_such_message", "The account has no message with this id."))


def check_mode(visit: Visit, sender: str) -> None:
    """Raises Refused for what belongs to a line in API mode: it is for that API alone (A9)."""
    if sender in in_api_mode(visit):
        detail = "The line is in API mode; what it sends and gets is for that API alone."
        raise Refused(problems.of(403, "wrong_mode", detail))


def in_api_mode(visit: Visit) -> AbstractSet[str]:
    """The senders of the account's lines in API mode."""
    return visit.context.watch.current.api_senders.get(visit.account_id, frozenset())


async def message_trace(visit: Visit) -> web.Response:
    """Everything that happened to a message; 404 alike for another account's and for none. The
    recipient is the account's own, so its number is shown."""
    message_id = queries.uuid_of(visit.request.match_info["id"])
    stored = None
    if message_id is not None:
        async with reading(visit) as opened:
            await events.number(opened)
            async with opened.transaction(isolation="repeatable_read", readonly=True):
                stored = await traces.read(opened, visit.account_id, message_id)
    if stored is None:
        raise no_such_message()
    check_mode(visit, stored.message.sender)
    return answers.response(trace_shapes.shown(stored, mask=None))


async def message_list(visit: Visit) -> web.Response:
    """A page of the account's messages, newest first; without those of lines in API mode."""
    query = queries.read(visit.request, queries.ListQuery)
    wanted = _filter_of(query)
    async with visit.listing() as opened:
        found, before = await listing.page(opened, visit.account_id, wanted, query.limit)
    cursor = None if before is None else str(before)
    hidden = in_api_mode(visit)
    page = [shapes.shown(each) for each in found if each.sender not in hidden]
    return answers.response(answers.MessagePage(page, cursor))


def _filter_of(query: queries.ListQuery) -> listing.Filter:
    if query.to is not UNSET:
        check_recipient(query.to)
    reference = checked_reference(query.reference)
    before = None
    if query.cursor is not UNSET and (before := queries.uuid_of(query.cursor)) is None:
        raise Refused(
            problems.of(422, "invalid_cursor", "Not a cursor that a page has given.", "cursor")
        )
    return listing.Filter(
        status=None if query.status is UNSET else query.status.value,
        recipient=None if query.to is UNSET else query.to,
        reference=reference,
        created_from=moment_of("created_from", query.created_from),
        created_until=moment_of("created_until", query.created_until),
        before=before,
    )


def check_recipient(number: str) -> None:
    """Raises Refused for a filter that is no number."""
    try:
        e164.parse(number)
    except e164.InvalidNumber:
        detail = "Not a number in E.164; in a query, its '+' is written %2B."
        raise Refused(problems.of(422, "invalid_recipient", detail, "to")) from None


def checked_reference(given: str | UnsetType) -> str | None:
    """A filter by reference, or none. Raises Refused for what no reference can be."""
    reference = None if given is UNSET else given
    if reference and (fault := requests.unstorable("reference", reference)):
        raise Refused(fault)
    return reference


def moment_of(name: str, given: datetime | UnsetType) -> datetime | None:
    """The time in UTC, which at the edges of the calendar may have no date there."""
    if given is UNSET:
        return None
    try:
        return given.astimezone(UTC)
    except OverflowError:
        detail = "The time is not between the years 1 and 9999 in UTC."
        raise Refused(problems.of(422, "out_of_range", detail, name)) from None


async def event_list(visit: Visit) -> web.Response:
    """The events that follow a cursor: at once, or as soon as there is one."""
    query = queries.read(visit.request, queries.EventsQuery)
    found = await _following(visit, "events", query, events.after)
    return answers.response(answers.event_page(found, query.after))


async def inbound_list(visit: Visit) -> web.Response:
    """What phones have sent to the account since a cursor: at once, or as soon as there is any;
    without what came to lines in API mode."""
    query = queries.read(visit.request, queries.InboundQuery)
    hidden = sorted(in_api_mode(visit))

    async def after(
        opened: connection.Connection, account_id: int, sequence: int, limit: int
    ) -> list[inbound.StoredInbound]:
        found = await inbound.after(opened, account_id, sequence, limit, hidden)
        return await inbound.with_texts(opened, visit.context.seals, found)

    found = await _following(visit, "inbound", query, after)
    return answers.response(answers.inbound_page(found, query.after))


async def _following(
    visit: Visit,
    log: waiters.Log,
    query: queries.EventsQuery,
    after: Callable[[connection.Connection, int, int, int], Awaitable[list[Row]]],
) -> list[Row]:
    """What follows the query's cursor; without a connection while there is nothing."""
    began_at = asyncio.get_running_loop().time()
    seen = query.after
    while True:
        async with reading(visit) as opened:
            found = await after(opened, visit.account_id, query.after, query.limit)
        if found or not query.wait:
            return found
        waited_seconds = asyncio.get_running_loop().time() - began_at
        head = await visit.context.waiters.beyond(
            visit.account_id, log, seen, query.wait - waited_seconds, partial(_is_gone, visit)
        )
        visit.request[counts.WAITED] = asyncio.get_running_loop().time() - began_at
        if head is None:
            return []
        await entrance.check_again(visit)
        # If all that follows the cursor is too old to be kept, only what is newer counts.
        seen = head


def _is_gone(visit: Visit) -> bool:
    return visit.request.transport is None or visit.request.transport.is_closing()
