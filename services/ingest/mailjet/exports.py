"""Exports of messages: ordered, watched, and fetched by a link."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from services.ingest.mailjet import answers, faults, queries, requests
from services.ingest.web import export_files
from services.ingest.web.entrance import Visit
from shared.db import exports as stored
from shared.db.exports import ExportKind, ExportOrder, StoredExport
from shared.db.tabular import FileFormat
from shared.shapes import mailjet as shapes
from shared.web import problems
from shared.web.problems import Refused

BACK_SECONDS_MAX: Final = 366 * 86_400
_ID_DIGITS_MAX: Final = 18
_SECOND: Final = timedelta(seconds=1)
_LAST_SECOND: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
"""Of the calendar, and more than any message has."""


async def request_export(visit: Visit) -> web.Response:
    """An export that is going to be written (M49): the bounds are in the body, or in the query."""
    query = visit.request.query
    bounds: dict[str, object] = {name: query[name] for name in query}
    if visit.request.can_read_body:
        bounds |= await requests.read(visit)
    order = _order(_bound(bounds, "FromTS"), _bound(bounds, "ToTS"))
    async with visit.transaction() as opened:
        try:
            made = await stored.request(opened, visit.account_id, order)
        except stored.TooManyExports as error:
            raise Refused(problems.of(409, "too_many_exports", str(error))) from None
    return answers.response(_shown(visit, made))


def _bound(bounds: dict[str, object], name: str) -> int:
    second = queries.moment(bounds.get(name), name)
    if second is None:
        raise faults.invalid("missing_field", f"{name} is required.", name)
    return min(second, _LAST_SECOND)


def _order(from_second: int, to_second: int) -> ExportOrder:
    if from_second < time.time() - BACK_SECONDS_MAX:
        detail = "FromTS may be one year back at most."
        raise faults.invalid("invalid_time", detail, "FromTS")
    if to_second < from_second:
        raise faults.invalid("invalid_time", "ToTS is before FromTS.", "ToTS")
    return ExportOrder(
        kind=ExportKind.MESSAGES,
        format=FileFormat.CSV,
        from_at=datetime.fromtimestamp(from_second, UTC),
        to_at=datetime.fromtimestamp(to_second, UTC) + _SECOND,
    )


async def export(visit: Visit) -> web.Response:
    """How far an export has come, with a link to the file once all of it is there."""
    text = visit.request.match_info["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS_MAX):
        raise faults.invalid("wrong_type", "An export's id is a number.", "ID")
    async with visit.transaction() as opened:
        found = await stored.find(opened, visit.account_id, int(text))
    if found is None or found.kind != ExportKind.MESSAGES:
        raise faults.missing("export")
    return answers.response(_shown(visit, found))


async def export_without_id(_visit: Visit) -> web.Response:
    """What a client asks for that has lost the id."""
    raise faults.invalid("missing_field", "An export's id is required.", "ID")


def _shown(visit: Visit, found: StoredExport) -> shapes.OrderedExport:
    url = None
    if found.state == "completed":
        url = export_files.link(visit, found.export_id, found.expires_at)
    return shapes.export(found, url)
