"""What a producer may ask for in a query, however its client spells it.

Of a filter that is given twice the first counts, and of those that are none, nothing does: so the
vendor does. Lists come as `a,b` or as `name[]=a&name[]=b`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from aiohttp import web

from services.ingest.mailjet import faults
from services.ingest.web.entrance import Visit
from shared.db.message_windows import SECOND_MAX, MessageWindow
from shared.shapes import mailjet as shapes
from shared.shapes.mailjet import StatusCode

COUNT: Final = 10
COUNT_MAX: Final = 1_000
OFFSET_MAX: Final = 2**31 - 1
WINDOW_SECONDS: Final = 92 * 86_400
"""Three months, where a query does not say from when on."""
ID_COUNT_MAX: Final = 1_000

_DIGITS_MAX = 18
_NUMBER = re.compile(r"\+[0-9]{1,15}", re.ASCII)


def _several(request: web.Request, name: str) -> list[str] | None:
    """All values of a list; None: it is not asked for."""
    query = request.query
    given = query.getall(f"{name}[]", ()) or query.getall(name, ())[:1]
    return [part.strip() for each in given for part in each.split(",")] if given else None


def window(visit: Visit) -> MessageWindow:
    """Which messages are asked for. Raises Refused."""
    request = visit.request
    query = request.query
    to_second = moment(query.get("ToTS"), "ToTS")
    from_second = moment(query.get("FromTS"), "FromTS")
    ids = _several(request, "IDs")
    codes = _several(request, "StatusCode")
    return MessageWindow(
        int(time.time()) - WINDOW_SECONDS if from_second is None else from_second,
        SECOND_MAX if to_second is None else to_second,
        recipient=_recipient(query.get("To")),
        standings=None if codes is None else shapes.standings(map(_status_code, codes)),
        ids=None if ids is None else list(_uuids(ids)),
        hidden=sorted(hidden(visit)),
    )


def hidden(visit: Visit) -> frozenset[str]:
    """Senders of the account that are in API mode: what they send is for that API alone (A9)."""
    return visit.context.watch.current.api_senders.get(visit.account_id, frozenset())


def stretch(request: web.Request) -> tuple[int, int]:
    """(how many, after how many). Raises Refused."""
    limit = _number(request.query.get("Limit"), "Limit", COUNT)
    if limit > COUNT_MAX:
        detail = f"At most {COUNT_MAX} messages are listed at once; 0 is as many."
        raise faults.invalid("above_maximum", detail, "Limit")
    offset = _number(request.query.get("Offset"), "Offset", 0)
    return limit or COUNT_MAX, min(offset, OFFSET_MAX)


def _number(text: str | None, name: str, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise faults.invalid("wrong_type", "Expected a whole number that is not negative.", name)
    return int(text)


def moment(given: object, name: str) -> int | None:
    """A time as Unix seconds, of a number or RFC 3339; one that no calendar holds is far in the
    future. None for none. Raises Refused."""
    if given is None:
        return None
    if isinstance(given, int) and not isinstance(given, bool):
        return _in_range(given, name)
    if not isinstance(given, str):
        detail = "Expected a time: Unix seconds, or RFC 3339."
        raise faults.invalid("wrong_type", detail, name)
    if given.removeprefix("-").isdigit() and given.isascii():
        return _in_range(int(given[:_DIGITS_MAX]), name)
    return _in_range(_of_calendar(given, name), name)


def _in_range(second: int, name: str) -> int:
    if second < 0:
        raise faults.invalid("invalid_time", "A time is not before 1970.", name)
    return min(second, SECOND_MAX)


def _of_calendar(text: str, name: str) -> int:
    if not text[:4].isdigit() or "-" not in text:
        detail = "Expected a time: Unix seconds, or RFC 3339."
        raise faults.invalid("wrong_type", detail, name)
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        detail = "There is no such time; RFC 3339 writes 2026-01-31T12:00:00Z."
        raise faults.invalid("invalid_time", detail, name) from None


def _recipient(text: str | None) -> str | None:
    """The number, whose plus may have come as a blank; "", which nobody has, for what is none."""
    if text is None:
        return None
    number = f"+{text[1:]}" if text.startswith(" ") else text
    return number if _NUMBER.fullmatch(number) else ""


def _status_code(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise faults.invalid("wrong_type", "Expected numbers with commas between.", "StatusCode")
    if len(text) > _DIGITS_MAX or int(text) not in _STATUS_CODES:
        detail = f"There is no such status; there are 0 to {max(StatusCode)}."
        raise faults.invalid("unknown_status_code", detail, "StatusCode")
    return int(text)


_STATUS_CODES: Final[Mapping[int, StatusCode]] = {int(code): code for code in StatusCode}


def _uuids(texts: Iterable[str]) -> Iterable[UUID]:
    """Those that are ids of messages here."""
    for text in list(texts)[:ID_COUNT_MAX]:
        found = uuid_of(text)
        if found is not None:
            yield found


def uuid_of(text: str) -> UUID | None:
    """An id as it stands in a path; None for what is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
