"""Claims without a limiter: what a test begins with when messages are to be on their way."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.db import limits, work
from shared.db.connection import Connection


async def claim(
    connection: Connection, message_ids: Sequence[UUID], worker_id: UUID
) -> list[work.Claimed]:
    """Claim these messages, as far as they wait, and charge nobody."""
    rows = await connection.fetch(
        "SELECT message_id, segment_count FROM work WHERE message_id = ANY ($1::uuid[])",
        message_ids,
    )
    counts = {row["message_id"]: row["segment_count"] for row in rows}
    epoch = await limits.epoch(connection)
    return (await work.claim(connection, counts, worker_id, epoch, {})).messages
