"""A session keeps its window, its order and its word about each request."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from shared.smpp import codes, encoder, esme, life, pdu, terms, window
from tests.integration.smpp import peers

ANSWERED = window.AnswerKind.ANSWERED


async def test_a_submit_is_answered_when_both_ends_are_ours() -> None:
    recorder = peers.Recorder()
    server = await recorder.serve()
    ours = await recorder.open_esme(server.port)
    theirs = await recorder.bound.get()

    answer = ours.submit(peers.MESSAGE)
    request = await recorder.request()
    theirs.answer(request, codes.ESME_ROK, "a1b2")
    receipt = theirs.deliver(peers.RECEIPT)
    ours.answer(await recorder.request())

    assert await answer == window.Answer(ANSWERED, 0, "a1b2")
    assert await receipt == window.Answer(ANSWERED, 0, "")
    assert request == peers.MESSAGE._replace(sequence=request.sequence)
    assert server.sessions == {theirs}
    await ours.unbind(1)
    assert {await recorder.loss(), await recorder.loss()} == {
        life.Loss.UNBOUND,
        life.Loss.PEER_UNBOUND,
    }
    await server.close()


async def test_small_packets_leave_at_once_when_a_session_is_open() -> None:
    async with peers.bound_esme() as (ours, _, _):
        tcp = ours._transport.get_extra_info("socket")
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize("size", [1, 5, 50])
async def test_exactly_w_are_unanswered_when_the_peer_is_slow(size: int) -> None:
    async with peers.bound_esme(window=size) as (ours, peer, _):
        answers = [ours.submit(peers.MESSAGE) for _ in range(size + 20)]

        waiting = await peer.receive_submits(size)
        for _ in range(20):
            await peer.assert_nothing_before_echo()
            assert ours.unanswered == size
            assert ours.room == 0
            peer.send(pdu.SubmitSmResp(0, "id"), waiting.pop(0).sequence)
            waiting += await peer.receive_submits(1)
        await peer.assert_nothing_before_echo()
        for each in waiting:
            peer.send(pdu.SubmitSmResp(0, "id"), each.sequence)

        assert {(await each).kind for each in answers} == {ANSWERED}
        assert ours.room == size


async def test_answers_find_their_requests_when_they_come_in_another_order() -> None:
    async with peers.bound_esme() as (ours, peer, _):
        answers = [ours.submit(peers.MESSAGE) for _ in range(10)]
        for each in reversed(await peer.receive_submits(10)):
            peer.send(pdu.SubmitSmResp(0, f"id{each.sequence}"), each.sequence)

        ids = [(await each).message_id for each in answers]

    assert ids == sorted(ids, key=lambda each: int(each[2:]))
    assert len(set(ids)) == 10


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (pdu.SubmitSmResp(codes.ESME_RTHROTTLED), codes.ESME_RTHROTTLED),
        (pdu.SubmitSmResp(0x440, ""), 0x440),
        (pdu.GenericNack(codes.ESME_RINVCMDID), codes.ESME_RINVCMDID),
        (pdu.GenericNack(0), codes.ESME_RUNKNOWNERR),
    ],
)
async def test_the_peers_number_is_passed_on_when_it_refuses(reply: pdu.Pdu, status: int) -> None:
    async with peers.bound_esme() as (ours, peer, _):
        answer = ours.submit(peers.MESSAGE)
        (submit,) = await peer.receive_submits(1)
        peer.send(reply, submit.sequence)

        assert await answer == window.Answer(ANSWERED, status, "")


async def test_lost_and_not_sent_are_told_apart_when_the_link_is_cut() -> None:
    async with peers.bound_esme(window=3) as (ours, peer, recorder):
        answers = [ours.submit(peers.MESSAGE) for _ in range(10)]
        await peer.receive_submits(3)

        peer.cut()

        assert [await each for each in answers] == [window.LOST] * 3 + [window.NOT_SENT] * 7
        assert await recorder.loss() is life.Loss.PEER_CLOSED
        assert await ours.submit(peers.MESSAGE) == window.NOT_SENT


async def test_nothing_is_sent_when_smpp_cannot_carry_the_message() -> None:
    async with peers.bound_esme() as (ours, peer, _):
        with pytest.raises(pdu.PduError):
            ours.submit(peers.MESSAGE._replace(short_message=b"x" * 255))

        await peer.assert_nothing_before_echo()


async def test_queued_requests_wait_when_the_session_is_held() -> None:
    async with peers.bound_esme() as (ours, peer, _):
        ours.hold()
        ours.submit(peers.MESSAGE)
        await peer.assert_nothing_before_echo()
        assert ours.room == 0

        ours.resume()

        await peer.receive_submits(1)


async def test_nothing_is_written_when_its_time_passes_while_the_session_is_held() -> None:
    async with peers.bound_esme() as (ours, peer, _):
        ours.hold()
        now = time.monotonic()
        late = peers.ask(ours, leave_by=now + 0.02)
        timely = peers.ask(ours, leave_by=now + 60)
        await asyncio.sleep(0.05)

        ours.resume()

        assert await peers.heard(late) == window.NOT_SENT
        (submit,) = await peer.receive_submits(1)
        peer.send(pdu.SubmitSmResp(0, "id"), submit.sequence)
        assert (await peers.heard(timely)).message_id == "id"
        await peer.assert_nothing_before_echo()


async def test_a_waiter_gets_room_when_an_answer_frees_it() -> None:
    async with peers.bound_esme(window=1) as (ours, peer, _):
        ours.submit(peers.MESSAGE)
        (submit,) = await peer.receive_submits(1)
        assert not await ours.wait_for_room(0.01)
        waiter = asyncio.ensure_future(ours.wait_for_room(peers.PATIENCE_SECONDS))

        peer.send(pdu.SubmitSmResp(0, "id"), submit.sequence)

        assert await waiter


async def test_a_waiter_is_told_when_the_link_goes() -> None:
    async with peers.bound_esme(window=1) as (ours, peer, _):
        ours.submit(peers.MESSAGE)
        waiter = asyncio.ensure_future(ours.wait_for_room(peers.PATIENCE_SECONDS))
        await peer.receive_submits(1)

        peer.cut()

        assert not await waiter


async def test_a_deliver_sm_is_unanswered_until_its_owner_answers() -> None:
    async with peers.bound_esme() as (ours, peer, recorder):
        peer.send(peers.RECEIPT, 500)
        request = await recorder.request()
        await peer.assert_nothing_before_echo()
        assert ours.open_requests == 1

        assert ours.answer(request, codes.ESME_RX_T_APPN)

        assert await peer.receive() == pdu.DeliverSmResp(codes.ESME_RX_T_APPN, "", 500)
        assert ours.open_requests == 0


async def test_a_receipt_is_taken_when_it_comes_with_the_bind_response() -> None:
    recorder = peers.Recorder()
    async with peers.ScriptedSmsc().listening() as scripted:
        opening = asyncio.ensure_future(recorder.open_esme(scripted.port))
        peer = await scripted.accept()
        bind = await peer.receive()
        peer.send_bytes(
            encoder.encode(pdu.BindResp(), bind.sequence) + encoder.encode(peers.RECEIPT, 1)
        )

        assert isinstance(await recorder.request(), pdu.DeliverSm)
        (await opening).abort()
        await (await opening).wait_closed()


RECEIPT_AS_DATA = pdu.DataSm(
    "33612345678",
    "SLUICE",
    esm_class=codes.ESM_CLASS_RECEIPT,
    tlvs=((codes.TLV_RECEIPTED_MESSAGE_ID, b"1\0"), (codes.TLV_MESSAGE_STATE, b"\x02")),
)


async def test_a_data_sm_is_handed_over_and_answered_as_a_deliver_sm_is() -> None:
    async with peers.bound_esme() as (ours, peer, recorder):
        peer.send(RECEIPT_AS_DATA, 501)
        request = await recorder.request()
        assert isinstance(request, pdu.DataSm)
        assert request == RECEIPT_AS_DATA._replace(sequence=501)
        await peer.assert_nothing_before_echo()

        assert ours.answer(request)

        assert await peer.receive() == pdu.DataSmResp(0, "", 501)
        assert ours.open_requests == 0


async def test_a_data_sm_is_answered_when_both_ends_are_ours() -> None:
    recorder = peers.Recorder()
    server = await recorder.serve()
    ours = await recorder.open_esme(server.port)
    theirs = await recorder.bound.get()

    said = theirs.deliver(RECEIPT_AS_DATA)
    ours.answer(await recorder.request(), codes.ESME_RX_T_APPN)

    assert await said == window.Answer(ANSWERED, codes.ESME_RX_T_APPN, "")
    ours.abort()
    await ours.wait_closed()
    await server.close()


@pytest.mark.parametrize("receipt", [peers.RECEIPT, RECEIPT_AS_DATA], ids=["deliver", "data"])
async def test_a_receipt_is_taken_when_a_stray_nul_follows_it(
    receipt: pdu.DeliverSm | pdu.DataSm,
) -> None:
    async with peers.bound_esme() as (_, peer, recorder):
        frame = encoder.encode(receipt, 502) + b"\0"
        peer.send_bytes(len(frame).to_bytes(4, "big") + frame[4:])

        assert await recorder.request() == receipt._replace(sequence=502)


async def test_reading_stops_when_too_many_requests_are_open() -> None:
    async with peers.bound_esme(open_requests_max=10) as (ours, peer, recorder):
        peer.send_bytes(b"".join(encoder.encode(peers.RECEIPT, each) for each in range(11)))
        requests = [await recorder.request() for _ in range(11)]
        peer.send(pdu.EnquireLink(99))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.receive(), 0.1)

        for request in requests:
            ours.answer(request)

        answers = [await peer.receive() for _ in range(12)]
        assert answers[-1] == pdu.EnquireLinkResp(0, 99)


async def test_requests_stay_unwritten_when_the_peers_socket_is_full() -> None:
    large = peers.MESSAGE._replace(
        short_message=b"", tlvs=((codes.TLV_MESSAGE_PAYLOAD, b"x" * 16_000),)
    )
    async with peers.bound_esme(window=5_000) as (ours, peer, _):
        answers = []
        for _ in range(50):  # 40 MB in pieces, far more than loopback buffers hold.
            answers += [ours.submit(large) for _ in range(50)]
            await asyncio.sleep(0)
        written = ours.unanswered
        assert 0 < written < len(answers)

        for each in await peer.receive_submits(len(answers)):
            peer.send(pdu.SubmitSmResp(0, "id"), each.sequence)

        assert {(await each).kind for each in answers} == {ANSWERED}


async def test_open_answers_come_first_when_unbinding() -> None:
    async with peers.bound_esme(window=2) as (ours, peer, recorder):
        answers = [ours.submit(peers.MESSAGE) for _ in range(3)]
        submits = await peer.receive_submits(2)

        unbinding = asyncio.ensure_future(ours.unbind(peers.PATIENCE_SECONDS))
        assert await answers[2] == window.NOT_SENT
        assert await ours.submit(peers.MESSAGE) == window.NOT_SENT
        await peer.assert_nothing_before_echo()
        for each in submits:
            peer.send(pdu.SubmitSmResp(0, "id"), each.sequence)

        assert isinstance(await peer.receive(), pdu.Unbind)
        peer.cut()  # Without unbind_resp, as some do.
        await unbinding
        assert [(await each).kind for each in answers[:2]] == [ANSWERED, ANSWERED]
        assert await recorder.loss() is life.Loss.UNBOUND


async def test_unbinding_ends_when_answers_never_come() -> None:
    timers = life.Timers(unbind_seconds=0.05)
    async with peers.bound_esme(timers=timers) as (ours, peer, recorder):
        answer = ours.submit(peers.MESSAGE)
        await peer.receive_submits(1)

        await asyncio.wait_for(ours.unbind(0.05), peers.PATIENCE_SECONDS)

        assert await answer == window.LOST
        assert await recorder.loss() is life.Loss.UNBOUND
        assert isinstance(await peer.receive(), pdu.Unbind)


async def test_a_peer_is_answered_and_let_go_when_it_unbinds() -> None:
    timers = life.Timers(farewell_seconds=0.1)
    async with peers.bound_esme(window=1, timers=timers) as (ours, peer, recorder):
        answers = [ours.submit(peers.MESSAGE) for _ in range(2)]
        await peer.receive_submits(1)

        peer.send(pdu.Unbind(), 9)

        assert await peer.receive() == pdu.UnbindResp(0, 9)
        await peer.assert_hung_up()
        assert [await each for each in answers] == [window.LOST, window.NOT_SENT]
        assert await recorder.loss() is life.Loss.PEER_UNBOUND


async def test_answers_count_when_they_follow_the_peers_unbind() -> None:
    async with peers.bound_esme(window=3) as (ours, peer, recorder):
        answers = [ours.submit(peers.MESSAGE) for _ in range(4)]
        submits = await peer.receive_submits(3)

        peer.send(pdu.Unbind(), 9)
        assert await peer.receive() == pdu.UnbindResp(0, 9)
        assert await answers[3] == window.NOT_SENT
        assert (ours.connected, ours.room) == (False, 0)
        assert await ours.submit(peers.MESSAGE) == window.NOT_SENT
        for number, submit in enumerate(submits):
            peer.send(pdu.SubmitSmResp(0, f"id-{number}"), submit.sequence)

        await peer.assert_hung_up()
        said = [await each for each in answers[:3]]
        assert said == [window.Answer(ANSWERED, 0, f"id-{number}") for number in range(3)]
        assert await recorder.loss() is life.Loss.PEER_UNBOUND


async def test_answers_count_when_they_come_in_one_packet_with_the_peers_unbind() -> None:
    async with peers.bound_esme(window=3) as (ours, peer, recorder):
        answers = [ours.submit(peers.MESSAGE) for _ in range(3)]
        submits = await peer.receive_submits(3)
        resps = [encoder.encode(pdu.SubmitSmResp(0, "id"), each.sequence) for each in submits]

        peer.send_bytes(encoder.encode(pdu.Unbind(), 9) + b"".join(resps))

        assert [(await each).message_id for each in answers] == ["id"] * 3
        assert await peer.receive() == pdu.UnbindResp(0, 9)
        await peer.assert_hung_up()
        assert await recorder.loss() is life.Loss.PEER_UNBOUND


async def test_what_the_peer_left_open_is_lost_when_it_closes_after_its_unbind() -> None:
    async with peers.bound_esme(window=2) as (ours, peer, recorder):
        answers = [ours.submit(peers.MESSAGE) for _ in range(2)]
        submits = await peer.receive_submits(2)

        peer.send(pdu.Unbind(), 9)
        peer.send(pdu.SubmitSmResp(0, "id"), submits[0].sequence)
        assert await peer.receive() == pdu.UnbindResp(0, 9)
        assert (await answers[0]).message_id == "id"
        peer.cut()

        assert await answers[1] == window.LOST
        assert await recorder.loss() is life.Loss.PEER_UNBOUND


async def test_a_receipt_is_answered_when_the_peer_unbinds_while_it_is_being_stored() -> None:
    async with peers.bound_esme() as (ours, peer, recorder):
        peer.send(peers.RECEIPT, 500)
        request = await recorder.request()
        peer.send(pdu.Unbind(), 9)
        assert await peer.receive() == pdu.UnbindResp(0, 9)

        assert ours.answer(request)

        assert await peer.receive() == pdu.DeliverSmResp(0, "", 500)
        await peer.assert_hung_up()


async def test_closing_keeps_its_deadline_when_the_peer_has_unbound() -> None:
    timers = life.Timers(unbind_seconds=0.05, farewell_seconds=60)
    async with peers.bound_esme(timers=timers) as (ours, peer, _):
        answer = ours.submit(peers.MESSAGE)
        await peer.receive_submits(1)
        peer.send(pdu.Unbind(), 9)
        assert await peer.receive() == pdu.UnbindResp(0, 9)

        await asyncio.wait_for(ours.unbind(0.05), peers.PATIENCE_SECONDS)

        assert await answer == window.LOST
        await peer.assert_hung_up()


async def test_the_status_is_given_when_a_bind_is_refused() -> None:
    recorder = peers.Recorder()
    server = await recorder.serve(status=codes.ESME_RINVPASWD)

    with pytest.raises(esme.BindRefused) as refusal:
        await recorder.open_esme(server.port)

    assert refusal.value.status == codes.ESME_RINVPASWD
    assert "secret" not in str(refusal.value)
    assert await recorder.loss() is life.Loss.REFUSED
    await server.close()


async def test_binding_fails_when_the_peer_hangs_up() -> None:
    recorder = peers.Recorder()
    async with peers.ScriptedSmsc().listening() as scripted:
        opening = asyncio.ensure_future(recorder.open_esme(scripted.port))
        (await scripted.accept()).cut()

        with pytest.raises(ConnectionError):
            await opening


async def test_binding_fails_when_the_peer_says_nothing() -> None:
    recorder = peers.Recorder()
    async with peers.ScriptedSmsc().listening() as scripted:
        with pytest.raises(TimeoutError):
            await recorder.open_esme(scripted.port, terms.Terms(10, life.Timers(bind_seconds=0.05)))

        assert await recorder.loss() is life.Loss.NOT_BOUND


async def test_requests_are_refused_when_the_esme_has_not_bound_for_them() -> None:
    recorder = peers.Recorder()
    server = await recorder.serve()
    peer = await peers.connect(server.port)

    peer.send(peers.MESSAGE, 1)
    assert await peer.receive() == pdu.SubmitSmResp(codes.ESME_RINVBNDSTS, "", 1)
    peer.send(pdu.BindRequest("a", "b", mode=pdu.BindMode.RECEIVER), 2)
    assert await peer.receive() == pdu.BindResp(pdu.BindMode.RECEIVER, 0, "SMSC", (), 2)
    peer.send(peers.MESSAGE, 3)
    assert await peer.receive() == pdu.SubmitSmResp(codes.ESME_RINVBNDSTS, "", 3)
    peer.send(peers.REQUEST, 4)
    assert await peer.receive() == pdu.BindResp(
        status=codes.ESME_RALYBND, system_id="SMSC", sequence=4
    )

    assert recorder.requests.empty()
    peer.cut()
    await server.close()


async def test_the_link_lives_when_a_handler_fails() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: reported.append(said))

    async with peers.bound_esme() as (ours, peer, recorder):

        def fail(*_: object) -> None:
            raise KeyError("no such thing")

        recorder.on_request = fail
        peer.send(peers.RECEIPT, 5)

        assert await peer.receive() == pdu.DeliverSmResp(codes.ESME_RSYSERR, "", 5)
        await peer.assert_nothing_before_echo()
        assert ours.counts.handler_failures == 1
        assert len(reported) == 1
