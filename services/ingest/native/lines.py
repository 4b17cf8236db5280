"""An account's lines, and what is used of their limits."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from operator import attrgetter

from aiohttp import web

from services.ingest.native import answers, queries
from services.ingest.native.reads import reading
from services.ingest.web.entrance import Visit
from shared.db import limits
from shared.limits import usage
from shared.rules import snapshot
from shared.shapes import line as shapes
from shared.web import problems
from shared.web.problems import Refused

_ID_LENGTH_MAX = 10


async def line_list(visit: Visit) -> web.Response:
    """A page of the account's lines, in the order of their ids."""
    query = queries.read(visit.request, queries.LinesQuery)
    own = visit.context.watch.current.lines_of.get(visit.account_id, ())
    start = bisect_right(own, query.cursor, key=attrgetter("line_id"))
    page = own[start : start + query.limit]
    cursor = page[-1].line_id if start + query.limit < len(own) else None
    return answers.response(answers.LinePage([*map(shapes.shown, page)], cursor))


async def line(visit: Visit) -> web.Response:
    """One line; 404 alike for another account's and for none."""
    return answers.response(shapes.shown(_own(visit)))


async def line_limits(visit: Visit) -> web.Response:
    """What is used of every limit that messages from a line meet: as the limiter holds it, or else,
    where it knows nothing or is away, by the records."""
    found = _own(visit)
    met = [*usage.met_by(visit.context.watch.current, found)]
    async with reading(visit) as opened:
        epoch = await limits.epoch(opened)
    names = [each.name for each in met]
    used = await usage.live(visit.context.permits, epoch, names)
    if missing := [name for name in names if name not in used]:
        async with reading(visit) as opened:
            used |= await usage.recorded(opened, missing)
    return answers.response(shapes.limits_shown(found, met, used, datetime.now(UTC)))


def _own(visit: Visit) -> snapshot.Line:
    """The line that the path names. Both answers are found in memory, at the same speed."""
    text = visit.request.match_info["line_id"]
    is_id = text.isascii() and text.isdigit() and len(text) <= _ID_LENGTH_MAX
    found = visit.context.watch.current.lines.get(int(text)) if is_id else None
    if found is None or found.account_id != visit.account_id:
        raise Refused(problems.of(404, "no_such_line", "The account has no line with this id."))
    return found
