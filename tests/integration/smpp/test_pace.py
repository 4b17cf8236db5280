"""One bind finds the rate of a carrier 40 ms away, and follows when it changes."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

import pytest

from shared.smpp import bind, codes, esme, pdu, session, smsc, terms, window
from tests.integration.smpp import peers

TRIP_SECONDS = 0.04
SECONDS = int(os.environ.get("SLUICE_TEST_PACE_SECONDS", "2"))
"""How long the course is, once before a change of the limit and once after."""
FINDING_SECONDS = min(8, 2 * SECONDS)
"""How long it may take to find a limit."""
IS_LONG = SECONDS >= 10
SHARE_MIN, THROTTLED_MAX = (0.9, 0.01) if IS_LONG else (0.6, 0.05)
"""Of the limit, and of all; two seconds beside all else that a machine does say less."""


class HiddenLimit:
    """An SMSC that takes so many submits a second, saved up for a tenth of one, and never says how
    many."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.taken: Counter[int] = Counter()
        self.throttled: Counter[int] = Counter()
        self._loop = asyncio.get_running_loop()
        self._began_at = self._at = self._loop.time()
        self._tokens = 0.0

    def take(self, peer: session.Session, request: pdu.Request) -> None:
        now = self._loop.time()
        self._tokens = min(self.rate / 10, self._tokens + (now - self._at) * self.rate)
        self._at = now
        second = int(now - self._began_at)
        if taken := self._tokens >= 1:
            self._tokens -= 1
        (self.taken if taken else self.throttled)[second] += 1
        status = codes.ESME_ROK if taken else codes.ESME_RTHROTTLED
        self._loop.call_later(TRIP_SECONDS, peer.answer, request, status, "id" if taken else "")

    def judged(self, first: int, last: int) -> tuple[float, float]:
        """What was taken a second, and which share of all was one too many."""
        taken = sum(self.taken[each] for each in range(first, last))
        throttled = sum(self.throttled[each] for each in range(first, last))
        return taken / (last - first), throttled / max(1, taken + throttled)


async def keep_full(kept: bind.Bind) -> None:
    def heed(answer: window.Answer) -> None:
        if answer.status == codes.ESME_RTHROTTLED:
            kept.heed_throttling()
        elif kept.steered:
            kept.heed_answer()

    while True:
        await kept.wait_for_room(1.0)
        for _ in range(kept.room):
            assert kept.current is not None
            kept.current.ask(codes.COMMAND_SUBMIT_SM, peers.MESSAGE_BODY, heed)


@pytest.mark.parametrize("window_min", [None, 4] if IS_LONG else [4])
async def test_a_bind_holds_close_to_a_hidden_limit(window_min: int | None) -> None:
    # given a carrier that takes 400 a second, and a window that could have 1,250 under way
    limit = HiddenLimit(400)
    handlers = session.Handlers(limit.take, authenticate=lambda _request: codes.ESME_ROK)
    server = await smsc.serve("127.0.0.1", 0, terms.Terms(10), handlers)
    try:
        kept = bind.Bind(
            esme.Destination("127.0.0.1", server.port, peers.REQUEST),
            terms.Terms(50, window_min=window_min),
            on_request=peers.Recorder().on_request,
            on_state=lambda _state, _reason: None,
        )
        kept.start()
        asking = asyncio.create_task(keep_full(kept))
        first = FINDING_SECONDS
        await asyncio.sleep(first + SECONDS)
        before = limit.judged(first, first + SECONDS)
        if IS_LONG:
            # when it takes 300 of a sudden
            limit.rate = 300
            await asyncio.sleep(FINDING_SECONDS + SECONDS)
            first += FINDING_SECONDS + SECONDS
        after = limit.judged(first, first + SECONDS)
        asking.cancel()
        await kept.close(1.0)
    finally:
        await server.close()
    print(f"window_min {window_min}: of 400 {before}, of {limit.rate} {after}")
    # then it holds nine tenths of either, with one in a hundred too many at most
    assert before[0] >= SHARE_MIN * 400
    assert after[0] >= SHARE_MIN * limit.rate
    assert max(before[1], after[1]) <= THROTTLED_MAX
