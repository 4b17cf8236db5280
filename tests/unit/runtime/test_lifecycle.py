"""A process from its start to its exit status, whatever happens on the way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from shared.runtime import exits, lifecycle, logs

Said = list[MutableMapping[str, Any]]


class Life:
    """A role that notes how far it got; what `starting` and `part` do is the test's."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def starting(self) -> None:
        """Succeeds at once."""

    async def part(self) -> None:
        await asyncio.sleep(3600)

    @asynccontextmanager
    async def serve(self, stop: asyncio.Event) -> AsyncIterator[None]:
        self.steps.append("opened")
        try:
            async with lifecycle.background("part", self.part(), stop):
                await self.starting()
                self.steps.append("started")
                yield
                self.steps.append("drained")
        finally:
            self.steps.append("closed")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """What is logged; a process's own way of logging would outlive the test."""
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    monkeypatch.setattr(lifecycle, "_log", structlog.get_logger())
    with structlog.testing.capture_logs() as events:
        yield events


async def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_ends_it_after_it_has_drained(said: Said) -> None:
    life = Life()
    life.part = ask_to_stop  # type: ignore[method-assign] # of this one
    assert lifecycle.run("test", life.serve) == exits.OK
    assert life.steps == ["opened", "started", "drained", "closed"]


def test_a_signal_breaks_off_its_start(said: Said) -> None:
    async def wait_for_a_server() -> None:
        await ask_to_stop()
        await asyncio.sleep(3600)

    life = Life()
    life.starting = wait_for_a_server  # type: ignore[method-assign] # of this one
    assert lifecycle.run("test", life.serve) == exits.OK
    assert life.steps == ["opened", "closed"]
    assert [event["event"] for event in said] == ["stopping", "stopped"]


def test_a_part_that_dies_ends_it_with_1(said: Said) -> None:
    async def die() -> None:
        raise LookupError

    life = Life()
    life.part = die  # type: ignore[method-assign] # of this one
    assert lifecycle.run("test", life.serve) == exits.FAILED
    assert life.steps == ["opened", "started", "drained", "closed"]
    assert [event["event"] for event in said] == ["part_ended", "crashed"]


def test_what_it_lacks_is_said_and_is_its_exit_status(said: Said) -> None:
    async def lack() -> None:
        raise exits.NotDone(exits.UNREACHABLE, "cannot reach the moon")

    life = Life()
    life.starting = lack  # type: ignore[method-assign] # of this one
    assert lifecycle.run("test", life.serve) == exits.UNREACHABLE
    assert life.steps == ["opened", "closed"]
    assert said == [{"event": "not_started", "log_level": "error", "why": "cannot reach the moon"}]
