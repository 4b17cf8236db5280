"""What both faces of the simulated carrier share: taking a submit, and owing a receipt for it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from services.simulator import (
    chance,
    counters,
    journal,
    message_ids,
    moods,
    options,
    outbox,
    rumours,
)
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


SHORT_CODE = "36180"
"""The number phones write to when the sender was a name."""
_LETTER = re.compile("[A-Za-z]")


class Carrier:
    """The simulated carrier itself. While `is_down` its faces serve nobody."""

    def __init__(self, wanted: options.Options) -> None:
        self.options = wanted
        self.journal = journal.Journal(wanted.journal_path)
        self.counters = counters.Counters()
        self.outbox = outbox.Outbox(
            self.counters, wanted.receipt_retry_ms / 1000, self.journal.flush
        )
        self.is_down = False
        self._moods = moods.Moods(wanted)
        self._rumours = rumours.Rumours(wanted)
        self._ids = message_ids.MessageIds(wanted.receipt_ids, wanted.id_count)
        self.chance = chance.Chance(wanted.seed, "carrier")
        self._reference = 0

    def take(self, submit: Submit) -> Taken:
        """Decide about a submit; an accepted one is in the journal when this returns."""
        mood = self._moods.mood(submit.recipient)
        counts = self.counters.of(submit.system_id)
        answer_seconds = self._between(self.options.answer_min_ms, self.options.answer_max_ms)
        if mood.answer is moods.Answer.REFUSE:
            counts.refused += 1
            return Taken(submit, mood, "", answer_seconds)
        if mood.answer in (moods.Answer.THROTTLE, moods.Answer.BUSY):
            counts.throttled += 1
            return Taken(submit, mood, "", answer_seconds)
        counts.accepted += 1
        if mood.answer is moods.Answer.SILENCE:
            counts.unanswered += 1
        elif mood.answer is moods.Answer.CUT:
            counts.cut += 1
        message_id = self._ids.new()
        whole = self._note(submit, message_id)
        if mood.echoes and whole and self._can_be_answered(submit):
            with suppress(segmentation.TextTooLong):
                self.phone_sends(submit.system_id, submit.recipient, submit.source, whole)
        return Taken(submit, mood, message_id, answer_seconds)

    def take_parts(self, submits: Sequence[Submit], *, have_one_id: bool) -> list[Taken]:
        """Decide about the parts of one message that came together and share one fate; one alone is
        returned where it is not accepted. The parts of some carriers have one id between them."""
        first = self.take(submits[0])
        if not first.message_id:
            return [first]
        rest = [
            first._replace(
                submit=each, message_id=first.message_id if have_one_id else self._ids.new()
            )
            for each in submits[1:]
        ]
        self.counters.of(first.submit.system_id).accepted += len(rest)
        for each in rest:
            self._note(each.submit, each.message_id)
        return [first, *rest]

    def owe_receipt(self, taken: Taken, on_settled: Callable[[], None] | None = None) -> None:
        """Post the receipt an accepted submit gets, if it gets one."""
        stat, submit = taken.mood.stat, taken.submit
        if stat is None:
            return
        receipt = outbox.Receipt(
            submit.system_id,
            self._ids.in_receipt(taken.message_id),
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
        for rumour, later in self._rumours.beside(receipt, delay):
            self.outbox.post(rumour, later)
        if not self._hears_phones(submit.face):
            return
        if text := self._rumours.of_phone(submit.recipient, receipt.message_id):
            line = SHORT_CODE if _LETTER.search(submit.source) else submit.source
            self.phone_sends(submit.system_id, submit.recipient, line, text)

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

    def _can_be_answered(self, submit: Submit) -> bool:
        return self._hears_phones(submit.face) and not _LETTER.search(submit.source)

    def _hears_phones(self, face: str) -> bool:
        """Whether there is anywhere to hand over what phones send to those behind this face."""
        match face:
            case "smpp":
                return True
            case "http":
                return bool(self.options.inbound_url)
        return bool(self.options.vendor_inbound_url)

    def _between(self, low_ms: int, high_ms: int) -> float:
        if low_ms == high_ms:
            return low_ms / 1000
        return self.chance.uniform(low_ms, high_ms) / 1000

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
