"""A dispatcher's steps from permit to recorded answer, without its broker and its carrier."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import NamedTuple

from services.dispatcher import record, sending, unheard
from services.dispatcher.dispatch import Desk, dispatch
from services.dispatcher.schedule import Scheduler
from shared.broker import envelopes
from shared.carriers import contract, outcomes
from shared.carriers.outcomes import Outcome, OutcomeKind
from shared.db import connection, watch
from shared.limits import permits
from shared.limits.limiter import Limiter, Permit, scope_names
from shared.limits.pace import Pace
from shared.runtime import ids, redis_link
from tests.keys import SEALS
from tests.limits import clock, stage
from tests.limits.judge import Departure

_OUTCOMES = (
    Outcome(OutcomeKind.ACCEPTED, "id"),
    Outcome(OutcomeKind.THROTTLED, retry_after_ms=1_000),
    Outcome(OutcomeKind.REJECTED, code="0x0B", reason="refused"),
    outcomes.LOST,
)
MOSTLY_TAKEN = (90, 6, 2, 2)
OFTEN_PUT_OFF = (60, 40, 0, 0)
ALWAYS_TAKEN = (100, 0, 0, 0)


class Journal:
    """What carriers of a run were handed."""

    def __init__(self, chance: random.Random, told: clock.RunClock) -> None:
        self.departures: list[Departure] = []
        self.returned_count = 0
        self.weights = MOSTLY_TAKEN
        self._chance = chance
        self._clock = told

    def submit(self, permit: Permit, account_id: int) -> Outcome:
        """Take a segment, or say that it was not taken."""
        (outcome,) = self._chance.choices(_OUTCOMES, self.weights)
        if outcome.kind in (OutcomeKind.ACCEPTED, OutcomeKind.LOST):
            scopes = scope_names(permit.line_id, account_id, stage.COUNTRY)
            self.departures.append(Departure(self._clock.true_ms, scopes, 1))
        self.returned_count += outcome.kind is OutcomeKind.THROTTLED
        return outcome


class _JournalLink(NamedTuple):
    """A link with room for everything."""

    journal: Journal
    permit: Permit
    account_id: int
    connected: bool = True
    room: int = 1_000
    whole_messages: bool = False

    async def wait_for_room(self) -> None:
        return

    def submit(self, segment: contract.Segment, on_outcome: contract.OnOutcome) -> None:
        on_outcome(self.journal.submit(self.permit, self.account_id))

    async def close(self, drain_seconds: float) -> None:
        return


class Worker:
    """One life of a dispatcher, on ways that outlive it."""

    def __init__(
        self, ways: stage.Ways, taking: permits.Permits, configured: watch.Watch, journal: Journal
    ) -> None:
        self.limiter = Limiter(ways.pool, taking)
        self.desk = Desk(ways.pool, configured, ids.uuid7(), self.limiter, Pace(ways.link), SEALS)
        self.scheduler = Scheduler(ways.pool, configured, self.limiter)
        self.late_count = 0
        self._recorder = record.Recorder(self.desk)
        self._journal = journal

    async def serve(
        self, items: Sequence[envelopes.WorkItem], go: asyncio.Event
    ) -> list[envelopes.WorkItem]:
        """Dispatch and, once `go` is set, send; those that are to be tried again."""
        done = await dispatch(self.desk, 1, items)
        await go.wait()
        ended: list[sending.Sending] = []
        for message, permit in done.to_send:
            self.late_count += not permit.fresh
            link = _JournalLink(self._journal, permit, message.account_id)
            sending.Sending(message, permit, link, sending.Reserved(), ended.append).start()
        for each in ended:
            self._recorder.add(each)
        if ended:
            await self._recorder.drain()
        settled = done.at_rest | {message.message_id for message, _ in done.to_send}
        return [item for item in items if item.message_id not in settled]

    async def look_after(self) -> None:
        """What a dispatcher does every now and then."""
        try:
            await unheard.put_back(self.desk)
            await self.scheduler.turn()
            await self.desk.unlimited.write()
        except (redis_link.LimiterUnavailable, *connection.TRANSIENT):
            return
