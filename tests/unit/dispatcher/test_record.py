"""What is left of answers once they are recorded."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from services.dispatcher import dispatch, record, sending


class Pool:
    """Lends nothing: what is written is not looked at here."""

    @asynccontextmanager
    async def acquire(self, timeout: float) -> AsyncIterator[None]:
        assert timeout
        yield


class Desk:
    """As much of a desk as a recorder uses of answers that need nothing else."""

    pool = Pool()


class Ended:
    """A message that has no answers to count."""

    answers = ()
    billed_count = 0


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
async def test_what_is_recorded_is_let_go_without_the_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes seldom, and what it finds alive is what it costs."""

    async def written(*_: object) -> record._Recorded:
        return record._Recorded([], frozenset())

    monkeypatch.setattr(record, "_record", written)
    recorder = record.Recorder(cast(dispatch.Desk, Desk()))

    ended = Ended()
    recorder.add(cast(sending.Sending, ended))
    seen = weakref.ref(ended)
    del ended
    assert seen() is not None
    await recorder.drain()
    assert seen() is None
