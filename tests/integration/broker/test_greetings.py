"""A broker, or a proxy whose broker is not there yet, that takes a connection and hangs up."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import uvloop

from shared.broker import link
from shared.runtime import lifecycle

CLOSED_SECONDS = 2.0


def test_a_broker_that_hangs_up_in_its_greeting_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_hang_up, args=(listener,), daemon=True).start()
        uvloop.run(_tried(listener.getsockname()[1]))


def _hang_up(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


async def _tried(port: int) -> None:
    # Given a process busy with its start, who hears of the hanging up late
    busy = asyncio.create_task(_be_busy())
    tried = link.Link(f"amqp://guest:guest@127.0.0.1:{port}/", "t", _set_up)
    # When its link is tried again and again
    with_it = asyncio.create_task(tried.supervise())
    await asyncio.wait({with_it}, timeout=1.5)
    # Then it goes on trying
    assert not with_it.done()
    assert not tried.up
    busy.cancel()
    await lifecycle.end(with_it)


async def _be_busy() -> None:
    while True:
        time.sleep(0.01)  # noqa: ASYNC251 - the point of it
        await asyncio.sleep(0)


async def _set_up(_connection: object) -> None:
    raise AssertionError("nobody is there")


async def test_a_connection_that_nobody_waits_for_any_more_is_closed(amqp_url: str) -> None:
    before = asyncio.all_tasks()
    # When connecting is broken off just as it succeeds: aiormq's own tasks have begun
    connecting = asyncio.create_task(_connect_once(amqp_url))
    async with asyncio.timeout(CLOSED_SECONDS):
        while not any("reader" in repr(each.get_coro()) for each in asyncio.all_tasks() - before):
            await asyncio.sleep(0)
    await lifecycle.end(connecting)
    # Then no part of it lives on
    async with asyncio.timeout(CLOSED_SECONDS):
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0.01)


async def test_a_stop_does_not_wait_for_a_broker_that_greets_nobody() -> None:
    # Given somebody who takes connections and says nothing
    before = asyncio.all_tasks()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connecting = asyncio.create_task(
            _connect_once(f"amqp://guest:guest@127.0.0.1:{silent.getsockname()[1]}/")
        )
        await asyncio.wait({connecting}, timeout=0.2)
        # When a link to it is not wanted any more
        began = time.monotonic()
        await lifecycle.end(connecting)
        # Then it is given up soon, and wholly
        assert time.monotonic() - began < CLOSED_SECONDS
        async with asyncio.timeout(CLOSED_SECONDS):
            while asyncio.all_tasks() - before:
                await asyncio.sleep(0.01)


async def _connect_once(url: str) -> None:
    async with link.passing(url, "t"):
        return
