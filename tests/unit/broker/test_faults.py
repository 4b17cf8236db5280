"""What is raised when the broker goes, as the library raises it."""

from __future__ import annotations

import asyncio

from aiormq.base import FutureStore

from shared.broker import link


async def test_who_is_let_go_without_a_reason_has_met_a_fault() -> None:
    # Given somebody who waits on a connection, and a link that is cut under it
    store = FutureStore(asyncio.get_running_loop())
    waiting = store.create_future()
    # When the library lets go whoever waits, and knows no reason
    await store.reject_all(None)
    # Then that is the broker's fault, and nothing a service should die of
    error = waiting.exception()
    assert error is not None
    assert not isinstance(error, link.FAULTS)
    assert link.is_fault(error)


def test_other_errors_are_none_of_the_brokers() -> None:
    assert not link.is_fault(ValueError("tag"))
    assert link.is_fault(ConnectionError("gone"))
