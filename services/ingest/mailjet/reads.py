"""What became of messages: a list, one of it, and how many there are. Each query is bound to its
account."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from services.ingest.mailjet import answers, faults, queries
from services.ingest.web.entrance import Visit
from shared.db import message_windows
from shared.db.message_windows import SECOND_MAX, MessageWindow
from shared.shapes import mailjet as shapes


async def message_list(visit: Visit) -> web.Response:
    """A part of the account's messages, newest first."""
    window = queries.window(visit)
    limit, offset = queries.stretch(visit.request)
    async with visit.listing() as opened:
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
    async with visit.listing() as opened:
        found = await message_windows.count(opened, visit.account_id, window)
    return answers.response(answers.SmsCount(found))
