"""One clock for all who wait: what is late ends, what is done stays as it is."""

from __future__ import annotations

import asyncio

import pytest

from services.ingest.patience import Patience

A_MOMENT_SECONDS = 0.001
A_TEST_SECONDS = 30.0


def _future() -> asyncio.Future[str]:
    return asyncio.get_running_loop().create_future()


async def test_waiting_ends_when_nothing_comes() -> None:
    patience = Patience(A_MOMENT_SECONDS, A_MOMENT_SECONDS)
    async with asyncio.timeout(A_TEST_SECONDS) as outer:
        with pytest.raises(TimeoutError):
            await patience.ends(_future())
    assert not outer.expired()


async def test_each_waits_for_as_long_as_the_others_when_they_come_one_after_the_other() -> None:
    patience = Patience(A_MOMENT_SECONDS, A_MOMENT_SECONDS)
    async with asyncio.timeout(A_TEST_SECONDS) as outer:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await patience.ends(_future())
    assert not outer.expired()


async def test_an_answer_stays_when_another_waits_in_vain() -> None:
    patience = Patience(A_MOMENT_SECONDS, A_MOMENT_SECONDS)
    answered, given_up, forgotten = _future(), _future(), _future()
    waits = [patience.ends(future) for future in (answered, given_up, forgotten)]
    answered.set_result("here")
    given_up.cancel()
    async with asyncio.timeout(A_TEST_SECONDS):
        found = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(each) for each in found] == [str, asyncio.CancelledError, TimeoutError]
