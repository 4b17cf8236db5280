"""The audit: every check on one snapshot, read only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.db import audit_checks
from shared.db.audit_checks import Check
from shared.db.connection import Connection
from shared.sms import states

ROW_COUNT_MAX = 20
"""Offending rows named per check; all are counted."""
STATEMENT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: rows looked through, rows that break it, and the first of these."""

    check: Check
    examined_count: int
    breach_count: int
    rows: tuple[dict[str, str], ...]

    @property
    def is_breach(self) -> bool:
        """Whether the platform's books are wrong."""
        return self.breach_count > 0 and not self.check.warns_only


async def examine(connection: Connection) -> list[Finding]:
    """Run every check on one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(SETTINGS)
        counts: dict[str, int] = {}
        for table in sorted({check.table for check in audit_checks.CHECKS}):
            counts[table] = await connection.fetchval(
                f"SELECT count(*) FROM {table}"  # noqa: S608 - a name of our own
            )
        findings = [
            await _look(connection, check, counts[check.table]) for check in audit_checks.CHECKS
        ]
        findings.append(await _statuses(connection, counts[audit_checks.STATUSES.table]))
    return findings


# Sorting and hashing whole tables; the planner's compiler costs more than it gives here.
SETTINGS = "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off"
LOOK = """
WITH found AS MATERIALIZED ({})
SELECT *, (SELECT count(*) FROM found) AS breach_count FROM found LIMIT $1"""
"""A check's first rows, and how many there are. What is materialized is planned to be read to its
end; for the first few rows alone the planner would compare each message with each."""


async def _look(connection: Connection, check: Check, examined_count: int) -> Finding:
    found = await connection.fetch(LOOK.format(check.sql), ROW_COUNT_MAX)
    breach_count = found[0]["breach_count"] if found else 0
    return Finding(check, examined_count, breach_count, tuple(_shown(row.items()) for row in found))


async def _statuses(connection: Connection, examined_count: int) -> Finding:
    breach_count = 0
    rows: list[dict[str, str]] = []
    for combination in await connection.fetch(audit_checks.COMBINATIONS):
        status, words = combination["status"], combination["states"]
        if status == _status_of(words):
            continue
        breach_count += combination["message_count"]
        if (room := ROW_COUNT_MAX - len(rows)) > 0:
            found = await connection.fetch(audit_checks.OF_COMBINATION, status, words, room)
            rows += [_shown(row.items()) for row in found]
    return Finding(audit_checks.STATUSES, examined_count, breach_count, tuple(rows))


def _status_of(words: Sequence[str]) -> str | None:
    """The status of a message with segments in these states; None if one is no state of ours."""
    try:
        return states.status_of(states.SegmentState(word) for word in words)
    except ValueError:
        return None


def _shown(items: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Columns as text, without the count that stands in each row."""
    return {
        name: ",".join(value) if isinstance(value, list) else str(value)
        for name, value in items
        if name != "breach_count"
    }
