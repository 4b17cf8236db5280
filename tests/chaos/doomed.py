"""Dispatchers that kill themselves by SIGKILL at a named point of a message's way.

The product has no hooks: the function at the point is wrapped here, in that process alone. Each is
forked off a process that has read the code already, for reading it takes most of the time.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from services import __main__ as services


class When(StrEnum):
    """Where at the function the process dies."""

    BEFORE = "before"
    AFTER = "after"
    SENT = "sent"
    """When its bytes have left, before anything is heard of them."""


def _always(arguments: tuple[Any, ...], result: Any) -> bool:
    del arguments, result
    return True


class Point(NamedTuple):
    """`place` is module:function; `counts` says which of its calls, by their arguments and
    result (None before there is one), pass the point."""

    place: str
    when: When
    counts: Callable[[tuple[Any, ...], Any], bool] = _always
    passes_max: int = 5
    """How often a dispatcher may have passed it before."""


def _is_commit(arguments: tuple[Any, ...], result: Any) -> bool:
    del result
    return bool(arguments[1] == "COMMIT")


def _is_second_of_three(arguments: tuple[Any, ...], result: Any) -> bool:
    del result
    return (arguments[1].part, arguments[1].part_count) == (2, 3)


def _is_something(arguments: tuple[Any, ...], result: Any) -> bool:
    """Not for nothing."""
    return bool(arguments[1] if result is None else result)


def _is_released(arguments: tuple[Any, ...], result: Any) -> bool:
    del arguments
    return bool(result[0])


POINTS = {
    "bind leased": Point("shared.db.bind_leases:take", When.AFTER, _is_something, 1),
    "permit taken": Point("shared.limits.limiter:Limiter.take", When.AFTER),
    "claim not begun": Point("services.dispatcher.claim:claim", When.BEFORE),
    "claim not committed": Point("shared.db.work:claim", When.AFTER),
    "commit of the claim unheard": Point(
        "asyncpg.pool:PoolConnectionProxy.execute", When.SENT, _is_commit
    ),
    "claimed": Point("services.dispatcher.claim:claim", When.AFTER),
    "first part not handed over": Point("services.dispatcher.sending:Sending.start", When.BEFORE),
    "bytes written": Point("shared.carriers.smpp_link:SmppLink.submit", When.SENT),
    "first of three parts taken": Point(
        "shared.carriers.smpp_link:SmppLink.submit", When.BEFORE, _is_second_of_three
    ),
    "answer read": Point("services.dispatcher.record:Recorder.add", When.BEFORE),
    "record not begun": Point("services.dispatcher.record:_record", When.BEFORE),
    "record unheard": Point("shared.db.segments:settle_answers", When.SENT),
    "recorded, not acknowledged": Point("services.dispatcher.record:_record", When.AFTER),
    "acknowledged partly": Point("shared.broker.consume:Delivery.settle", When.SENT),
    "receipt in hand": Point("services.dispatcher.receipts:ReceiptDesk._publish", When.BEFORE),
    "receipt published, not answered": Point("shared.broker.publish:Publisher.publish", When.AFTER),
    "sent on, not committed": Point(
        "services.dispatcher.reroute:elsewhere", When.AFTER, _is_something, 1
    ),
    "queued again, not committed": Point("shared.db.work:requeue", When.AFTER, _is_something),
    "tokens not given back": Point("shared.limits.limiter:Limiter.give_back", When.BEFORE),
    "tokens given back": Point("shared.limits.limiter:Limiter.give_back", When.AFTER),
    "parking not begun": Point("services.dispatcher.park:park", When.BEFORE),
    "parked, not committed": Point("shared.db.parking:park", When.AFTER),
    "parked, not acknowledged": Point("services.dispatcher.park:park", When.AFTER),
    "released, not committed": Point("shared.db.parking:release", When.AFTER, _is_released),
    "released": Point("services.dispatcher.schedule:Scheduler._look_after", When.AFTER),
    "doubt not committed": Point("shared.db.submits:abandoned", When.AFTER, _is_something, 1),
}


def found(place: str) -> tuple[Any, str, Callable[..., Any]]:
    """Who has the function, its name there, and itself. Raises AttributeError or ImportError."""
    module_name, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module_name)
    for each in owners:
        owner = getattr(owner, each)
    return owner, name, getattr(owner, name)


def arm(point: Point, passes: int) -> None:
    """Die when the point is passed for the `passes`-th time."""
    owner, name, function = found(point.place)
    left = passes

    def pass_by(arguments: tuple[Any, ...], result: Any) -> bool:
        nonlocal left
        left -= point.counts(arguments, result)
        return left == 0

    wrap = _waiting if inspect.iscoroutinefunction(function) else _plain
    setattr(owner, name, wrap(function, point.when, pass_by))


Passed = Callable[[tuple[Any, ...], Any], bool]


def _waiting(function: Callable[..., Any], when: When, is_passed: Passed) -> Callable[..., Any]:
    @functools.wraps(function)
    async def doomed(*arguments: Any, **named: Any) -> Any:
        if when is not When.AFTER and is_passed(arguments, None):
            if when is When.SENT:
                asking = asyncio.ensure_future(function(*arguments, **named))
                for _ in range(3):  # turns of the loop, in which it is written
                    await asyncio.sleep(0)
                assert asking
            _die()
        result = await function(*arguments, **named)
        if when is When.AFTER and is_passed(arguments, result):
            _die()
        return result

    return doomed


def _plain(function: Callable[..., Any], when: When, is_passed: Passed) -> Callable[..., Any]:
    @functools.wraps(function)
    def doomed(*arguments: Any, **named: Any) -> Any:
        if when is When.BEFORE and is_passed(arguments, None):
            _die()
        result = function(*arguments, **named)
        if when is not When.BEFORE and is_passed(arguments, result):
            asyncio.get_running_loop().call_later(WRITING_SECONDS, _die)
        return result

    return doomed


WRITING_SECONDS = 0.003
"""In which what was handed over is written, and no carrier of ours answers."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _run(name: str, passes: str, log: str) -> int:
    """Be a dispatcher until the point is passed."""
    to = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(to, 1)
    os.dup2(to, 2)
    arm(POINTS[name], int(passes))
    return services.main(["dispatcher"])


def _main() -> None:
    """Read a point, passes and a log's path from each line; tell the process, and how it ended."""
    importlib.import_module("services.dispatcher.app")
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            os._exit(_run(*line.rstrip("\n").split("\t")))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _main()
