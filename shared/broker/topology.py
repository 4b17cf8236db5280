"""Every queue there is, its name by one rule, its arguments, and how it comes to exist."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aiormq.exceptions import ChannelNotFoundEntity

from shared.broker import link
from shared.sms.classes import CLASSES

_log = structlog.get_logger()

RECEIPTS = "receipts"
DEAD = "dead"
"""Deliveries that nobody could read, for a person to look at."""

OPERATION_SECONDS = 10.0

_ARGUMENTS: dict[str, str | int] = {
    # Confirmed means written and synced, on one node as on three.
    "x-queue-type": "quorum",
    # Poison is counted in PostgreSQL; this only ends an endless loop.
    "x-delivery-limit": 1000,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
}


def mt_queue(carrier_name: str, message_class: int) -> str:
    """The queue of work for one carrier and class: a sick carrier blocks nobody, a code no
    mailing."""
    return f"mt.{carrier_name}.{CLASSES[message_class]}"


def of_mt_queue(queue: str) -> tuple[str, int]:
    """The carrier's name and the class that `mt_queue` made this name of."""
    carrier_name, _, class_name = queue.removeprefix("mt.").rpartition(".")
    return carrier_name, CLASSES.index(class_name)


def mt_queues(carrier_name: str) -> list[str]:
    """A carrier's queues, most urgent first."""
    return [mt_queue(carrier_name, number) for number in range(len(CLASSES))]


def restored_by(
    restore: Callable[[str, int], Awaitable[int]],
) -> Callable[[str], Awaitable[None]]:
    """For queues of work, as `on_missing` of `ensure`: `restore` makes ready again what was
    published for a carrier, by its name, and a class, and returns how many rows."""

    async def on_missing(queue: str) -> None:
        count = await restore(*of_mt_queue(queue))
        _log.warning("queue_was_missing", queue=queue, message_count=count)

    return on_missing


async def nothing_to_restore(_queue: str) -> None:
    """For queues whose loss PostgreSQL cannot make good, as `on_missing` of `ensure`."""


async def ensure(
    connection: AbstractConnection, name: str, on_missing: Callable[[str], Awaitable[None]]
) -> None:
    """Make sure a queue exists. If it did not, `on_missing` is called *before* it is made: a broker
    that lost its disk has lost what was published, and what PostgreSQL holds must be published
    again (law 1). If that fails, whatever the reason, the queue is not made: NotRestored.
    Idempotent; several processes may do it at once."""
    async with connection.channel() as channel:
        try:
            await channel.declare_queue(name, passive=True, timeout=OPERATION_SECONDS)
            return
        except ChannelNotFoundEntity:
            pass
    try:
        await on_missing(name)
    except Exception as error:
        raise link.NotRestored(f"{name}: {type(error).__name__}") from error
    async with connection.channel() as channel:
        await declare(channel, name)


async def declare(channel: AbstractChannel, name: str) -> AbstractQueue:
    """Declare a queue as it must be."""
    arguments = {"x-queue-type": "quorum"} if name == DEAD else _ARGUMENTS
    return await channel.declare_queue(
        name, durable=True, arguments=dict(arguments), timeout=OPERATION_SECONDS
    )


async def ready_count(connection: AbstractConnection, name: str) -> int:
    """How many deliveries wait in a queue that exists; raises ChannelNotFoundEntity if it does
    not."""
    async with asyncio.timeout(OPERATION_SECONDS), connection.channel() as channel:
        queue = await channel.declare_queue(name, passive=True)
        return queue.declaration_result.message_count or 0


async def purge(connection: AbstractConnection, name: str) -> None:
    """Delete what waits in a queue; what consumers hold stays theirs."""
    async with connection.channel() as channel:
        queue = await channel.declare_queue(name, passive=True, timeout=OPERATION_SECONDS)
        await queue.purge(timeout=OPERATION_SECONDS)
