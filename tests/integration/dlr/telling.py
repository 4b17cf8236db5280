"""Stories as they really happen: answers through the dispatcher's recorder, receipts and late
answers through dlr, many messages side by side."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.dispatcher import claim, record, sending
from services.dispatcher.dispatch import Desk
from services.dlr import interpreters, late, overdue
from shared.broker import envelopes
from shared.carriers import contract, outcomes, smpp_receipts
from shared.db import events, limits, messages, segments, submits, work
from shared.limits.limiter import Permit, scope_names
from shared.smpp import codes, pdu, receipt_text, tlv
from shared.sms import receipts, states
from tests.drafts import draft
from tests.integration.dlr import stories, world
from tests.integration.dlr.stories import Answer, Naming, Said, Story

CARRIER = "bound"
_KINDS = {
    Answer.TAKEN: outcomes.OutcomeKind.ACCEPTED,
    Answer.REFUSED: outcomes.OutcomeKind.REJECTED,
    Answer.LOST: outcomes.OutcomeKind.LOST,
    Answer.THROTTLED: outcomes.OutcomeKind.THROTTLED,
}
_VERDICTS = {
    "accepted": outcomes.OutcomeKind.ACCEPTED,
    "refused": outcomes.OutcomeKind.REJECTED,
    "not_now": outcomes.OutcomeKind.THROTTLED,
}
_DUE = "UPDATE receipts SET retry_at = now() WHERE retry_at IS NOT NULL"
PAST_DEADLINE = timedelta(hours=80)
_AGE = """
UPDATE segments SET submitted_at = submitted_at - $2::interval
WHERE message_id = ANY ($1::uuid[])"""
_REWIND = "UPDATE sweeps SET done_until = '-infinity' WHERE name = 'overdue'"
_FORGET = "UPDATE receipts SET retry_at = NULL WHERE retry_at IS NOT NULL"
_FOUND = """
SELECT m.message_id, m.status, array_agg(p.state ORDER BY p.part) AS states,
       array_agg((SELECT count(*) FROM transfers t WHERE t.message_id = m.message_id
                  AND t.part = p.part AND t.kind = 'debit') ORDER BY p.part) AS debit_counts,
       array_agg((SELECT count(*) FROM transfers t WHERE t.message_id = m.message_id
                  AND t.part = p.part AND t.kind = 'refund') ORDER BY p.part) AS refund_counts
FROM messages m JOIN parts p USING (message_id) WHERE m.message_id = ANY ($1::uuid[])
GROUP BY m.message_id, m.status"""


@dataclass(slots=True)
class Told:
    """A message, its story, and what its worker has in hand."""

    message_id: UUID
    phone: str
    story: Story
    claimed: work.Claimed | None = None
    submits: dict[int, datetime] = field(default_factory=dict)
    """Part → the time of its first intent."""
    last: envelopes.RawReceipt | None = None
    age: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Found:
    """What has become of a message."""

    status: str
    states: tuple[str, ...]
    debit_counts: tuple[int, ...]
    refund_counts: tuple[int, ...]
    history: tuple[str, ...]

    def sorted(self) -> Found:
        """The same, whichever part it is of."""
        ends = sorted(zip(self.states, self.refund_counts, strict=True))
        states, refund_counts = zip(*ends, strict=True)
        return replace(self, states=states, refund_counts=refund_counts)


class _Script:
    """A carrier's link that answers one message by its story."""

    connected = True
    room = 100
    whole_messages = False

    def __init__(self, told: Told, answers: Sequence[Answer]) -> None:
        self._told = told
        self._answers = iter(answers)

    async def wait_for_room(self) -> None:
        return

    async def close(self, drain_seconds: float) -> None:
        return

    def submit(self, segment: contract.Segment, on_outcome: contract.OnOutcome) -> None:
        kind = _KINDS[next(self._answers)]
        is_taken = kind is outcomes.OutcomeKind.ACCEPTED
        name = world.carrier_name_of(segment.message_id, segment.part) if is_taken else ""
        on_outcome(outcomes.Outcome(kind, name, reason="" if is_taken else "the carrier says no"))


class Teller:
    """Tells stories, each to a phone of its own, in steps that all take at once."""

    def __init__(self, town: world.World, readers: interpreters.Interpreters, desk: Desk) -> None:
        self.town = town
        self._readers = readers
        self._desk = desk
        self._recorder = record.Recorder(desk)
        self._phone = 33_600_000_000
        self._told_until = 0
        self.receipt_count = 0
        """Receipts and late answers that must be kept."""

    async def tell(self, told_stories: Iterable[Story]) -> list[tuple[Story, Found]]:
        """What became of each."""
        told = await self._accept(list(told_stories))
        await self._claim(told)
        for place in range(max(len(each.story.steps) for each in told)):
            now = [each for each in told if place < len(each.story.steps)]
            await self._step([(each, each.story.steps[place]) for each in now])
            await self._sweep([each for each in now if each.story.swept])
        await self._sweep(told)
        await self._deadline(told)
        await self._step([(each, step) for each in told for step in each.story.afterwards])
        await self._sweep(told)
        await self.town.pool.execute(_FORGET)
        return await self._found(told)

    async def _accept(self, chosen: Sequence[Story]) -> list[Told]:
        town, new, told = self.town, [], []
        for story in chosen:
            self._phone += 1
            phone, count = f"+{self._phone}", story.part_count
            new.append(
                draft(
                    town.wallet_id,
                    town.revenue_wallet_id,
                    world.PRICE_MICRO,
                    account_id=town.account_id,
                    carrier_id=town.carrier_ids[CARRIER],
                    recipient=phone,
                    segment_count=count,
                    body="x" * (160 if count == 1 else 153 * count),
                )
            )
            told.append(Told(new[-1].message_id, phone, story))
        async with town.pool.acquire() as opened:
            await messages.insert(opened, new)
        return told

    async def _claim(self, told: Sequence[Told]) -> None:
        """Commit an intent for what waits of these."""
        by_id = {each.message_id: each for each in told}
        rows = await self.town.pool.fetch(
            "SELECT message_id, account_id, line_id, country, segment_count FROM work "
            "WHERE message_id = ANY ($1::uuid[])",
            list(by_id),
        )
        if not rows:
            return
        async with self.town.pool.acquire() as opened:
            epoch = await limits.epoch(opened)
        now_ms, now = time.time_ns() // 1_000_000, time.monotonic()
        granted = [
            (
                envelopes.WorkItem(message_id, account_id, line_id, country, count, 0),
                Permit(epoch, now_ms, now, scope_names(line_id, account_id, country), count),
            )
            for message_id, account_id, line_id, country, count in rows
        ]
        desk, carrier_id = self._desk, self.town.carrier_ids[CARRIER]
        for message in await claim.claim(
            desk.pool, desk.seals, desk.worker_id, carrier_id, granted
        ):
            each = by_id[message.message_id]
            each.claimed = message
            for part in message.parts:
                each.submits[part] = message.submitted_at

    async def _step(self, steps: Sequence[tuple[Told, stories.Step]]) -> None:
        """The same step of all, answers and receipts side by side."""
        recorded = [(each, step) for each, step in steps if isinstance(step, stories.Recorded)]
        doubted = [each for each, step in steps if isinstance(step, stories.Doubted)]
        arrived = [(each, step) for each, step in steps if isinstance(step, Said | stories.Late)]
        await asyncio.gather(self._record(recorded), self._doubt(doubted), self._arrive(arrived))

    async def _record(self, recorded: Sequence[tuple[Told, stories.Recorded]]) -> None:
        await self._claim([each for each, _ in recorded if each.claimed is None])
        ended: list[sending.Sending] = []
        for each, step in recorded:
            assert each.claimed is not None
            permit = Permit(
                1, 0, time.monotonic(), scope_names(1, 1, "FR"), len(each.claimed.parts)
            )
            sending.Sending(
                each.claimed,
                permit,
                _Script(each, step.answers),
                sending.Reserved(),
                ended.append,
            ).start()
            each.claimed = None
        if ended:
            await asyncio.wait({self._recorder.add(each) for each in ended})

    async def _doubt(self, doubted: Sequence[Told]) -> None:
        """Their worker is taken for dead; it keeps what it has in hand."""
        if not doubted:
            return
        found = [
            submits.Submit(each.message_id, part, at)
            for each in doubted
            for part, at in each.submits.items()
        ]
        async with self.town.pool.acquire() as opened, opened.transaction():
            await segments.settle_all(
                opened, found, states.SegmentState.IN_DOUBT, "the worker sending it died"
            )

    async def _arrive(self, arrived: Sequence[tuple[Told, Said | stories.Late]]) -> None:
        """Receipts and late answers, as the queue brings them."""
        again: list[envelopes.RawReceipt] = []
        new: list[envelopes.RawReceipt] = []
        for each, step in arrived:
            if isinstance(step, Said) and step.again and each.last is not None:
                again.append(each.last)
                continue
            each.last = self.town.raw(self._body(each, step), carrier=CARRIER)
            new.append(each.last)
        self.receipt_count += len(new)
        await self.carry(new, again)

    async def carry(
        self, new: Sequence[envelopes.RawReceipt], again: Sequence[envelopes.RawReceipt]
    ) -> None:
        """Bring these to dlr; the others were brought before."""
        await self.town.apply(self._readers, *new)
        await self.town.apply(self._readers, *again, some_here=True)

    def _body(self, told: Told, step: Said | stories.Late) -> bytes:
        name = world.carrier_name_of(told.message_id, step.part)
        if isinstance(step, stories.Late):
            kind = _VERDICTS[step.verdict]
            outcome = outcomes.Outcome(kind, name if step.verdict == "accepted" else "")
            at = told.submits[step.part]
            return smpp_receipts.keep_answer(told.message_id, step.part, at, outcome)
        return _receipt(told, name, step)

    async def _sweep(self, told: Sequence[Told]) -> None:
        """As often as a receipt is tried again: each time one id of a message finds its part."""
        for _ in range(max((each.story.part_count for each in told), default=0)):
            await self.town.pool.execute(_DUE)
            await late.sweep(self.town.pool)

    async def _deadline(self, told: Sequence[Told]) -> None:
        await self.town.pool.execute(_AGE, [each.message_id for each in told], PAST_DEADLINE)
        for each in told:
            each.age = PAST_DEADLINE
        await self.town.pool.execute(_REWIND)
        await overdue.sweep(self.town.pool)

    async def _found(self, told: Sequence[Told]) -> list[tuple[Story, Found]]:
        asked = [each.message_id for each in told]
        rows = {row["message_id"]: row for row in await self.town.pool.fetch(_FOUND, asked)}
        histories: defaultdict[UUID, list[str]] = defaultdict(list)
        async with self.town.pool.acquire() as opened:
            new = await events.after(opened, self.town.account_id, self._told_until, 1_000_000)
        for event in new:
            histories[event.subject_id].append(event.status)
            self._told_until = event.sequence
        return [
            (
                each.story,
                Found(
                    rows[each.message_id]["status"],
                    tuple(rows[each.message_id]["states"]),
                    tuple(rows[each.message_id]["debit_counts"]),
                    tuple(rows[each.message_id]["refund_counts"]),
                    tuple(histories[each.message_id]),
                ),
            )
            for each in told
        ]


def _receipt(told: Told, name: str, said: Said) -> bytes:
    """What is published of a deliver_sm of this carrier."""
    now = datetime.now(UTC)
    text = receipt_text.render(
        message_id=name, stat=said.word, submit_date=now - told.age, done_date=now
    )
    tlvs: tlv.Tlvs = ()
    if told.story.naming is Naming.ECHO:
        reference = receipts.echo_of(told.message_id, said.part)
        tlvs = ((codes.TLV_USER_MESSAGE_REFERENCE, reference.to_bytes(2, "big")),)
    body = smpp_receipts.strip(
        pdu.DeliverSm(
            told.phone.removeprefix("+"),
            "Sluice",
            text,
            esm_class=codes.ESM_CLASS_RECEIPT,
            tlvs=tlvs,
        ),
        phones=told.story.naming is not Naming.NOTHING,
    )
    assert body is not None
    return body
