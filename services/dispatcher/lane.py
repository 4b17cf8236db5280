"""One carrier's lane: deliveries in by class, batches as large as the window has room for, answers
recorded, deliveries out.

Room is reserved before the intent, so what is in doubt after a crash is at most what was in flight.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from uuid import UUID

import msgspec
import structlog

from services.dispatcher import dispatch, sending
from services.dispatcher.record import Recorder
from shared.broker import consume, envelopes
from shared.carriers import contract
from shared.db import connection, work
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules.snapshot import Carrier
from shared.runtime import redis_link
from shared.sms import segmentation
from shared.sms.classes import CLASSES

_log = structlog.get_logger()

BATCH_SEGMENT_COUNT_MAX = 1_000
FAULT_PAUSE_SECONDS = 0.5
LOOK_AHEAD_COUNT_MAX = 1_000
"""So many that wait are looked at for one of another account."""


class Ticket:
    """A delivery and how many of its messages have not come to rest yet."""

    __slots__ = ("delivery", "open_count")

    def __init__(self, delivery: consume.Delivery, open_count: int) -> None:
        self.delivery = delivery
        self.open_count = open_count


class Held(msgspec.Struct, frozen=True, order=True, gc=False):
    """A message in hand, and the delivery it came with. `place` grows from one to the next; `era`
    counts how often the deliveries of its class had to come again before."""

    place: int
    item: envelopes.WorkItem
    ticket: Ticket
    message_class: int
    era: int


def _segment_count(batch: Iterable[Held]) -> int:
    return sum([held.item.segment_count for held in batch])


def _place_of_another(returned: Sequence[Held], held: Sequence[Held]) -> int | None:
    """Where the first of an account stands of which nothing was returned."""
    if not returned:
        return None
    accounts = {each.item.account_id for each in returned}
    for place, each in enumerate(itertools.islice(held, LOOK_AHEAD_COUNT_MAX)):
        if each.item.account_id not in accounts:
            return place
    return None


class Lane:
    """The way of one carrier's messages through this process."""

    def __init__(
        self, desk: dispatch.Desk, recorder: Recorder, carrier: Carrier, link: contract.Link
    ) -> None:
        self.carrier = carrier
        self.link = link
        self._desk = desk
        self._recorder = recorder
        self._held: tuple[deque[Held], ...] = tuple(deque() for _ in CLASSES)
        self._returned: tuple[list[Held], ...] = tuple([] for _ in CLASSES)
        """What the link has not taken, to be tried before the others: heaps by their places."""
        self._others_turn = False
        self._eras = [0 for _ in CLASSES]
        self._places = itertools.count()
        self._wake = asyncio.Event()
        self._reserved = sending.Reserved()
        self._pace_credit = 0
        self._in_flight = 0
        self._recording: dict[asyncio.Future[None], list[tuple[Held, sending.Sending]]] = {}
        self._at_batch = False
        self._quiet = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._failure: BaseException | None = None

    def receive(self, message_class: int, delivery: consume.Delivery) -> None:
        """Take a delivery in; bytes nobody can read go to the dead letters."""
        try:
            items = envelopes.decode_work(delivery.body)
        except envelopes.UnreadableEnvelope as error:
            _log.error("envelope_unreadable", carrier=self.carrier.name, error=str(error))
            self._soon(delivery.bury())
            return
        if not items:
            self._soon(delivery.settle())
            return
        ticket = Ticket(delivery, len(items))
        era = self._eras[message_class]
        self._held[message_class].extend(
            Held(next(self._places), item, ticket, message_class, era) for item in items
        )
        self._wake.set()

    def forget_held(self, message_class: int) -> None:
        """The consumer's link is new: what was not settled comes again, so drop what waits."""
        self._held[message_class].clear()
        self._returned[message_class].clear()
        self._eras[message_class] += 1

    async def run(self) -> None:
        """Keep the window full until cancelled; raises what a batch of it died of."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._failure is not None:
                raise self._failure
            await self.link.wait_for_room()
            # One batch at a time: a second would only wait for the first one's locks.
            if not self._at_batch and not self._stopping and (batch := self._take_batch()):
                self._at_batch = True
                self._soon(self._work_off(batch))

    def _take_batch(self) -> list[Held]:
        """The most urgent messages that fit into the room that is not reserved, their room
        reserved. One larger than the whole window goes alone."""
        reserved = self._reserved
        room = min(self.link.room, BATCH_SEGMENT_COUNT_MAX) - reserved.count
        batch: list[Held] = []
        for returned, held in zip(self._returned, self._held, strict=True):
            while returned or held:
                # Every other one is of somebody else, who may be taken where these are not.
                other = _place_of_another(returned, held) if self._others_turn else None
                chosen = held[other] if other is not None else (returned or held)[0]
                need = chosen.item.segment_count
                alone = not batch and reserved.count == 0 and room > 0
                if need > room and not alone:
                    return batch
                room -= need
                reserved.count += need
                batch.append(chosen)
                self._others_turn = bool(returned) and other is None
                if other is not None:
                    del held[other]
                elif returned:
                    heapq.heappop(returned)
                else:
                    held.popleft()
        return batch

    async def _work_off(self, batch: list[Held]) -> None:
        try:
            await self._at_pace(batch)
        except redis_link.LimiterUnavailable as error:
            self._put_back(batch)
            await self._pause(error)
        else:
            await self._dispatch(batch)
        finally:
            self._at_batch = False
            self._wake.set()

    async def _dispatch(self, batch: list[Held]) -> None:
        if not batch:
            return
        # The same message twice in a batch is a duplicate: it is tried, and found gone, later.
        waiting: dict[UUID, Held] = {}
        twice = [h for h in batch if waiting.setdefault(h.item.message_id, h) is not h]
        items = [held.item for held in waiting.values()]
        send = partial(self._send, waiting)
        done = await dispatch.dispatch(self._desk, self.carrier.carrier_id, items, send)
        if self._as_set.segments_per_second:
            # What is not sent, above all what was sent before, leaves its pace to the next.
            self._pace_credit += _segment_count(batch)
            self._pace_credit -= sum(permit.segment_count for _, permit in done.to_send)
        at_rest = [waiting.pop(message_id) for message_id in done.at_rest]
        self._reserved.count -= _segment_count(at_rest)
        for held in at_rest:
            self._rest(held)
        self._put_back([*waiting.values(), *twice])
        if done.fault is not None:
            await self._pause(done.fault)

    def _send(self, waiting: dict[UUID, Held], claims: dispatch.Claims) -> None:
        """Submit these, and take them out of what waits."""
        cut = segmentation.Cut(self._as_set.reference_bits, self._as_set.repertoire)
        for message, permit in claims:
            held = waiting.pop(message.message_id)
            self._in_flight += 1
            starting = sending.Sending(
                message,
                permit,
                self.link,
                self._reserved,
                partial(self._ended, held),
                cut=cut,
                message_class=CLASSES[held.message_class],
            )
            starting.held_count = held.item.segment_count
            starting.start()

    @property
    def in_flight_count(self) -> int:
        """Messages that are submitted and not recorded yet."""
        return self._in_flight

    def _ended(self, held: Held, ended: sending.Sending) -> None:
        for answered in ended.answers:
            if answered.outcome is not None:
                self._desk.health.note(
                    self.carrier.carrier_id, ended.message.country, answered.outcome.kind
                )
        recorded = self._recorder.add(ended)
        together = self._recording.get(recorded)
        if together is None:
            self._recording[recorded] = [(held, ended)]
            recorded.add_done_callback(self._recorded)
        else:
            together.append((held, ended))
        self._wake.set()

    def _recorded(self, recorded: asyncio.Future[None]) -> None:
        together = self._recording.pop(recorded)
        self._in_flight -= len(together)
        self._wake.set()
        self._quiet.set()
        if recorded.cancelled():
            return
        if (error := recorded.exception()) is not None:
            # As of a task: these would be submitting for as long as this process lives.
            self._failure = error
            return
        stale: list[UUID] = []
        for held, ended in together:
            if not ended.keeps_place:
                self._rest(held)
            elif held.era == self._eras[held.message_class]:
                heapq.heappush(self._returned[held.message_class], held)
            else:
                stale.append(held.item.message_id)
        if stale:
            self._soon(self._hand_back(stale))

    async def _hand_back(self, message_ids: Sequence[UUID]) -> None:
        """Their deliveries came again while they were being submitted, and found nothing to do."""
        try:
            async with self._desk.pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
                await work.hand_back(opened, message_ids)
        except connection.TRANSIENT as error:
            dispatch.count_delay(error)

    def _rest(self, held: Held) -> None:
        """The message has come to rest in PostgreSQL; its delivery may go when all have."""
        held.ticket.open_count -= 1
        if held.ticket.open_count == 0:
            self._soon(held.ticket.delivery.settle())

    def _put_back(self, batch: list[Held]) -> None:
        """Try these again, before those that came after them."""
        self._reserved.count -= _segment_count(batch)
        for held in reversed(batch):
            self._held[held.message_class].appendleft(held)

    async def _pause(self, error: BaseException) -> None:
        dispatch.count_delay(error)
        _log.warning("dispatch_delayed", carrier=self.carrier.name, error=type(error).__name__)
        await asyncio.sleep(FAULT_PAUSE_SECONDS)

    @property
    def _as_set(self) -> Carrier:
        """The carrier as operators have it now: its pace and its references need no new lane."""
        return self._desk.configured.current.carriers[self.carrier.carrier_id]

    async def _at_pace(self, batch: list[Held]) -> None:
        """Leave in the batch what the carrier's segments per second allow now; put back the
        rest."""
        rate = self._as_set.segments_per_second
        if rate == 0:
            return
        wanted = _segment_count(batch) - self._pace_credit
        wait_ms = 0
        if wanted > 0:
            granted, wait_ms = await self._desk.pace.take_up_to(self.carrier.name, rate, wanted)
            self._pace_credit += granted
        place = 0
        while place < len(batch) and batch[place].item.segment_count <= self._pace_credit:
            self._pace_credit -= batch[place].item.segment_count
            place += 1
        self._put_back(batch[place:])
        del batch[place:]
        if not batch:
            await asyncio.sleep(max(wait_ms, 1) / 1000)

    def _soon(self, step: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._quiet.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Nobody foresaw it, so nobody knows what it left undone: the lane must end, and what it
            # held comes again.
            self._failure = error
            self._wake.set()

    async def drain(self) -> None:
        """Take nothing more; return when everything claimed is recorded and acknowledged."""
        self._stopping = True
        while self._at_batch or self._in_flight or self._tasks:
            self._quiet.clear()
            await self._quiet.wait()
