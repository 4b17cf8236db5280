"""The window never lets more than W requests be unanswered and tells each owner what happened."""

from __future__ import annotations

import pytest

from shared.smpp import window

OK = window.Answer(window.AnswerKind.ANSWERED, 0, "id")
Told = list[window.Answer]


def held_of(size: int, failures: list[Exception] | None = None) -> window.Window:
    return window.Window(size, ([] if failures is None else failures).append)


def put(held: window.Window, *sequences: int) -> list[Told]:
    told: list[Told] = [[] for _ in sequences]
    for sequence, each in zip(sequences, told, strict=True):
        held.put(sequence, b"%d" % sequence, each.append)
    return told


def test_requests_leave_in_order_and_only_as_answers_come_when_it_is_full() -> None:
    held = held_of(2)
    first, *_ = put(held, 1, 2, 3, 4)

    assert held.take(0, 0) == [b"1", b"2"]
    assert held.take(0, 0) == []
    assert held.settle(1, OK)
    assert held.take(0, 0) == [b"3"]
    assert first == [OK]
    assert (held.unanswered, held.queued, held.room) == (2, 1, 0)


def test_a_second_answer_is_a_stranger_when_the_first_was_taken() -> None:
    held = held_of(2)
    (told,) = put(held, 1)
    held.take(0, 0)

    assert held.settle(1, OK)
    assert not held.settle(1, OK)
    assert not held.settle_late(1, OK)
    assert not held.settle(2, OK)
    assert told == [OK]


def test_only_the_old_ones_are_lost_when_the_timer_passes() -> None:
    held = held_of(3)
    old, young, queued = put(held, 1, 2, 3)
    held.size = 1
    held.take(0, 0)
    held.size = 2
    held.take(10, 10)

    assert held.expire(5) == 1
    assert old == [window.LOST]
    assert young == []
    assert queued == []


def test_the_owner_is_told_once_more_when_the_answer_comes_late() -> None:
    held = held_of(1)
    (told,) = put(held, 1)
    held.take(0, 0)
    held.expire(5)

    assert not held.settle(1, OK)
    assert held.settle_late(1, OK)
    assert not held.settle_late(1, OK)
    assert told == [window.LOST, window.Answer(window.AnswerKind.LATE, 0, "id")]


def test_written_is_lost_and_queued_is_not_sent_when_the_link_goes() -> None:
    held = held_of(1)
    written, queued = put(held, 1, 2)
    held.take(0, 0)

    held.close()

    assert written == [window.LOST]
    assert queued == [window.NOT_SENT]


def test_all_others_are_told_when_an_owner_fails() -> None:
    failures: list[Exception] = []
    held = held_of(3, failures)

    def fail(_: window.Answer) -> None:
        raise KeyError("no such thing")

    held.put(1, b"1", fail)
    (other,) = put(held, 2)
    held.take(0, 0)

    held.close()

    assert other == [window.LOST]
    assert [type(each) for each in failures] == [KeyError]


def test_a_request_is_never_written_when_its_time_passed_while_it_was_queued() -> None:
    held = held_of(2)
    overdue, timely = Told(), Told()
    held.put(1, b"1", overdue.append, leave_by=100.0)
    held.put(2, b"2", timely.append, leave_by=200.0)

    assert held.take(0, 150.0) == [b"2"]
    assert overdue == [window.NOT_SENT]
    assert timely == []
    assert (held.unanswered, held.queued) == (1, 0)


def test_a_window_is_refused_when_it_holds_nothing() -> None:
    with pytest.raises(ValueError):
        held_of(0)
