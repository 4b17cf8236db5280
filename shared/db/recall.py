"""A message that has not left: its account may want it later, or not at all. Whoever has its row of
work decides, so of a claim and a cancellation exactly one finds it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.db import segments, trail
from shared.db.connection import Connection
from shared.sms.states import MessageStatus, SegmentState

REASON = "canceled_by_account"
OPERATOR_REASON = "canceled_by_operator"


class RecallResult(StrEnum):
    """What came of it."""

    DONE = "done"
    MISSING = "missing"  # the account has no such message
    TOO_LATE = "too_late"  # nothing has changed


# Of one whose other parts are under way, or may be on the phone already, no part is held back.
_TAKE = """
DELETE FROM work w USING messages m
WHERE w.message_id = $1 AND m.message_id = w.message_id AND w.segment_count = m.segment_count
  AND NOT EXISTS (SELECT FROM segments s WHERE s.message_id = w.message_id AND s.attempt_count > 0)
RETURNING w.message_id"""

_STATUS = "SELECT status FROM messages WHERE message_id = $1 AND account_id = $2"


async def cancel(
    connection: Connection, account_id: int, message_id: UUID, reason: str = REASON
) -> RecallResult:
    """Within a transaction: cancel and refund a message of which nothing may have left. To cancel
    what is canceled is done already."""
    status = await connection.fetchval(_STATUS, message_id, account_id)
    if status is None:
        return RecallResult.MISSING
    if await connection.fetchval(_TAKE, message_id) is not None:
        await segments.settle_waiting(connection, [message_id], SegmentState.CANCELED, reason)
        return RecallResult.DONE
    # Whoever had the row has committed by now.
    status = await connection.fetchval(_STATUS, message_id, account_id)
    return RecallResult.DONE if status == MessageStatus.CANCELED else RecallResult.TOO_LATE


# Put off for another try it is `scheduled` work as well, but no message that waits for its time.
# "Is true" keeps the planner from going through all that is scheduled.
_RESCHEDULE = """
WITH moved AS (
    UPDATE work w SET ready_at = $2, expires_at = $2::timestamptz + (m.expires_at - m.send_at)
    FROM messages m
    WHERE w.message_id = $1 AND (w.state = 'scheduled') IS TRUE
      AND m.message_id = w.message_id AND m.status = 'scheduled'
    RETURNING w.message_id, m.send_at AS old_send_at, w.expires_at
)
UPDATE messages m SET send_at = $2, expires_at = moved.expires_at, updated_at = now()
FROM moved WHERE m.message_id = moved.message_id
RETURNING moved.old_send_at"""


async def reschedule(
    connection: Connection, account_id: int, message_id: UUID, send_at: datetime
) -> RecallResult:
    """Within a transaction: send at another time what still waits for its own; it stays valid for
    as long as before."""
    if await connection.fetchval(_STATUS, message_id, account_id) is None:
        return RecallResult.MISSING
    old_send_at = await connection.fetchval(_RESCHEDULE, message_id, send_at)
    if old_send_at is None:
        return RecallResult.TOO_LATE
    step = trail.TrailStep.RESCHEDULED
    mark = trail.TrailMark(message_id, step, until=send_at, detail=old_send_at.isoformat())
    await trail.mark(connection, [mark])
    return RecallResult.DONE
