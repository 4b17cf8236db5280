"""Our ESME and our SMSC talk to libraries that share no line with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import smpp34
from smpplib import client as smpplib_client
from smpplib import exceptions as smpplib_exceptions

from shared.smpp import codes, life, pdu, session, smsc, window
from tests.integration.smpp import peers
from tests.ports import free_port


@pytest.fixture
async def smpp34_server() -> AsyncIterator[tuple[smpp34.Server, int]]:
    port = free_port()
    server = smpp34.Server("127.0.0.1", port)
    await server.start()
    yield server, port
    await server.stop()


@pytest.fixture
async def our_smsc() -> AsyncIterator[tuple[smsc.Server, peers.Recorder]]:
    """Accepts every submit_sm as `a1b2`."""
    recorder = peers.Recorder()

    def authenticate(request: pdu.BindRequest) -> int:
        right = request.password == peers.REQUEST.password
        return codes.ESME_ROK if right else codes.ESME_RINVPASWD

    def accept(peer: session.Session, request: pdu.Request) -> None:
        recorder.on_request(peer, request)
        peer.answer(request, codes.ESME_ROK, "a1b2")

    server = await smsc.serve(
        "127.0.0.1",
        0,
        peers.TERMS,
        session.Handlers(
            accept,
            recorder.closed.put_nowait,
            authenticate=authenticate,
            on_bound=recorder.bound.put_nowait,
        ),
    )
    yield server, recorder
    await server.close()


async def test_our_esme_is_served_when_the_smsc_is_smpp34(
    smpp34_server: tuple[smpp34.Server, int],
) -> None:
    server, port = smpp34_server
    recorder = peers.Recorder()
    ours = await recorder.open_esme(port)
    theirs = await server.next()
    assert isinstance(theirs, smpp34.Esme)
    assert theirs.system_id == peers.REQUEST.system_id

    accepted = ours.submit(peers.MESSAGE)
    first = await server.next()
    assert isinstance(first, smpp34.SubmitSmEvent)
    assert first.short_message == peers.MESSAGE.short_message
    first.accept("a1b2")
    assert await accepted == window.Answer(window.AnswerKind.ANSWERED, 0, "a1b2")

    rejected = ours.submit(peers.MESSAGE)
    second = await server.next()
    assert isinstance(second, smpp34.SubmitSmEvent)
    second.reject(codes.ESME_RTHROTTLED)
    assert (await rejected).status == codes.ESME_RTHROTTLED

    delivering = asyncio.ensure_future(theirs.deliver_sm("SLUICE", b"id:1", source_addr="336"))
    receipt = await recorder.request()
    ours.answer(receipt)
    assert (await delivering).is_success
    assert receipt.short_message == b"id:1"

    await ours.unbind(1)
    assert ours.loss is life.Loss.UNBOUND
    assert isinstance(await server.next(), smpp34.Unbound)


async def test_our_esme_takes_smpp34s_answers_when_they_follow_its_unbind(
    smpp34_server: tuple[smpp34.Server, int],
) -> None:
    server, port = smpp34_server
    recorder = peers.Recorder()
    ours = await recorder.open_esme(port)
    theirs = await server.next()
    assert isinstance(theirs, smpp34.Esme)
    answers = [ours.submit(peers.MESSAGE) for _ in range(3)]
    submits = [await server.next() for _ in range(3)]

    unbinding = asyncio.ensure_future(theirs.unbind())
    while ours.state is not life.State.UNBINDING:
        await asyncio.sleep(0.005)
    for number, submit in enumerate(submits):
        assert isinstance(submit, smpp34.SubmitSmEvent)
        submit.accept(f"id-{number}")

    # Its events come in no certain order.
    assert {(await each).message_id for each in answers} == {"id-0", "id-1", "id-2"}
    assert await recorder.loss() is life.Loss.PEER_UNBOUND
    await unbinding


async def test_smpp34s_client_is_served_when_the_smsc_is_ours(
    our_smsc: tuple[smsc.Server, peers.Recorder],
) -> None:
    server, recorder = our_smsc
    client = smpp34.Client("127.0.0.1", server.port, "sluice", "secret")
    theirs = await client.connect()
    ours = await recorder.bound.get()

    resp = await theirs.submit_sm("33612345678", b"hello", source_addr="SLUICE")
    receipt = ours.deliver(peers.RECEIPT)
    event = await theirs.next()

    assert (resp.command_status, resp.message_id) == (0, "a1b2")
    assert isinstance(event, smpp34.DeliverSmEvent)
    assert event.short_message == peers.RECEIPT.short_message
    assert (await receipt).kind is window.AnswerKind.ANSWERED
    await theirs.unbind()
    assert await recorder.loss() is life.Loss.PEER_UNBOUND


def talk_like_smpplib(port: int) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """Binds, submits, takes the answer and a receipt, unbinds."""
    answers: list[tuple[int, bytes]] = []
    receipts: list[bytes] = []
    client = smpplib_client.Client("127.0.0.1", port, allow_unknown_opt_params=True)
    client.set_message_sent_handler(lambda pdu: answers.append((pdu.status, pdu.message_id)))

    def take(pdu: smpplib_client.smpp) -> int:
        receipts.append(pdu.short_message)
        return 0

    client.set_message_received_handler(take)
    client.connect()
    client.bind_transceiver(system_id="sluice", password="secret")
    client.send_message(
        source_addr="SLUICE", destination_addr="33612345678", short_message=b"hello"
    )
    while not (answers and receipts):
        client.read_once()
    client.unbind()
    client.disconnect()
    return answers, receipts


async def test_smpplibs_client_is_served_when_the_smsc_is_ours(
    our_smsc: tuple[smsc.Server, peers.Recorder],
) -> None:
    server, recorder = our_smsc
    talking = asyncio.ensure_future(asyncio.to_thread(talk_like_smpplib, server.port))
    ours = await recorder.bound.get()
    request = await recorder.request()
    receipt = ours.deliver(peers.RECEIPT)

    assert await talking == ([(0, b"a1b2")], [peers.RECEIPT.short_message])
    assert (await receipt).kind is window.AnswerKind.ANSWERED
    assert request.short_message == b"hello"
    assert await recorder.loss() is life.Loss.PEER_UNBOUND


def bind_wrongly_like_smpplib(port: int) -> int:
    client = smpplib_client.Client("127.0.0.1", port, allow_unknown_opt_params=True)
    client.connect()
    try:
        client.bind_transceiver(system_id="sluice", password="wrong")
    except smpplib_exceptions.PDUError as refusal:
        return int(refusal.args[1])
    finally:
        client.disconnect()
    return codes.ESME_ROK


async def test_smpplibs_client_is_told_why_when_its_password_is_wrong(
    our_smsc: tuple[smsc.Server, peers.Recorder],
) -> None:
    server, _ = our_smsc

    status = await asyncio.to_thread(bind_wrongly_like_smpplib, server.port)

    assert status == codes.ESME_RINVPASWD
