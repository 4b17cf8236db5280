"""Which binds an SMPP carrier's settings open: their kinds, their hosts, their encryption."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from shared.carriers import outcomes, registry
from shared.smpp import codes, pdu, window
from tests.integration.carriers import segments, smscs
from tests.integration.web import certificates

Mode = pdu.BindMode
RECEIPT = pdu.DeliverSm(
    source_addr="33612340000",
    destination_addr="Sluice",
    esm_class=codes.ESM_CLASS_RECEIPT,
    short_message=b"id:abc sub:001 dlvrd:001 stat:DELIVRD err:000 text:canary",
)


async def test_a_pair_submits_over_its_transmitter_and_takes_receipts_at_its_receiver() -> None:
    sink = segments.Sink()
    async with (
        smscs.listening() as smsc,
        smscs.link_to(smsc.port, sink, bind="transmitter+receiver", binds=2) as link,
    ):
        await segments.eventually(lambda: len(smsc.peers) == 4)
        for _ in range(6):
            said = await smscs.sent(link, segments.segment())
            assert said.kind is outcomes.OutcomeKind.ACCEPTED
        assert set(smsc.ways) <= set(smsc.of(Mode.TRANSMITTER))
        [receiver, _] = smsc.of(Mode.RECEIVER)
        told = await asyncio.wait_for(receiver.deliver(RECEIPT), 10)
        assert told == window.Answer(window.AnswerKind.ANSWERED, codes.ESME_ROK)
        assert len(sink.seen) == 1
        # And a receiver without its transmitters is no way to send anything
        for each in smsc.of(Mode.TRANSMITTER):
            each.abort()
        await segments.eventually(lambda: not link.connected)
        assert link.room == 0


async def test_receipts_may_come_to_an_account_of_their_own() -> None:
    sink = segments.Sink()
    async with smscs.listening() as first, smscs.listening() as second:
        own = {"port": second.port, "system_id": "acme-rx", "password": "other"}
        async with smscs.link_to(
            first.port, sink, bind="transmitter+receiver", receiver=own
        ) as link:
            await smscs.sent(link, segments.segment())
            await segments.eventually(lambda: bool(second.peers))
            await asyncio.wait_for(second.peers[0].deliver(RECEIPT), 10)
    assert [(each.mode, each.system_id) for each in first.asked] == [(Mode.TRANSMITTER, "sluice")]
    [asked] = second.asked
    assert (asked.mode, asked.system_id, asked.password) == (Mode.RECEIVER, "acme-rx", "other")
    assert len(sink.seen) == 1


async def test_a_transmitter_alone_submits() -> None:
    async with (
        smscs.listening() as smsc,
        smscs.link_to(smsc.port, bind="transmitter") as link,
    ):
        await smscs.sent(link, segments.segment())
    assert [each.mode for each in smsc.asked] == [Mode.TRANSMITTER]


async def test_a_receiver_alone_takes_what_phones_send_and_submits_nothing() -> None:
    inbox = segments.Inbox()
    async with (
        smscs.listening() as smsc,
        smscs.link_to(smsc.port, None, inbox, bind="receiver") as link,
    ):
        await segments.eventually(lambda: link.connected)
        stop = pdu.DeliverSm("336", "1", b"STOP")
        await asyncio.wait_for(smsc.peers[0].deliver(stop), 10)
        assert [part.payload for part in inbox.parts] == [b"STOP"]
        assert link.room == 0
        said = await asyncio.wait_for(segments.submit(link, segments.segment()), 10)
    assert said is outcomes.UNAVAILABLE
    assert not smsc.submits


async def test_the_bind_says_what_the_settings_say() -> None:
    wanted = {
        "interface_version": "3.3",
        "system_type": "VMA",
        "bind_ton": 1,
        "bind_npi": 8,
        "address_range": "^336",
    }
    async with smscs.listening() as smsc, smscs.link_to(smsc.port, None, None, **wanted) as link:
        await smscs.sent(link, segments.segment())
    [asked] = smsc.asked
    assert (asked.interface_version, asked.system_type) == (0x33, "VMA")
    assert (asked.addr_ton, asked.addr_npi, asked.address_range) == (1, 8, "^336")


@pytest.mark.parametrize("first", ["refuses", "away"])
async def test_the_second_host_is_tried_where_the_first_does_not_let_us_in(first: str) -> None:
    async with smscs.listening(codes.ESME_RSYSERR) as bad, smscs.listening() as good:
        port = bad.port if first == "refuses" else 1
        other = f"127.0.0.1:{good.port}"
        async with smscs.link_to(port, None, None, fallback_hosts=[other]) as link:
            await smscs.sent(link, segments.segment())
        assert len(good.submits) == 1
        assert len(bad.asked) == (first == "refuses")


async def test_an_encrypted_link_is_to_whom_the_certificate_names(tmp_path: Path) -> None:
    server, _ = certificates.contexts("smsc.example", tmp_path)
    ours = {"ca_file": str(tmp_path / "server.pem"), "server_name": "smsc.example"}
    async with (
        smscs.listening(tls=server) as smsc,
        smscs.link_to(smsc.port, None, None, tls=ours) as link,
    ):
        await smscs.sent(link, segments.segment())
        assert len(smsc.submits) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"ca_file": "server.pem"},  # It is not the certificate of 127.0.0.1.
        {"ca_file": "server.pem", "server_name": "other.example"},
        {"server_name": "smsc.example"},  # No authority of this machine knows it.
    ],
)
async def test_a_stranger_is_not_told_the_password(wrong: dict[str, str], tmp_path: Path) -> None:
    server, _ = certificates.contexts("smsc.example", tmp_path)
    tls = wrong | ({"ca_file": str(tmp_path / "server.pem")} if "ca_file" in wrong else {})
    async with (
        smscs.listening(tls=server) as smsc,
        smscs.link_to(smsc.port, None, None, tls=tls) as link,
    ):
        await asyncio.sleep(0.3)
        assert not link.connected
        assert not smsc.asked


async def test_a_link_that_must_be_encrypted_says_nothing_in_clear() -> None:
    async with smscs.listening() as smsc, smscs.link_to(smsc.port, tls=True) as link:
        await asyncio.sleep(0.3)
        assert not link.connected
        assert not smsc.asked


async def test_a_carrier_that_asks_for_our_certificate_gets_it(tmp_path: Path) -> None:
    server, _ = certificates.contexts("smsc.example", tmp_path)
    (ours := tmp_path / "ours").mkdir()
    certificates.contexts("sluice.example", ours)
    server.load_verify_locations(ours / "server.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    theirs = {"ca_file": str(tmp_path / "server.pem"), "server_name": "smsc.example"}
    shown = theirs | {"certificate_file": str(ours / "server.pem")}
    async with smscs.listening(tls=server) as smsc:
        async with smscs.link_to(smsc.port, None, None, tls=theirs) as link:
            await asyncio.sleep(0.3)
            assert not smsc.asked
        async with smscs.link_to(smsc.port, None, None, tls=shown) as link:
            await smscs.sent(link, segments.segment())
        assert len(smsc.submits) == 1


async def test_verification_is_given_up_only_where_that_is_said(tmp_path: Path) -> None:
    server, _ = certificates.contexts("smsc.example", tmp_path)
    async with (
        smscs.listening(tls=server) as smsc,
        smscs.link_to(smsc.port, None, None, tls={"verify": False}) as link,
    ):
        await smscs.sent(link, segments.segment())
        assert len(smsc.submits) == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    values = {"host": "h", "port": 1, "system_id": "s", "password": "p"}
    settings = registry.settings("smpp", values | {"tls": {"ca_file": str(tmp_path / "none.pem")}})
    with pytest.raises(OSError, match=r"none\.pem"):
        registry.adapter("smpp").open_link("acme", settings, segments.Sink(), segments.Inbox())
