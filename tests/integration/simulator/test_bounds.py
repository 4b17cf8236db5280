"""What the simulated carrier forgets, so that it does not grow for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from services.simulator import counters, journal, moods, outbox
from shared.sms import segmentation
from tests.integration.carriers import segments


class Face:
    """Takes receipts at once, as long as it has room."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.refused = False
        self.taken: list[str] = []

    def deliver(self, item: outbox.Item, settled: Callable[[outbox.Item, bool], None]) -> bool:
        if not self.room:
            self.refused = True
            return False
        self.room -= 1
        assert isinstance(item, outbox.Receipt)
        self.taken.append(item.message_id)
        asyncio.get_running_loop().call_soon(settled, item, True)
        return True


def receipt(message_id: str) -> outbox.Receipt:
    return outbox.Receipt("me", message_id, moods.Stat.DELIVRD, "Sluice", "+33612345678", 0.0)


async def test_receipts_are_given_up_and_counted_when_too_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "WAITING_MAX", 3)
    counts = counters.Counters()
    box = outbox.Outbox(counts, 1.0, before_release=lambda: None)
    for number in range(5):
        box.post(receipt(str(number)), 60)
    box.close()
    assert box.waiting_count == 3
    assert counts.total().receipts_given_up == 2


async def test_a_submit_is_in_the_journal_s_file_before_its_receipt_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a journal that is in no hurry
    monkeypatch.setattr(journal, "FLUSH_SECONDS", 60.0)
    path = tmp_path / "journal"
    book = journal.Journal(str(path))
    box = outbox.Outbox(counters.Counters(), 1.0, before_release=book.flush)
    face = Face(room=1)
    box.attach("me", face)
    # when something is taken, and its receipt handed over
    book.add(entry("+33612345678"), b"", b"hello")
    box.post(receipt("1"), 0.0)
    await segments.eventually(lambda: bool(face.taken))
    # then it is there to be read
    assert "+33612345678" in path.read_text("utf-8")
    box.close()
    book.close()


async def test_receipts_leave_in_the_order_they_are_due_as_room_allows() -> None:
    box = outbox.Outbox(counters.Counters(), 1.0, before_release=lambda: None)
    face = Face(room=2)
    box.attach("me", face)
    for message_id, delay in (("c", 0.3), ("a", 0.1), ("b", 0.2)):
        box.post(receipt(message_id), delay)
    await segments.eventually(lambda: face.refused)
    assert face.taken == ["a", "b"]
    face.room = 1
    box.drain("me")
    await segments.eventually(lambda: box.waiting_count == 0)
    box.close()
    assert face.taken == ["a", "b", "c"]


def entry(recipient: str) -> journal.Entry:
    return journal.Entry(0.0, "smpp", "me", "1", "Sluice", recipient, 0, "")


def test_the_oldest_unfinished_message_is_forgotten_when_too_many_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal, "UNFINISHED_MAX", 2)
    book = journal.Journal()
    first, second = segmentation.split("x" * 200)
    for recipient in ("+331", "+332", "+333"):
        book.add(entry(recipient), first.udh, first.payload)
    ends = []
    for recipient in ("+333", "+332", "+331"):
        last = entry(recipient)
        book.add(last, second.udh, second.payload)
        ends.append(last.whole)
    assert ends == ["x" * 200, "x" * 200, None]


def test_only_the_tail_of_the_journal_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "TAIL_ENTRIES", 3)
    book = journal.Journal()
    for number in range(10):
        book.add(entry(str(number)), b"", b"hello")
    position, entries = book.after(0, 2)
    assert (position, [each.recipient for each in entries]) == (9, ["7", "8"])
    assert book.after(10, 2) == (10, [])
    assert book.after(99, 2) == (99, [])
