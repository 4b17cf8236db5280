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


@asynccontextmanager
async def keeping_bound(
    port: int, recorder: peers.Recorder, window_size: int = 2
) -> AsyncIterator[tuple[bind.Bind, Changes]]:
    changes: Changes = asyncio.Queue()
    kept = bind.Bind(
        esme.Destination("127.0.0.1", port, peers.REQUEST),
        terms.Terms(window_size, life.Timers(unbind_seconds=0.05)),
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


async def test_a_bind_that_is_throttled_pauses_and_then_tries_with_two() -> None:
    async with (
        peers.ScriptedSmsc().listening() as scripted,
        keeping_bound(scripted.port, peers.Recorder(), window_size=10) as (kept, changes),
    ):
        peer = await scripted.accept_bind()
        await until(changes, lambda state: state is bind.BindState.BOUND)

        async def answered(count: int, status: int) -> None:
            assert await kept.wait_for_room(peers.PATIENCE_SECONDS)
            opened, told = session_of(kept), asyncio.get_running_loop().create_future()

            def tell(answer: window.Answer) -> None:
                if answer.status:
                    kept.heed_throttling()
                elif kept.steered:
                    kept.heed_answer()
                if not opened.unanswered and not told.done():
                    told.set_result(None)

            for _ in range(count):
                opened.ask(codes.COMMAND_SUBMIT_SM, peers.MESSAGE_BODY, tell)
            for submit in await peer.receive_submits(count):
                peer.send(pdu.SubmitSmResp(status), submit.sequence)
            await asyncio.wait_for(told, peers.PATIENCE_SECONDS)

        # given bursts of which nothing is taken
        await answered(10, codes.ESME_RTHROTTLED)
        while changes.empty():
            assert kept.room > 2
            await answered(kept.room, codes.ESME_RTHROTTLED)
        # then it pauses once, for longer each time that the next two are not taken either
        for pause in ("for 0.05 s", "for 0.1 s", "for 0.2 s"):
            assert (await changes.get()) == (bind.BindState.PAUSED, pause)
            assert (kept.connected, kept.room) == (True, 0)
            assert await changes.get() == (bind.BindState.BOUND, "resumed")
            assert kept.room == 2
            assert changes.empty()
            if pause != "for 0.2 s":
                await answered(2, codes.ESME_RTHROTTLED)
        # and one that is taken ends that
        await answered(2, codes.ESME_ROK)
        assert kept.room > 2


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
