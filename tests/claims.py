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
        "SELECT message_id, segment_count, carrier_id FROM work"
        " WHERE message_id = ANY ($1::uuid[])",
        message_ids,
    )
    epoch = await limits.epoch(connection)
    claimed: list[work.Claimed] = []
    for carrier_id in {row["carrier_id"] for row in rows}:
        counts = {
            row["message_id"]: row["segment_count"]
            for row in rows
            if row["carrier_id"] == carrier_id
        }
        found = await work.claim(connection, counts, worker_id, epoch, {}, carrier_id)
        claimed += found.messages
    return claimed
