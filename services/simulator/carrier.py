"""What both faces of the simulated carrier share: taking a submit, and owing a receipt for it."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from services.simulator import counters, journal, moods, options, outbox
from shared.sms import segmentation


class Submit(NamedTuple):
    """One submit, whichever way it came. Addresses carry a plus when they are international."""

    face: str
    system_id: str
    source: str
    recipient: str
    data_coding: int
    udh: bytes
    payload: bytes
    reference: bytes = b""


class Taken(NamedTuple):
    """What becomes of a submit; `message_id` is empty when it was not accepted."""

    submit: Submit
    mood: moods.Mood
    message_id: str
    answer_seconds: float


_LETTER = re.compile("[A-Za-z]")


class Carrier:
    """The simulated carrier itself. Ids are 64 bits in hexadecimal, unique over all runs that begin
    in different seconds."""

    def __init__(self, wanted: options.Options) -> None:
        self.options = wanted
        self.journal = journal.Journal(wanted.journal_path)
        self.counters = counters.Counters()
        self.outbox = outbox.Outbox(
            self.counters, wanted.receipt_retry_ms / 1000, self.journal.flush
        )
        self._moods = moods.Moods(wanted)
        self._random = random.Random(wanted.seed)  # noqa: S311 - chance to play with, no secret
        self._run = f"{int(time.time()) & 0xFFFFFFFF:08x}"
        self._number = 0
        self._reference = 0

    def take(self, submit: Submit) -> Taken:
        """Decide about a submit; an accepted one is in the journal when this returns."""
        mood = self._moods.mood(submit.recipient)
        counts = self.counters.of(submit.system_id)
        answer_seconds = self._between(self.options.answer_min_ms, self.options.answer_max_ms)
        if mood.answer is moods.Answer.REFUSE:
            counts.refused += 1
            return Taken(submit, mood, "", answer_seconds)
        if mood.answer is moods.Answer.THROTTLE:
            counts.throttled += 1
            return Taken(submit, mood, "", answer_seconds)
        counts.accepted += 1
        if mood.answer is moods.Answer.SILENCE:
            counts.unanswered += 1
        elif mood.answer is moods.Answer.CUT:
            counts.cut += 1
        self._number += 1
        message_id = f"{self._run}{self._number:08x}"
        whole = self._note(submit, message_id)
        if mood.echoes and whole and not _LETTER.search(submit.source):
            with suppress(segmentation.TextTooLong):
                self.phone_sends(submit.system_id, submit.recipient, submit.source, whole)
        return Taken(submit, mood, message_id, answer_seconds)

    def owe_receipt(self, taken: Taken, on_settled: Callable[[], None] | None = None) -> None:
        """Post the receipt an accepted submit gets, if it gets one."""
        stat, submit = taken.mood.stat, taken.submit
        if stat is None:
            return
        receipt = outbox.Receipt(
            submit.system_id,
            self._receipt_id(taken.message_id),
            stat,
            submit.source,
            submit.recipient,
            time.time(),
            submit.reference,
            submit.payload,
            on_settled,
        )
        delay = 0.0
        if not taken.mood.at_once:
            delay = self._between(self.options.receipt_min_ms, self.options.receipt_max_ms)
        if on_settled is None:
            delay += taken.answer_seconds
        self.outbox.post(receipt, delay)

    def phone_sends(self, system_id: str, source: str, recipient: str, text: str) -> int:
        """Post what a phone sends to a number of this system_id, in parts where it is long; returns
        how many. Raises what `segmentation.split` raises."""
        self._reference = self._reference + 1 & 0xFF
        parts = segmentation.split(text, self._reference, 8)
        for part in parts:
            coding = segmentation.data_coding(part.encoding)
            item = outbox.Inbound(system_id, source, recipient, coding, part.udh, part.payload)
            self.outbox.post(item, 0.0)
        return len(parts)

    def _receipt_id(self, message_id: str) -> str:
        return str(int(message_id, 16)) if self.options.decimal_receipts else message_id

    def _between(self, low_ms: int, high_ms: int) -> float:
        if low_ms == high_ms:
            return low_ms / 1000
        return self._random.uniform(low_ms, high_ms) / 1000

    def _note(self, submit: Submit, message_id: str) -> str | None:
        """Write it into the journal; the message's text, if this completes it."""
        entry = journal.Entry(
            time.time() * 1000,
            submit.face,
            submit.system_id,
            message_id,
            submit.source,
            submit.recipient,
            submit.data_coding,
            "",
        )
        self.journal.add(entry, submit.udh, submit.payload)
        return entry.whole
