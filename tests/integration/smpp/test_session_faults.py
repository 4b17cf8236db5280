"""A session outlives what strangers do to it, or ends without hurting anything else."""

from __future__ import annotations

import asyncio
import time

import pytest

from shared.smpp import codes, encoder, life, pdu, window
from tests.integration.smpp import peers
from tests.unit.smpp import samples


async def test_one_request_is_lost_and_the_link_lives_when_its_answer_never_comes() -> None:
    timers = life.Timers(response_seconds=0.5)
    async with peers.bound_esme(timers=timers) as (ours, peer, _):
        answer = ours.submit(peers.MESSAGE)
        (late,) = await peer.receive_submits(1)

        enquire = await peer.receive()
        assert isinstance(enquire, pdu.EnquireLink)
        peer.send(pdu.EnquireLinkResp(), enquire.sequence)
        assert await answer == window.LOST

        again = ours.submit(peers.MESSAGE)
        (prompt,) = await peer.receive_submits(1)
        peer.send(pdu.SubmitSmResp(0, "late"), late.sequence)
        peer.send(pdu.SubmitSmResp(0, "prompt"), prompt.sequence)
        assert (await again).message_id == "prompt"
        assert ours.connected
        assert (ours.counts.expired, ours.counts.late, ours.counts.strangers) == (1, 1, 0)


async def test_who_asked_is_told_once_more_when_the_answer_comes_late() -> None:
    timers = life.Timers(response_seconds=0.2)
    async with peers.bound_esme(timers=timers, window=3) as (ours, peer, _):
        told = [peers.ask(ours) for _ in range(3)]
        submits = await peer.receive_submits(3)
        enquire = await peer.receive()
        peer.send(pdu.EnquireLinkResp(), enquire.sequence)
        assert [await peers.heard(each) for each in told] == [window.LOST] * 3

        peer.send(pdu.SubmitSmResp(0, "id-2"), submits[1].sequence)
        peer.send(pdu.SubmitSmResp(codes.ESME_RSYSERR), submits[0].sequence)
        peer.send(pdu.GenericNack(codes.ESME_RINVCMDID), submits[2].sequence)
        peer.send(pdu.SubmitSmResp(0, "again"), submits[1].sequence)

        late = window.AnswerKind.LATE
        assert [await peers.heard(each) for each in told] == [
            window.Answer(late, codes.ESME_RSYSERR),
            window.Answer(late, 0, "id-2"),
            window.Answer(late, codes.ESME_RINVCMDID),
        ]
        await peer.assert_nothing_before_echo()
        assert all(each.empty() for each in told)
        assert (ours.counts.late, ours.counts.strangers) == (3, 1)


async def test_the_link_lives_when_more_answers_are_late_than_nonsense_is_borne() -> None:
    count = 3 * life.NONSENSE_COUNT_MAX
    timers = life.Timers(response_seconds=0.4)
    async with peers.bound_esme(timers=timers, window=count) as (ours, peer, _):
        told = [peers.ask(ours) for _ in range(count)]
        submits = await peer.receive_submits(count)
        enquire = await peer.receive()
        peer.send(pdu.EnquireLinkResp(), enquire.sequence)
        assert {await peers.heard(each) for each in told} == {window.LOST}

        for submit in submits:
            peer.send(pdu.SubmitSmResp(0, f"id-{submit.sequence}"), submit.sequence)

        names = [(await peers.heard(each)).message_id for each in told]
        assert names == [f"id-{submit.sequence}" for submit in submits]
        assert ours.connected


async def test_the_link_lives_when_who_asked_fails_over_each_answer() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: reported.append(said))
    timers = life.Timers(response_seconds=0.2)
    async with peers.bound_esme(timers=timers) as (ours, peer, _):

        def fail(_: window.Answer) -> None:
            raise KeyError("no such thing")

        ours.ask(codes.COMMAND_SUBMIT_SM, peers.MESSAGE_BODY, fail)
        (submit,) = await peer.receive_submits(1)
        enquire = await peer.receive()
        assert len(reported) == 1
        peer.send(pdu.EnquireLinkResp(), enquire.sequence)
        peer.send(pdu.SubmitSmResp(0, "late"), submit.sequence)

        await peer.assert_nothing_before_echo()
        assert ours.counts.handler_failures == len(reported) == 2
        assert ours.connected


async def test_the_link_is_dropped_when_the_peer_is_silent() -> None:
    timers = life.Timers(enquire_seconds=0.1, enquire_response_seconds=0.1)
    async with peers.bound_esme(timers=timers, window=1) as (ours, peer, recorder):
        answers = [ours.submit(peers.MESSAGE) for _ in range(2)]
        await peer.receive_submits(1)

        assert isinstance(await peer.receive(), pdu.EnquireLink)

        assert await recorder.loss() is life.Loss.SILENT
        assert [await each for each in answers] == [window.LOST, window.NOT_SENT]


async def test_the_link_lives_when_the_peer_answers_every_enquire_link() -> None:
    timers = life.Timers(enquire_seconds=0.05, enquire_response_seconds=5)
    async with peers.bound_esme(timers=timers) as (ours, peer, _):
        for _ in range(5):
            enquire = await peer.receive()
            assert isinstance(enquire, pdu.EnquireLink)
            peer.send(pdu.EnquireLinkResp(), enquire.sequence)

        await peer.assert_nothing_before_echo()
        assert ours.connected
        assert ours.counts == life.Counts()


async def test_the_link_is_dropped_when_reading_stays_stopped() -> None:
    timers = life.Timers(response_seconds=0.1)
    async with peers.bound_esme(timers=timers, open_requests_max=1) as (_, peer, recorder):
        peer.send(peers.RECEIPT, 1)
        peer.send(peers.RECEIPT, 2)

        assert await recorder.loss() is life.Loss.STALLED


async def test_a_connection_is_dropped_when_it_never_binds() -> None:
    recorder = peers.Recorder()
    server = await recorder.serve(timers=life.Timers(bind_seconds=0.1))
    peer = await peers.connect(server.port)

    await peer.assert_hung_up()

    assert await recorder.loss() is life.Loss.NOT_BOUND
    peer.cut()
    await server.close()


@pytest.mark.parametrize(
    ("frame", "nack"),
    [
        (
            encoder.encode(pdu.Unknown(0x0021, 0, 4, b"data")),
            pdu.GenericNack(codes.ESME_RINVCMDID, 4),
        ),
        (
            encoder.encode(pdu.SubmitSm("a", "b", sequence=5)),
            pdu.GenericNack(codes.ESME_RINVCMDID, 5),
        ),
        (
            encoder.encode(pdu.Unknown(codes.COMMAND_DELIVER_SM, 0, 6, b"no nul anywhere")),
            pdu.GenericNack(codes.ESME_RINVPARLEN, 6),
        ),
        (
            encoder.encode(pdu.Unknown(codes.COMMAND_DELIVER_SM, 0, 7, b"\0" * 16 + b"\xff")),
            pdu.GenericNack(codes.ESME_RINVMSGLEN, 7),
        ),
        (
            encoder.encode(pdu.Unknown(codes.COMMAND_DATA_SM, 0, 8, b"\0" * 9)),
            pdu.GenericNack(codes.ESME_RINVPARLEN, 8),
        ),
    ],
    ids=["unknown command", "wrong role", "no nul", "text cut short", "data_sm cut short"],
)
async def test_a_pdu_is_nacked_and_the_link_lives_when_it_makes_no_sense(
    frame: bytes, nack: pdu.GenericNack
) -> None:
    async with peers.bound_esme() as (ours, peer, _):
        peer.send_bytes(frame)

        assert await peer.receive() == nack
        await peer.assert_nothing_before_echo()
        assert ours.connected


@pytest.mark.parametrize("length", [0, 15, 65_537, 0xFFFFFFFF])
async def test_the_link_is_dropped_when_framing_is_lost(length: int) -> None:
    async with peers.bound_esme() as (_, peer, recorder):
        peer.send_bytes(length.to_bytes(4, "big") + b"\xee" * 40)

        assert await peer.receive() == pdu.GenericNack(codes.ESME_RINVCMDLEN, 0)
        await peer.assert_hung_up()
        assert await recorder.loss() is life.Loss.BROKEN_FRAMING


async def test_strange_answers_are_ignored_until_there_are_too_many() -> None:
    async with peers.bound_esme() as (ours, peer, recorder):
        answer = ours.submit(peers.MESSAGE)
        (submit,) = await peer.receive_submits(1)
        for sequence in range(1_000, 1_000 + life.NONSENSE_COUNT_MAX):
            peer.send(pdu.SubmitSmResp(0, "stranger"), sequence)
        await peer.assert_nothing_before_echo()
        assert not answer.done()

        peer.send(pdu.SubmitSmResp(0, "known"), submit.sequence)
        peer.send(pdu.SubmitSmResp(0, "again"), submit.sequence)

        assert (await answer).message_id == "known"
        assert await recorder.loss() is life.Loss.NONSENSE


async def test_strange_answers_are_borne_when_there_are_few_at_a_time() -> None:
    """A session that lives for months meets more of them than it would bear at once."""
    timers = life.Timers(nonsense_seconds=0.2)
    async with peers.bound_esme(timers=timers) as (ours, peer, _):
        for week in range(3):
            for sequence in range(50):
                peer.send(pdu.SubmitSmResp(0, "stranger"), 1_000 + 100 * week + sequence)
            await peer.assert_nothing_before_echo()
            await asyncio.sleep(0.25)

        assert ours.counts.strangers == 150
        assert ours.connected


async def test_the_process_lives_when_10000_spoiled_frames_hit_a_server() -> None:
    recorder = peers.Recorder()
    server = await recorder.serve()
    frames = list(samples.spoiled_frames(10_000, seed=3))

    losses = []
    for start in range(0, len(frames), 10):
        peer = await peers.connect(server.port)
        peer.send(peers.REQUEST, 1)
        peer.send_bytes(b"".join(frames[start : start + 10]))
        peer.send_bytes(b"\0" * (codes.PDU_BYTES_MAX + 4))  # Ends any length that was promised.
        await peer.assert_hung_up()
        losses.append(await recorder.loss())
        peer.cut()

    assert set(losses) <= {
        life.Loss.BROKEN_FRAMING,
        life.Loss.PEER_UNBOUND,
        life.Loss.NONSENSE,
        life.Loss.PEER_CLOSED,
    }
    while not recorder.requests.empty():
        recorder.requests.get_nowait()
    ours = await recorder.open_esme(server.port)
    answer = ours.submit(peers.MESSAGE)
    request = await recorder.request()
    assert [each.answer(request, 0, "alive") for each in server.sessions] == [True]
    assert (await answer).message_id == "alive"
    await server.close()
    await ours.wait_closed()


async def test_the_esme_lives_when_well_framed_rubbish_hits_it() -> None:
    refused = 0
    for seed in range(20):
        async with peers.bound_esme() as (_, peer, recorder):
            for frame in samples.spoiled_frames(500, seed):
                body = frame[4:] if len(frame) >= codes.HEADER_BYTES else b"\0" * 12
                peer.send_bytes((len(body) + 4).to_bytes(4, "big") + body)
            await peer.assert_hung_up()
            refused += await recorder.loss() in (life.Loss.NONSENSE, life.Loss.PEER_UNBOUND)
    assert refused == 20


async def test_an_answer_counts_when_it_came_while_this_process_stood_still() -> None:
    timers = life.Timers(response_seconds=0.4)
    async with peers.bound_esme(timers=timers) as (ours, peer, recorder):
        answer = ours.submit(peers.MESSAGE)
        (submit,) = await peer.receive_submits(1)

        def stand_still(*_: object) -> None:
            peer.send(pdu.SubmitSmResp(0, "in time"), submit.sequence)
            time.sleep(0.8)

        recorder.on_request = stand_still
        peer.send(peers.RECEIPT, 1)

        assert (await answer).message_id == "in time"
