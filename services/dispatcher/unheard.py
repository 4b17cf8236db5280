"""Claims whose commit was not heard of: asked about until it is known what became of them, and
undone. None of what they claimed has left, so its tokens are free again."""

from __future__ import annotations

from collections import Counter

import structlog

from services.dispatcher import claim
from services.dispatcher.dispatch import Desk
from shared.db import connection, submits, trail
from shared.db.pool import ACQUIRE_SECONDS

_log = structlog.get_logger()


async def put_back(desk: Desk) -> None:
    """Queue again what this worker claimed without hearing of it. What another has ended meanwhile
    stays charged, for it may be counted already."""
    for transaction, granted in list(desk.unheard.items()):
        async with desk.pool.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
            committed = await connection.committed(opened, transaction)
            if committed is None:
                continue
            found = await submits.claimed_in(opened, desk.worker_id, transaction)
            requeued = await claim.requeue(opened, found, trail.TrailStep.PUT_BACK)
            ended = Counter(each.message_id for each in requeued)
            unused = [
                claim.Unused(item, permit, count)
                for item, permit in granted
                if (count := ended[item.message_id] if committed else permit.segment_count)
            ]
            if committed:
                await claim.discharge(opened, desk.worker_id, unused)
        desk.unheard.pop(transaction, None)
        _log.warning("claim_put_back", segment_count=len(found))
        await claim.give_back(desk.limiter, unused)


async def leave(desk: Desk) -> None:
    """The same once more before the worker goes; what stays is in doubt then."""
    try:
        await put_back(desk)
    except connection.TRANSIENT as error:
        _log.warning("left_unheard", error=type(error).__name__)
