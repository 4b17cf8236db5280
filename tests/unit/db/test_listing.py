"""Times of a filter as bounds of ids."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from shared.db.listing import DRIFT, Filter
from shared.runtime import ids


def test_ids_made_within_the_drift_of_a_moment_are_within_its_bounds() -> None:
    before = ids.uuid7()
    now = datetime.now(UTC)
    assert Filter(created_from=now).bounds[0] <= before < Filter(created_until=now).bounds[1]
    assert Filter(created_from=now + 2 * DRIFT).bounds[0] > before
    assert Filter(created_until=now - 2 * DRIFT).bounds[1] < before


def test_the_edges_of_the_calendar_have_bounds() -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert Filter(created_from=first, created_until=first).bounds == (UUID(int=0), UUID(int=0))
    assert ids.uuid7() < Filter(created_from=last).bounds[0] < Filter(created_until=last).bounds[1]


def test_a_cursor_is_an_upper_bound_and_so_is_a_time() -> None:
    cursor = ids.uuid7()
    last = datetime.max.replace(tzinfo=UTC)
    assert Filter(before=cursor, created_until=last).bounds == (UUID(int=0), cursor)
