"""An account's lines, and what is used of their limits."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from operator import attrgetter

from aiohttp import web

from services.ingest.native import answers, queries
from services.ingest.native.reads import reading
from services.ingest.web import lines
from services.ingest.web.entrance import Visit
from shared.db import limits
from shared.limits import usage
from shared.shapes import line as shapes


async def line_list(visit: Visit) -> web.Response:
    """A page of the account's lines, in the order of their ids."""
    query = queries.read(visit.request, queries.LinesQuery)
    own = visit.context.watch.current.lines.of_account(visit.account_id)
    start = bisect_right(own, query.cursor, key=attrgetter("line_id"))
    page = own[start : start + query.limit]
    cursor = page[-1].line_id if start + query.limit < len(own) else None
    return answers.response(answers.LinePage([*map(shapes.shown, page)], cursor))


async def line(visit: Visit) -> web.Response:
    """One line; 404 alike for another account's and for none."""
    return answers.response(shapes.shown(lines.own(visit, visit.request.match_info["line_id"])))


async def line_limits(visit: Visit) -> web.Response:
    """What is used of every limit that messages from a line meet: as the limiter holds it, or else,
    where it knows nothing or is away, by the records."""
    found = lines.own(visit, visit.request.match_info["line_id"])
    met = [*usage.met_by(visit.context.watch.current, found)]
    async with reading(visit) as opened:
        epoch = await limits.epoch(opened)
    names = [each.name for each in met]
    used = await usage.live(visit.context.permits, epoch, names)
    if missing := [name for name in names if name not in used]:
        async with reading(visit) as opened:
            used |= await usage.recorded(opened, missing)
    return answers.response(shapes.limits_shown(found, met, used, datetime.now(UTC)))
