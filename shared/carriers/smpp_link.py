"""The link to a carrier over SMPP: submits spread over binds, what it delivers handed in and
answered."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog

from shared.carriers import (
    blame,
    contract,
    halts,
    outcomes,
    smpp_dialect,
    smpp_oddities,
    smpp_receipts,
)
from shared.smpp import bind, codes, esme, pdu, session, terms, window

_log = structlog.get_logger()

_ANSWERED = window.AnswerKind.ANSWERED
_UNANSWERED = {
    window.AnswerKind.LOST: outcomes.LOST,
    window.AnswerKind.NOT_SENT: outcomes.UNAVAILABLE,
}
_DEFERRED = outcomes.OutcomeKind.DEFERRED
_ACCEPTED = outcomes.OutcomeKind.ACCEPTED
_REJECTED, _THROTTLED = outcomes.OutcomeKind.REJECTED, outcomes.OutcomeKind.THROTTLED


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where what a carrier delivers goes."""

    receipt: contract.ReceiptSink
    inbound: contract.InboundSink


class SmppLink:
    """The `contract.Link` over SMPP, with a bind for each destination: each submit takes the one
    with the most room, but the parts of one message stay together where they can, because they
    arrive best in order. Receivers take none."""

    def __init__(
        self,
        carrier: str,
        destinations: Sequence[esme.Destination],
        agreed: terms.Terms,
        dialect: smpp_dialect.Dialect,
        sinks: Sinks,
        refusals_max: int = 0,
    ) -> None:
        self._carrier = carrier
        self._halts = halts.Halts(carrier, refusals_max)
        self._dialect = dialect
        self.whole_messages = dialect.whole_messages
        self._sinks = sinks
        self._senders, self._messages = blame.Blame(3), blame.Blame(2)
        self._changed = asyncio.Event()
        self._storing: dict[asyncio.Future[None], list[_Delivery]] = {}
        self._last: tuple[UUID, bind.Bind] | None = None
        self._binds = [
            bind.Bind(
                destination,
                agreed,
                on_request=self._take_delivery,
                on_state=partial(self._note_state, number),
                counts=smpp_oddities.of(carrier),
            )
            for number, destination in enumerate(destinations)
        ]
        self._submitting = [
            each
            for each, destination in zip(self._binds, destinations, strict=True)
            if destination.request.mode is not pdu.BindMode.RECEIVER
        ]
        for each in self._binds:
            each.start()

    @property
    def connected(self) -> bool:
        if self._halts.on(time.monotonic()):
            return False
        # A link of receivers alone sends nothing; it is there when what phones send can come.
        return any(each.connected for each in self._submitting or self._binds)

    @property
    def room(self) -> int:
        room = 0
        for each in self._submitting:
            room += each.room
        return room

    async def wait_for_room(self) -> None:
        while not self.room:
            self._changed.clear()
            await self._changed.wait()

    def submit(self, segment: contract.Segment, on_outcome: contract.OnOutcome) -> None:
        chosen = self._choose(segment)
        opened = None if chosen is None else chosen.current
        if chosen is None or opened is None:
            on_outcome(outcomes.UNAVAILABLE)
            return
        try:
            body = self._dialect.write(segment)
        except pdu.PduError as error:
            code = f"0x{error.status:08X}"
            reason = "the message cannot be put into SMPP"
            on_outcome(outcomes.Outcome(_REJECTED, code=code, reason=reason))
            return
        on_answer = partial(self._take_answer, chosen, segment, on_outcome)
        opened.ask(self._dialect.command, body, on_answer, segment.leave_by)

    async def close(self, drain_seconds: float) -> None:
        await asyncio.gather(*(each.close(drain_seconds) for each in self._binds))
        # Their binds are gone, so nobody can be answered; but what is being stored may be stored.
        if self._storing:
            await asyncio.wait(self._storing, timeout=drain_seconds)
        self._changed.set()

    def _choose(self, segment: contract.Segment) -> bind.Bind | None:
        if len(self._submitting) == 1:
            return self._submitting[0]
        chosen = max(self._submitting, key=_room, default=None)
        if chosen is None or segment.part_count == 1:
            return chosen
        last = self._last
        if last is not None and last[0] == segment.message_id and last[1].room:
            return last[1]
        self._last = segment.message_id, chosen
        return chosen

    def _take_answer(
        self,
        used: bind.Bind,
        segment: contract.Segment,
        on_outcome: contract.OnOutcome,
        answer: window.Answer,
    ) -> None:
        if answer.kind is window.AnswerKind.LATE:
            self._keep_answer(segment, self._dialect.read(answer))
            return
        outcome = _UNANSWERED.get(answer.kind) or self._dialect.read(answer)
        if outcome.kind is _THROTTLED:
            outcome = self._heed_throttling(used, segment, outcome)
        elif answer.kind is _ANSWERED:
            if used.steered:
                used.heed_answer()
            if self._senders.suspects:
                self._senders.taken(segment.source)
                self._messages.taken(segment.message_id)
            if outcome.kind is not _ACCEPTED or self._halts.watching:
                self._heed_halt(outcome)
        self._changed.set()
        on_outcome(outcome)

    def _heed_halt(self, outcome: outcomes.Outcome) -> None:
        """All binds wait, and then try with one message each until one is taken."""
        before = self._halts.halted
        seconds = self._halts.heed(outcome, time.monotonic())
        for each in self._submitting:
            if seconds:
                each.halt(seconds)
            elif before and not self._halts.halted:
                each.go_on()

    def _heed_throttling(
        self, used: bind.Bind, segment: contract.Segment, outcome: outcomes.Outcome
    ) -> outcomes.Outcome:
        """Go slower; or pause, where the carrier says nothing but that it passes; or neither, where
        it is this sender or message alone that is not taken: then that is put off."""
        if outcome.retry_after_ms:
            if used.room:
                used.pause(outcome.retry_after_ms / 1000)
            return outcome
        culprit = max(
            self._senders.throttled(segment.source), self._messages.throttled(segment.message_id)
        )
        if culprit is blame.Culprit.PACE:
            used.heed_throttling()
        if culprit is not blame.Culprit.ITSELF:
            return outcome
        used.forgive()
        reason = outcomes.DECISIONS[_DEFERRED].reason
        return outcomes.Outcome(_DEFERRED, code=outcome.code, reason=reason)

    def _keep_answer(self, segment: contract.Segment, outcome: outcomes.Outcome) -> None:
        """An answer came after its submit had been given up: it is evidence like a receipt, and
        goes the same way. The carrier would not repeat it."""
        parts = range(1, segment.part_count + 1) if segment.is_whole else (segment.part,)
        for part in parts:
            body = smpp_receipts.keep_answer(
                segment.message_id, part, segment.submitted_at, outcome
            )
            self._store(partial(self._sinks.receipt, body), None)

    def _take_delivery(self, peer: session.Session, request: pdu.Request) -> None:
        if isinstance(request, pdu.SubmitSm):
            return
        body = self._dialect.strip(request)
        if body is None:
            part = self._dialect.read_inbound(request)
            hand_in = partial(self._sinks.inbound, part, lambda: peer.connected)
        else:
            hand_in = partial(self._sinks.receipt, body)
        # How many may be under way is bounded by the session, which stops reading.
        self._store(hand_in, (peer, request))

    def _store(self, hand_in: Callable[[], asyncio.Future[None]], delivery: _Delivery) -> None:
        try:
            storing = hand_in()
        except Exception as error:
            self._end_delivery(delivery, error)
            return
        # What is stored together may share a future, and then share its one callback.
        together = self._storing.get(storing)
        if together is None:
            self._storing[storing] = [delivery]
            storing.add_done_callback(self._stored)
        else:
            together.append(delivery)

    def _stored(self, storing: asyncio.Future[None]) -> None:
        error = asyncio.CancelledError() if storing.cancelled() else storing.exception()
        for delivery in self._storing.pop(storing):
            self._end_delivery(delivery, error)

    def _end_delivery(self, delivery: _Delivery, error: BaseException | None) -> None:
        if error is not None:
            event = "late_answer_not_stored" if delivery is None else "delivery_not_stored"
            _log.warning(event, carrier=self._carrier, error=type(error).__name__)
        if delivery is not None:
            peer, request = delivery
            peer.answer(request, codes.ESME_ROK if error is None else codes.ESME_RX_T_APPN)

    def _note_state(self, number: int, state: bind.BindState, reason: str) -> None:
        _log.info("bind_state", carrier=self._carrier, bind=number, state=state, reason=reason)
        self._changed.set()


_Delivery = tuple[session.Session, pdu.Request] | None
"""What is to be answered, and over which session; None for an answer that came late."""
_room = operator.attrgetter("room")
