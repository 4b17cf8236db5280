"""A start that breaks off, at whatever step, closes all that it had opened."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import ModuleType
from typing import Any

import asyncpg
import pytest

from deploy.local import kept
from services.dispatcher import app as dispatcher
from services.dlr import app as dlr
from services.ingest import app as ingest
from services.simulator import options, simulator
from services.webhooks import app as webhooks
from tests.integration.starting.conftest import Site
from tests.ports import free_port

CLOSED_SECONDS = 5.0


class Broken(Exception):
    """What nobody foresaw."""


def breaking(step: int, error: type[BaseException]) -> type[AsyncExitStack]:
    """A stack of things to close that breaks off as soon as it holds so many."""

    class Breaking(AsyncExitStack):
        _count = 0

        def push_async_callback(self, *arguments: Any, **named: Any) -> Any:
            pushed = super().push_async_callback(*arguments, **named)
            self._break()
            return pushed

        async def enter_async_context(self, *arguments: Any) -> Any:
            entered = await super().enter_async_context(*arguments)
            self._break()
            return entered

        def _break(self) -> None:
            self._count += 1
            if self._count == step:
                raise error

    return Breaking


@pytest.mark.parametrize("error", [Broken, asyncio.CancelledError], ids=["fault", "stop"])
@pytest.mark.parametrize(
    "app",
    [ingest, dispatcher, dlr, webhooks],
    ids=["ingest", "dispatcher", "dlr", "webhooks"],
)
async def test_nothing_is_left_wherever_a_start_breaks_off(
    site: Site,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    app: ModuleType,
    error: type[BaseException],
) -> None:
    before = asyncio.all_tasks()
    port = free_port()
    chosen = app.settings.load(
        app.Settings,
        site.environment
        | {"SLUICE_METRICS_PORT": str(port), "SLUICE_INGEST_PORT": "0", "SLUICE_DLR_PORT": "0"},
    )
    for step in itertools.count(1):
        monkeypatch.setattr(app, "AsyncExitStack", breaking(step, error))
        try:
            async with app.serve(chosen, asyncio.Event()):
                break
        except error:
            await _closed(lambda: asyncio.all_tasks() <= before, f"tasks after step {step}")
            await _closed(lambda: kept.is_free(port), f"the port after step {step}")
            await _closed(lambda: not site.open_count, f"links after step {step}")
    assert step > 8
    assert await _worker_count(database_url) == 0


async def test_nothing_is_left_of_a_simulator_whose_second_port_is_taken() -> None:
    before = asyncio.all_tasks()
    first = free_port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = options.Options(smpp_port=first, http_port=other.getsockname()[1])
        with pytest.raises(Exception, match="cannot listen"):
            await simulator.serve(wanted)
    assert asyncio.all_tasks() <= before
    assert kept.is_free(first)


async def _closed(holds: Callable[[], bool], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + CLOSED_SECONDS
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.01)


async def _worker_count(url: str) -> int:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM workers"))
    finally:
        await connection.close(timeout=10)
