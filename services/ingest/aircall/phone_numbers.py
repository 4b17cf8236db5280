"""Numbers, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from aiohttp import web

from services.ingest.aircall import answers, faults, requests
from services.ingest.web import lines
from services.ingest.web.entrance import Visit
from shared.rules.lines import Line
from shared.shapes import aircall as shapes
from shared.web.problems import Refused


async def ping(_visit: Visit) -> web.Response:
    """That somebody is there."""
    return answers.response({"ping": "pong"})


async def company(visit: Visit) -> web.Response:
    """The account. It has no users here, only tokens."""
    counted = {"users_count": 0, "numbers_count": len(_all(visit))}
    return answers.response({"company": {"name": visit.account.name, **counted}})


async def number_list(visit: Visit) -> web.Response:
    """A page of the account's numbers, in the order of their ids."""
    page = requests.page(visit.request)
    found = _all(visit)
    root = answers.root_of(visit.request)
    shown = [shapes.number(line, root) for line in page.of(found)]
    return answers.response({"meta": page.meta(visit, len(shown), len(found)), "numbers": shown})


def _all(visit: Visit) -> Sequence[Line]:
    return visit.context.watch.current.lines.of_account(visit.account_id, shapes.is_number)


async def number(visit: Visit) -> web.Response:
    """One number."""
    shown = shapes.number(of_path(visit), answers.root_of(visit.request))
    return answers.response({"number": shown})


async def registration_status(visit: Visit) -> web.Response:
    """How far the number's registration has come; its `type` is null where none is needed."""
    line = of_path(visit)
    registration = line.registration
    return answers.response(
        {
            "registration_status": {
                "number_id": line.line_id,
                "type": registration.kind,
                "status": registration.state,
                "registered": registration.holds_at(datetime.now(UTC)),
                "brand": registration.brand,
                "campaign": registration.campaign,
                "from": registration.from_,
                "until": registration.until,
            }
        }
    )


def of_path(visit: Visit) -> Line:
    """The number that the path names. Raises Refused with 404 for another's, for none, and for a
    line that is no number, alike."""
    try:
        line = lines.own(visit, visit.request.match_info["id"])
    except Refused:
        raise faults.missing("number") from None
    if not shapes.is_number(line):
        raise faults.missing("number")
    return line
