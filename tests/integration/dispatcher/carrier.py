"""A carrier whose answers are written down beforehand, and the ways of a message to it."""

from __future__ import annotations

import asyncio
from uuid import UUID

from services.dispatcher import record, sending
from services.dispatcher.dispatch import Desk, dispatch
from shared.broker import consume, envelopes
from shared.carriers import contract
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.limits.pace import Pace
from shared.runtime import ids
from shared.sms import segmentation
from tests.integration.dispatcher.conftest import Town
from tests.keys import SEALS

ACCEPTED = Outcome(OutcomeKind.ACCEPTED, "id")
REJECTED = Outcome(OutcomeKind.REJECTED, code="0x0B", reason="the carrier refused the recipient")
THROTTLED = Outcome(OutcomeKind.THROTTLED, retry_after_ms=60_000)


class ScriptedCarrier:
    """A link whose answers are written down beforehand, part after part."""

    whole_messages = False

    def __init__(self, answers: list[Outcome], room: int = 100) -> None:
        self.connected = True
        self.room = room
        self.submitted: list[contract.Segment] = []
        self._answers = iter(answers)

    async def wait_for_room(self) -> None:
        return

    def submit(self, segment: contract.Segment, on_outcome: contract.OnOutcome) -> None:
        self.submitted.append(segment)
        on_outcome(next(self._answers))

    async def close(self, drain_seconds: float) -> None:
        self.connected = False


class Delivered(consume.Delivery):
    """A delivery that came from nowhere."""

    __slots__ = ("buried", "settled")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.settled = self.buried = False

    async def settle(self) -> None:
        self.settled = True

    async def bury(self) -> None:
        self.buried = True


def desk_of(town: Town, worker_id: UUID | None = None) -> Desk:
    return Desk(
        town.pool,
        town.configured,
        worker_id or ids.uuid7(),
        town.limiter,
        Pace(town.redis),
        SEALS,
    )


async def send(
    town: Town,
    item: envelopes.WorkItem,
    answers: list[Outcome],
    reference_bits: segmentation.ReferenceBits = 16,
    desk: Desk | None = None,
) -> ScriptedCarrier:
    """Dispatch one message, submit it, and record what the carrier answered."""
    carrier = ScriptedCarrier(answers)
    desk = desk or desk_of(town)
    recorder = record.Recorder(desk)
    await asyncio.wait_for(recorder.add(await _submit(desk, item, carrier, reference_bits)), 5)
    return carrier


async def submitted(
    town: Town, item: envelopes.WorkItem, *answers: Outcome, by: int = 1
) -> sending.Sending:
    """A worker's submit by a carrier, answered; the worker has not recorded the answer yet."""
    return await _submit(desk_of(town), item, ScriptedCarrier(list(answers)), by=by)


async def _submit(
    desk: Desk,
    item: envelopes.WorkItem,
    carrier: ScriptedCarrier,
    reference_bits: segmentation.ReferenceBits = 16,
    by: int = 1,
) -> sending.Sending:
    done = await dispatch(desk, by, [item])
    ((message, permit),) = done.to_send
    ended: asyncio.Future[sending.Sending] = asyncio.get_running_loop().create_future()
    sending.Sending(
        message,
        permit,
        carrier,
        sending.Reserved(),
        ended.set_result,
        cut=segmentation.Cut(reference_bits),
    ).start()
    return await asyncio.wait_for(ended, 5)
