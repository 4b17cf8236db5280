"""The window never lets more than W requests be unanswered and tells each owner what happened."""

from __future__ import annotations

import asyncio

import pytest

from shared.smpp import window

OK = window.Answer(window.AnswerKind.ANSWERED, 0, "id")


def put(held: window.Window, *sequences: int) -> list[asyncio.Future[window.Answer]]:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in sequences]
    for sequence, future in zip(sequences, futures, strict=True):
        held.put(sequence, b"%d" % sequence, future, window.as_it_is)
    return futures


async def test_requests_leave_in_order_and_only_as_answers_come_when_it_is_full() -> None:
    held = window.Window(2)
    first, *_ = put(held, 1, 2, 3, 4)

    assert held.take(0, 0) == [b"1", b"2"]
    assert held.take(0, 0) == []
    assert held.settle(1, OK)
    assert held.take(0, 0) == [b"3"]
    assert first.result() is OK
    assert (held.unanswered, held.queued, held.room) == (2, 1, 0)


async def test_a_second_answer_is_a_stranger_when_the_first_was_taken() -> None:
    held = window.Window(2)
    put(held, 1)
    held.take(0, 0)

    assert held.settle(1, OK)
    assert not held.settle(1, OK)
    assert not held.settle(2, OK)


async def test_only_the_old_ones_are_lost_when_the_timer_passes() -> None:
    held = window.Window(3)
    old, young, queued = put(held, 1, 2, 3)
    held.size = 1
    held.take(0, 0)
    held.size = 2
    held.take(10, 10)

    assert held.expire(5) == 1
    assert old.result() is window.LOST
    assert not young.done()
    assert not queued.done()


async def test_written_is_lost_and_queued_is_not_sent_when_the_link_goes() -> None:
    held = window.Window(1)
    written, queued = put(held, 1, 2)
    held.take(0, 0)

    held.close()

    assert written.result() is window.LOST
    assert queued.result() is window.NOT_SENT


async def test_a_cancelled_request_is_never_written_when_it_was_still_queued() -> None:
    held = window.Window(1)
    first, second = put(held, 1, 2)
    first.cancel()

    assert held.take(0, 0) == [b"2"]
    assert held.unanswered == 1
    assert not second.done()


async def test_a_request_is_never_written_when_its_time_passed_while_it_was_queued() -> None:
    held = window.Window(2)
    loop = asyncio.get_running_loop()
    overdue, timely = loop.create_future(), loop.create_future()
    held.put(1, b"1", overdue, window.as_it_is, leave_by=100.0)
    held.put(2, b"2", timely, window.as_it_is, leave_by=200.0)

    assert held.take(0, 150.0) == [b"2"]
    assert overdue.result() is window.NOT_SENT
    assert (held.unanswered, held.queued) == (1, 0)


def test_a_window_is_refused_when_it_holds_nothing() -> None:
    with pytest.raises(ValueError):
        window.Window(0)
