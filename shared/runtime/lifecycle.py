"""From `sluice <role>` to a clean exit: the loop, the signals, the stop budget, crash of a part."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Literal

import structlog
from msgspec import Meta

from shared.runtime import exits, logs, settings

_log = structlog.get_logger()

CANCEL_SECONDS = 4.0
"""How long a cancelled task may take to clean up before it is cancelled again."""
YOUNG_OBJECT_COUNT = 20_000

STOP_SECONDS = 30.0
"""Watchdog over a shutdown: drain what is in flight (20) + unbind (2) + close links (5) + slack
(3)."""


class Process(settings.Variables, frozen=True, kw_only=True):
    """What every process reads, whatever its role."""

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Meta(description="The least weighty events that are logged."),
    ] = "INFO"
    uvloop: Annotated[
        bool,
        Meta(
            description="Run on uvloop, which takes a third of the CPU off; 0: Python's own loop."
        ),
    ] = True


Role = Callable[[asyncio.Event], AbstractAsyncContextManager[None]]
"""What a process does: entering starts it, leaving ends it. It is given `stop`, which a part that
dies sets, so that the others do not go on without it."""


def run(service: str, serve: Role) -> int:
    """Live in `serve(stop)` until SIGTERM or SIGINT, which also break off a start, or until `stop`
    is set. Returns the exit status: 0 after a clean stop, 1 if a part crashed, that of a NotDone,
    70 if stopping took longer than STOP_SECONDS."""
    chosen = settings.load(Process)
    logs.configure(service, chosen.log_level)
    with asyncio.Runner(loop_factory=_uvloop_factory() if chosen.uvloop else None) as runner:
        return runner.run(_supervise(serve))


def _uvloop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop


def _spare_collector() -> None:
    """Messages make many objects and no circles: what was imported, and read at the start, is never
    looked at again, and the young are looked at less often (measured: up to 13 % of a process's
    CPU)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECT_COUNT)


async def _supervise(serve: Role) -> int:
    _spare_collector()
    stop, started = asyncio.Event(), asyncio.Event()
    life = asyncio.create_task(_live(serve, stop, started))

    def ask_to_stop() -> None:
        if stop.is_set():
            return
        _log.info("stopping", budget_seconds=STOP_SECONDS)
        stop.set()
        asyncio.get_running_loop().call_later(STOP_SECONDS, _give_up)
        if not started.is_set():
            life.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ask_to_stop)
    await asyncio.wait({life})
    error = None if life.cancelled() else life.exception()
    if isinstance(error, exits.NotDone):
        _log.error("not_started", why=str(error))
        return error.code
    if error is not None:
        _log.error("crashed", exc_info=error)
        return exits.FAILED
    _log.info("stopped")
    return exits.OK


async def _live(serve: Role, stop: asyncio.Event, started: asyncio.Event) -> None:
    async with serve(stop):
        _spare_collector()
        started.set()
        await stop.wait()


def _give_up() -> None:
    _log.error("stop_budget_exceeded", budget_seconds=STOP_SECONDS)
    sys.stderr.flush()
    os._exit(70)


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: a cancellation that comes together with an answer is
    swallowed by `asyncio.wait_for` of Python 3.11, and by libraries that are built on it."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_SECONDS)


@asynccontextmanager
async def background(
    name: str, work: Coroutine[None, None, None], stop: asyncio.Event
) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` beside the body. If it dies, the service is stopped rather than left half alive,
    and the error comes out here; when the body ends, `work` is cancelled."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(lambda done: _on_part_ended(name, done, stop))
    try:
        yield task
    finally:
        await end(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


def _on_part_ended(name: str, task: asyncio.Task[None], stop: asyncio.Event) -> None:
    if task.cancelled() or stop.is_set():
        return
    error = task.exception()
    _log.error("part_ended", part=name, error=logs.frames_of(error) if error else "returned")
    stop.set()


async def every(
    seconds: float, step: Callable[[], Awaitable[object]], forgive: tuple[type[BaseException], ...]
) -> None:
    """Call `step` for ever, `seconds` apart; errors of the kinds in `forgive` are logged and the
    next turn comes as usual."""
    name = getattr(step, "__name__", "step")
    while True:
        try:
            await step()
        except forgive as error:
            _log.warning("step_failed", step=name, error=type(error).__name__)
        await asyncio.sleep(seconds)
