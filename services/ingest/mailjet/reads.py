"""What became of messages: a list, one of it, and how many there are. Each query is bound to its
account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from aiohttp import web

from services.ingest.mailjet import answers, faults, queries
from services.ingest.web.entrance import Visit
from shared.db import message_windows
from shared.db.connection import Connection
from shared.db.message_windows import SECOND_MAX, MessageWindow
from shared.shapes import mailjet as shapes

LOOK_SECONDS: Final = 3.0
"""What takes longer to go through would be asked for again and again, if it were answered that the
same request may be made again: some clients do so by themselves."""


@asynccontextmanager
async def _looking(visit: Visit) -> AsyncIterator[Connection]:
    """A connection to go through the account's messages. Raises Refused where these are so many
    that LOOK_SECONDS do not suffice."""
    async with visit.listing() as opened:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                yield opened
        except TimeoutError:
            detail = "These are too many messages to look at; narrow FromTS and ToTS."
            raise faults.invalid("too_many_messages", detail, "FromTS") from None


async def message_list(visit: Visit) -> web.Response:
    """A part of the account's messages, newest first."""
    window = queries.window(visit)
    limit, offset = queries.stretch(visit.request)
    async with _looking(visit) as opened:
        rows = await message_windows.page(opened, visit.account_id, window, limit, offset)
    return answers.response(answers.SmsPage([shapes.listed(row) for row in rows]))


async def message(visit: Visit) -> web.Response:
    """One message, in a list; 404 alike for another account's and for none."""
    message_id = queries.uuid_of(visit.request.match_info["id"])
    if message_id is None:
        raise faults.missing("message")
    window = MessageWindow(0, SECOND_MAX, ids=[message_id])
    async with visit.transaction() as opened:
        rows = await message_windows.page(opened, visit.account_id, window, 1, 0)
    if not rows:
        raise faults.missing("message")
    if rows[0].message.sender in queries.hidden(visit):
        detail = "The line is in API mode; what it sends is for that API alone."
        raise faults.forbidden("wrong_mode", detail)
    return answers.response(answers.SmsPage([shapes.listed(row) for row in rows]))


async def message_count(visit: Visit) -> web.Response:
    """How many messages the account has in a stretch of time."""
    window = replace(queries.window(visit), ids=None)
    async with (
        _looking(visit) as opened,
        opened.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await message_windows.count(opened, visit.account_id, window)
    return answers.response(answers.SmsCount(found))
