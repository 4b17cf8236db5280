"""Exports: ordered, watched, fetched, taken away. Another account's are not there."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from aiohttp import web

from services.ingest.native import answers, reads, requests
from services.ingest.native import statistics_shapes as shapes
from services.ingest.web import bodies, export_files
from services.ingest.web.entrance import Visit
from shared.db import exports as stored
from shared.db import message_statistics
from shared.db.exports import ExportKind, ExportOrder, StoredExport
from shared.web import problems
from shared.web.problems import Problem, Refused

LINK_SECONDS = 3600
"""How long a link is good that needs no token."""
BACK_DAYS_MAX = 366
_DAY = timedelta(days=1)
_EXPORT_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def _missing() -> Refused:
    return Refused(problems.of(404, "no_such_export", "The account has no export with this id."))


def _id_of(visit: Visit) -> int:
    text = visit.request.match_info["export_id"]
    if not _EXPORT_ID.fullmatch(text) or int(text) >= 2**63:
        raise _missing()
    return int(text)


async def create_export(visit: Visit) -> web.Response:
    """An export that is going to be written (M49, M56)."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(shapes.body_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    order = _order(body)
    async with visit.transaction() as opened:
        if order.kind is ExportKind.STATISTICS:
            order = _whole_days(order, await message_statistics.begin(opened))
        try:
            made = await stored.request(opened, visit.account_id, order)
        except stored.TooManyExports as error:
            raise Refused(problems.of(409, "too_many_exports", str(error))) from None
    return answers.response(_shown(visit, made), 202)


def _order(body: shapes.ExportBody) -> ExportOrder:
    now = datetime.now(UTC)
    from_at = reads.moment_of("created_from", body.created_from)
    until = reads.moment_of("created_until", body.created_until)
    to_at = now if until is None else min(until, now)
    if from_at is None or from_at < now - BACK_DAYS_MAX * _DAY:
        detail = "An export begins at most a year back."
        raise Refused(problems.of(422, "out_of_range", detail, "created_from"))
    if to_at <= from_at:
        detail = "Nothing lies between the two times; created_until is not after created_from."
        raise Refused(problems.of(422, "out_of_range", detail, "created_until"))
    return ExportOrder(
        kind=body.kind,
        format=body.format,
        from_at=from_at,
        to_at=to_at,
        statuses=shapes.statuses_of(body.status, body.outcome),
        country=shapes.given(body.country),
        message_class=shapes.class_of(body.message_class),
    )


def _whole_days(order: ExportOrder, begin: date) -> ExportOrder:
    """Statistics know days alone, of the last three months."""
    first = max(order.from_at.date(), begin)
    last = (order.to_at - timedelta(microseconds=1)).date()
    if last < first:
        detail = f"Statistics are of the last three months, from {begin} on."
        raise Refused(problems.of(422, "out_of_range", detail, "created_until"))
    from_at = datetime(first.year, first.month, first.day, tzinfo=UTC)
    to_at = datetime(last.year, last.month, last.day, tzinfo=UTC) + _DAY
    return replace(order, from_at=from_at, to_at=to_at)


async def export_list(visit: Visit) -> web.Response:
    """All exports of the account that have not expired."""
    async with reads.reading(visit) as opened:
        found = await stored.listed(opened, visit.account_id)
    return answers.response(shapes.ExportList([_shown(visit, each) for each in found]))


async def _find(visit: Visit) -> StoredExport:
    export_id = _id_of(visit)
    async with reads.reading(visit) as opened:
        found = await stored.find(opened, visit.account_id, export_id)
    if found is None:
        raise _missing()
    return found


async def export(visit: Visit) -> web.Response:
    """One export, with a fresh link once its file is there."""
    return answers.response(_shown(visit, await _find(visit)))


async def delete_export(visit: Visit) -> web.Response:
    """Canceled, or its file taken away, and its links with it."""
    export_id = _id_of(visit)
    async with visit.transaction() as opened:
        if not await stored.delete(opened, visit.account_id, export_id):
            raise _missing()
    return web.Response(status=204)


async def export_content(visit: Visit) -> web.StreamResponse:
    """The file, as soon as all of it is written."""
    return await export_files.send(visit.context.pool, visit.request, await _find(visit))


def _shown(visit: Visit, found: StoredExport) -> shapes.ExportJob:
    if found.state != "completed":
        return shapes.export(found, None, None)
    until = min(found.expires_at, datetime.now(UTC) + timedelta(seconds=LINK_SECONDS))
    return shapes.export(
        found, export_files.link(visit, found.export_id, until), until.replace(microsecond=0)
    )
