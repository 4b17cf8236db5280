"""A bind comes back after a loss, waits when it is throttled and never hammers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from shared.smpp import bind, codes, esme, life, pdu, session, terms, window
from tests.integration.smpp import peers

Changes = asyncio.Queue[tuple[bind.BindState, str]]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind, "RETRY_SECONDS_MIN", 0.02)
    monkeypatch.setattr(bind, "PAUSE_SECONDS_MIN", 0.02)


@asynccontextmanager
async def keeping_bound(
    port: int, recorder: peers.Recorder
) -> AsyncIterator[tuple[bind.Bind, Changes]]:
    changes: Changes = asyncio.Queue()
    kept = bind.Bind(
        esme.Destination("127.0.0.1", port, peers.REQUEST),
        terms.Terms(2, life.Timers(unbind_seconds=0.05)),
        on_request=recorder.on_request,
        on_state=lambda state, reason: changes.put_nowait((state, reason)),
    )
    kept.start()
    try:
        yield kept, changes
    finally:
        await kept.close(0.05)


def session_of(kept: bind.Bind) -> session.Session:
    assert kept.current is not None
    return kept.current


async def until(changes: Changes, wanted: Callable[[bind.BindState], bool]) -> str:
    async with asyncio.timeout(peers.PATIENCE_SECONDS):
        while True:
            state, reason = await changes.get()
            if wanted(state):
                return reason


async def test_requests_flow_when_the_bind_is_up() -> None:
    recorder = peers.Recorder()
    async with (
        peers.ScriptedSmsc().listening() as scripted,
        keeping_bound(scripted.port, recorder) as (kept, _),
    ):
        assert (kept.connected, kept.room) == (False, 0)
        assert kept.current is None
        peer = await scripted.accept_bind()

        assert await kept.wait_for_room(peers.PATIENCE_SECONDS)
        assert (kept.connected, kept.room) == (True, 2)
        answer = session_of(kept).submit(peers.MESSAGE)
        (submit,) = await peer.receive_submits(1)
        peer.send(pdu.SubmitSmResp(0, "id"), submit.sequence)

        assert (await answer).message_id == "id"
        peer.send(peers.RECEIPT, 1)
        assert isinstance(await recorder.request(), pdu.DeliverSm)


async def test_the_bind_comes_back_each_time_when_the_link_is_cut() -> None:
    async with (
        peers.ScriptedSmsc().listening() as scripted,
        keeping_bound(scripted.port, peers.Recorder()) as (kept, changes),
    ):
        for _ in range(4):
            peer = await scripted.accept_bind()
            assert await kept.wait_for_room(peers.PATIENCE_SECONDS)
            answer = session_of(kept).submit(peers.MESSAGE)
            await peer.receive_submits(1)
            peer.cut()
            assert await answer == window.LOST
            reason = await until(changes, lambda state: state is bind.BindState.WAITING)
            assert reason == life.Loss.PEER_CLOSED


async def test_the_bind_is_tried_again_when_nobody_listens_at_first() -> None:
    async with peers.ScriptedSmsc().listening() as scripted:
        port = scripted.port
    async with keeping_bound(port, peers.Recorder()) as (kept, changes):
        for _ in range(3):
            await until(changes, lambda state: state is bind.BindState.WAITING)

        assert not await kept.wait_for_room(0.01)
        assert not kept.connected


async def test_the_peer_is_not_hammered_when_it_refuses_the_bind() -> None:
    async with (
        peers.ScriptedSmsc().listening() as scripted,
        keeping_bound(scripted.port, peers.Recorder()) as (kept, changes),
    ):
        await scripted.accept_bind(codes.ESME_RINVPASWD)

        reason = await until(changes, lambda state: state is bind.BindState.REFUSED)

        assert reason == "status 0x0000000E"
        assert not await kept.wait_for_room(0.2)  # Ten ordinary retries would fit in this time.
        assert changes.empty()


@pytest.mark.parametrize("status", sorted(codes.THROTTLING_STATUSES))
async def test_the_bind_pauses_once_a_burst_and_resumes_when_throttled(status: int) -> None:
    async with (
        peers.ScriptedSmsc().listening() as scripted,
        keeping_bound(scripted.port, peers.Recorder()) as (kept, changes),
    ):
        peer = await scripted.accept_bind()
        await until(changes, lambda state: state is bind.BindState.BOUND)
        answers = [session_of(kept).submit(peers.MESSAGE) for _ in range(2)]
        for submit in await peer.receive_submits(2):
            peer.send(pdu.SubmitSmResp(status), submit.sequence)

        assert [(await each).status for each in answers] == [status, status]
        await until(changes, lambda state: state is bind.BindState.PAUSED)
        assert (kept.connected, kept.room) == (True, 0)
        assert await changes.get() == (bind.BindState.BOUND, "resumed")
        assert kept.room == 2
        assert changes.empty()


async def test_pauses_grow_while_throttled_and_start_small_after_successes() -> None:
    async with (
        peers.ScriptedSmsc().listening() as scripted,
        keeping_bound(scripted.port, peers.Recorder()) as (kept, changes),
    ):
        peer = await scripted.accept_bind()
        pauses = []
        for status in [codes.ESME_RTHROTTLED] * 3 + [0] * 10 + [codes.ESME_RTHROTTLED]:
            assert await kept.wait_for_room(peers.PATIENCE_SECONDS)
            answer = session_of(kept).submit(peers.MESSAGE)
            (submit,) = await peer.receive_submits(1)
            peer.send(pdu.SubmitSmResp(status), submit.sequence)
            await answer
            if status:
                pauses.append(await until(changes, lambda state: state is bind.BindState.PAUSED))

    assert pauses == ["for 0.02 s", "for 0.04 s", "for 0.08 s", "for 0.02 s"]


async def test_unanswered_requests_are_waited_for_when_closing() -> None:
    async with (
        peers.ScriptedSmsc().listening() as scripted,
        keeping_bound(scripted.port, peers.Recorder()) as (kept, _),
    ):
        peer = await scripted.accept_bind()
        assert await kept.wait_for_room(peers.PATIENCE_SECONDS)
        answer = session_of(kept).submit(peers.MESSAGE)
        (submit,) = await peer.receive_submits(1)

        closing = asyncio.ensure_future(kept.close(peers.PATIENCE_SECONDS))
        await peer.assert_nothing_before_echo()
        peer.send(pdu.SubmitSmResp(0, "in time"), submit.sequence)
        unbind = await peer.receive()
        peer.send(pdu.UnbindResp(), unbind.sequence)
        await closing

        assert (await answer).message_id == "in time"
        assert kept.current is None


def test_a_bind_is_refused_when_smpp_cannot_carry_its_password() -> None:
    with pytest.raises(pdu.PduError):
        bind.Bind(
            esme.Destination("127.0.0.1", 1, pdu.BindRequest("sluice", "nul\0")),
            peers.TERMS,
            on_request=lambda *_: None,
            on_state=lambda *_: None,
        )
