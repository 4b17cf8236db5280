"""The line that a path names."""

from __future__ import annotations

from services.ingest.web.entrance import Visit
from shared.rules.lines import Line
from shared.web import problems
from shared.web.problems import Refused

_ID_LENGTH_MAX = 10


def own(visit: Visit, text: str) -> Line:
    """The account's line of this id. Another's, one that is none and what is no id are refused
    alike, and in the same time: all answers are found in memory. Raises Refused with 404."""
    is_id = text.isascii() and text.isdigit() and len(text) <= _ID_LENGTH_MAX
    found = visit.context.watch.current.lines.get(int(text)) if is_id else None
    if found is None or found.account_id != visit.account_id:
        raise missing()
    return found


def missing() -> Refused:
    """404 for a line."""
    return Refused(problems.of(404, "no_such_line", "The account has no line with this id."))
