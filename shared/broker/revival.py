"""Queues that RabbitMQ brings back dead: proved dead, deleted, and made anew.

Killed within seconds of making a quorum queue, RabbitMQ 3.10 may come back with one that can be
declared, but neither published to nor read, whatever one waits and however often it is restarted.
What it held is out of reach for ever; of work PostgreSQL has it all (law 1).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog
from aio_pika.abc import AbstractConnection

from shared.broker import link, topology

_log = structlog.get_logger()

PAUSE_SECONDS = 1.0
DELETE_SECONDS = 30.0
"""RabbitMQ asks a dead queue for five seconds before it deletes it."""
FORGET_SECONDS = 60
"""So long after its last use RabbitMQ deletes a queue that was only made to compare with."""


class Patience(NamedTuple):
    """How long a queue may be silent, in seconds: on one question, and in all."""

    answer_seconds: float = 5.0
    work_seconds: float = 15.0
    receipts_seconds: float = 300.0
    """Nothing restores receipts, and a cluster that lost two nodes of three is silent too."""

    def silence_seconds(self, queue: str) -> float:
        """How long this queue must have been silent to count as dead."""
        return self.receipts_seconds if queue == topology.RECEIPTS else self.work_seconds


PATIENCE = Patience()


async def replace_if_dead(
    url: str, queue: str, on_missing: Callable[[str], Awaitable[None]], patience: Patience
) -> None:
    """Delete a queue that is proved dead, and make it anew as `topology.ensure` does: with its rows
    made ready first. One process at a time looks at a queue; faults leave it as it was.

    The questions go over a fresh connection that never publishes, so an alarm, which holds up
    publishers, does not hold it up: there a living queue answers.
    """
    name = f"revival-{queue}"
    try:
        async with link.passing(url, name) as connection, connection.channel() as channel:
            # Exclusive to this connection: another process that is at it keeps us out.
            await channel.declare_queue(
                f"revival.{queue}", exclusive=True, timeout=topology.OPERATION_SECONDS
            )
            # With the queue go the connections that still wait for its answer.
            async with link.passing(url, name) as asking:
                if not await _is_dead(asking, queue, patience):
                    return
                _log.error("queue_is_dead", queue=queue)
                await channel.queue_delete(queue, timeout=DELETE_SECONDS)
            await topology.ensure(connection, queue, on_missing)
            _log.warning("dead_queue_made_anew", queue=queue)
    except Exception as error:
        if not link.is_fault(error):
            raise
        _log.info("queue_not_examined", queue=queue, error=type(error).__name__)


async def _is_dead(connection: AbstractConnection, queue: str, patience: Patience) -> bool:
    """Whether the queue is there and silent all the time, while another one made just now answers
    each time: so it is neither the broker nor its disk."""
    began = time.monotonic()
    while True:
        if await _answers(connection, queue, patience.answer_seconds):
            return False
        if not await _another_answers(connection, patience.answer_seconds):
            return False
        if time.monotonic() - began >= patience.silence_seconds(queue):
            return True
        await asyncio.sleep(PAUSE_SECONDS)


async def _answers(connection: AbstractConnection, queue: str, seconds: float) -> bool:
    """Whether a queue that exists says what is first in it. The answer takes the same way through
    the queue's log as a publish does. Raises ChannelNotFoundEntity when there is no such queue."""
    async with connection.channel() as channel:
        found = await channel.declare_queue(queue, passive=True, timeout=topology.OPERATION_SECONDS)
        try:
            first = await found.get(fail=False, timeout=seconds)
        except TimeoutError:
            return False
        if first is not None:
            await first.reject(requeue=True)
        return True


async def _another_answers(connection: AbstractConnection, seconds: float) -> bool:
    name = f"revival.{uuid.uuid4().hex}"
    async with connection.channel() as channel:
        await channel.declare_queue(
            name,
            durable=True,
            arguments={"x-queue-type": "quorum", "x-expires": FORGET_SECONDS * 1000},
            timeout=topology.OPERATION_SECONDS,
        )
        answered = await _answers(connection, name, seconds)
        await channel.queue_delete(name, timeout=topology.OPERATION_SECONDS)
        return answered
