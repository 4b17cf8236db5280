"""How segments are written for an SMPP carrier: each setting against a real session."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shared.carriers import contract, outcomes
from shared.smpp import codes, pdu, tlv
from shared.sms import encoding, receipts, segmentation
from tests.integration.carriers import segments, smscs
from tests.integration.smpp import peers

NUMBER, CODE, NAME = "+33700000001", "12345", "Sluice"


async def written(
    *wanted: contract.Segment, **values: object
) -> tuple[list[pdu.SubmitSm], list[outcomes.Outcome]]:
    """What an SMSC gets of segments, and what these come to."""
    async with (
        smscs.listening() as smsc,
        smscs.link_to(smsc.port, None, None, **values) as link,
    ):
        said = [await smscs.sent(link, each) for each in wanted or (segments.segment(),)]
    return smsc.submits, said


async def test_each_kind_of_sender_has_its_ton_and_npi_and_the_old_fields_hold_for_the_rest() -> (
    None
):
    sent, _ = await written(
        *(segments.segment(source=source) for source in (NUMBER, CODE, NAME)),
        ton={"short_code": 6, "alphanumeric": 5},
        npi={"short_code": 8},
        source_ton=2,
        source_npi=9,
    )
    assert [(each.source_addr_ton, each.source_addr_npi) for each in sent] == [
        (2, 9),
        (6, 8),
        (5, 9),
    ]
    assert {(each.dest_addr_ton, each.dest_addr_npi) for each in sent} == {(1, 1)}


async def test_service_type_protocol_and_the_priority_of_a_class_are_written() -> None:
    wanted = [
        msgspec.structs.replace(segments.segment(), message_class=each)
        for each in ("urgent", "normal", "bulk")
    ]
    sent, _ = await written(
        *wanted, service_type="VMA", protocol_id=0x40, priority={"urgent": 3, "normal": 1}
    )
    assert {(each.service_type, each.protocol_id) for each in sent} == {("VMA", 0x40)}
    assert [each.priority_flag for each in sent] == [3, 1, 0]


async def test_validity_is_relative_absolute_or_left_out() -> None:
    wanted = segments.segment(valid_seconds=90_061)
    (relative,), _ = await written(wanted)
    assert relative.validity_period == "000001010101000R"
    (none,), _ = await written(wanted, validity="none")
    assert none.validity_period == ""
    (absolute,), _ = await written(wanted, validity="absolute")
    assert absolute.validity_period.endswith("000+")
    end = datetime.strptime(absolute.validity_period[:12], "%y%m%d%H%M%S").replace(tzinfo=UTC)
    left = end - datetime.now(UTC)
    assert abs(left - timedelta(seconds=90_061)) < timedelta(seconds=5)


async def test_no_parameter_of_ours_is_written_where_the_carrier_refuses_them() -> None:
    (usual,), _ = await written()
    assert [tag for tag, _ in usual.tlvs] == [codes.TLV_USER_MESSAGE_REFERENCE]
    (without,), _ = await written(reference_tlv=False)
    assert without.tlvs == ()
    (old,), _ = await written(interface_version="3.3")
    assert old.tlvs == ()


async def test_the_parts_of_a_long_text_are_joined_by_parameters_where_the_carrier_wants_that() -> (
    None
):
    parts = segments.segments(text="x" * 200)
    sent, _ = await written(*parts, concatenation="sar", reference_tlv=False)
    assert [each.esm_class for each in sent] == [0, 0]
    assert b"".join(each.short_message for each in sent) == b"x" * 200
    said = segmentation.parse_udh(parts[0].udh)
    assert said is not None
    assert [tlv.sar(each.tlvs) for each in sent] == [
        tlv.Sar(said.reference, 2, 1),
        tlv.Sar(said.reference, 2, 2),
    ]
    # And a single text says nothing of parts
    (alone,), _ = await written(concatenation="sar", reference_tlv=False)
    assert alone.tlvs == ()


def whole(text: str) -> contract.Segment:
    """A long text as the dispatcher hands it to a link of whole messages."""
    first = segments.segments(text=text)[0]
    chosen, payload = encoding.encode(text)
    return msgspec.structs.replace(first, encoding=chosen, udh=b"", payload=payload)


async def test_a_long_text_goes_whole_where_the_carrier_cuts_it_itself() -> None:
    texts = ["x" * 200, "Ж" * 100, "short"]
    async with (
        smscs.listening() as smsc,
        smscs.link_to(smsc.port, None, None, concatenation="payload") as link,
    ):
        assert link.whole_messages
        for text in texts:
            said = await smscs.sent(link, whole(text))
            assert said.kind is outcomes.OutcomeKind.ACCEPTED
    latin, cyrillic, short = smsc.submits
    assert (latin.short_message, latin.esm_class, latin.data_coding) == (b"", 0, 0)
    assert pdu.payload(latin) == b"x" * 200
    assert (cyrillic.data_coding, pdu.payload(cyrillic)) == (8, texts[1].encode("utf-16-be"))
    assert (short.short_message, tlv.message_payload(short.tlvs)) == (b"short", None)
    assert all(tlv.find(each.tlvs, codes.TLV_USER_MESSAGE_REFERENCE) for each in smsc.submits)


@pytest.mark.parametrize(("count", "is_sent"), [(134, True), (135, False)])
async def test_a_whole_text_takes_no_more_segments_than_were_paid_for(
    count: int, is_sent: bool
) -> None:
    """Of 153 to 160 septets and more two were paid for; as UCS-2 they hold 134 characters."""
    text = "é" * count
    segment = msgspec.structs.replace(whole("é" * 200), payload=encoding.encode_gsm7(text))
    sent, said = await written(segment, concatenation="payload", alphabet="ascii")
    assert bool(sent) is is_sent
    assert (said[0].kind is outcomes.OutcomeKind.ACCEPTED) is is_sent


async def test_free_parameters_go_with_every_part_and_a_sender_may_have_its_own() -> None:
    tlvs = [
        {"tag": 0x1400, "value": "1101", "by_sender": {"Acme": "2202"}},
        {"tag": 0x1401, "kind": "c_text", "by_sender": {"Acme": "77"}},
        {"tag": 0x1402, "kind": "hex", "value": "00ff"},
        {"tag": 0x1403, "kind": "int16", "value": 258},
    ]
    parts = segments.segments(text="x" * 200, source="Acme")
    sent, _ = await written(*parts, segments.segment(), tlvs=tlvs, reference_tlv=False)
    own = ((0x1400, b"2202"), (0x1401, b"77\0"), (0x1402, b"\x00\xff"), (0x1403, b"\1\2"))
    assert [each.tlvs for each in sent] == [
        own,
        own,
        ((0x1400, b"1101"), (0x1402, b"\x00\xff"), (0x1403, b"\1\2")),
    ]


EVERYWHERE = "A code: 12"
ACCENTS = "@ £ è é Ä § $ _ ^ {x}"
GREEK = "ΔΩ €"


@pytest.mark.parametrize(
    ("alphabet", "text", "coding", "octets"),
    [
        ("gsm7", ACCENTS, 0, encoding.encode_gsm7(ACCENTS)),
        ("gsm7", GREEK, 0, encoding.encode_gsm7(GREEK)),
        ("gsm7_packed", ACCENTS, 0, encoding.pack_septets(encoding.encode_gsm7(ACCENTS))),
        ("latin1", ACCENTS, 0, ACCENTS.encode("latin-1")),
        ("latin1", GREEK, 8, GREEK.encode("utf-16-be")),
        ("ascii", EVERYWHERE, 0, EVERYWHERE.encode()),
        ("ascii", ACCENTS, 8, ACCENTS.encode("utf-16-be")),
        ("ascii", "Ж", 8, "Ж".encode("utf-16-be")),
    ],
)
async def test_a_text_is_written_in_the_carriers_alphabet_or_as_ucs2(
    alphabet: str, text: str, coding: int, octets: bytes
) -> None:
    (sent,), _ = await written(segments.segment(text=text), alphabet=alphabet)
    assert (sent.data_coding, sent.short_message) == (coding, octets)


async def test_the_header_of_packed_parts_is_filled_to_a_septet() -> None:
    parts = segments.segments(text="x" * 200)
    sent, _ = await written(*parts, alphabet="gsm7_packed")
    for part, each in zip(parts, sent, strict=True):
        header, packed = segmentation.detach_udh(each.short_message)
        assert header == part.udh
        fill_bits = encoding.fill_bits_after(len(header))
        count = len(part.payload)
        assert encoding.unpack_septets(packed, count, fill_bits) == part.payload
        assert len(each.short_message) <= 140


async def test_a_text_is_refused_where_neither_its_alphabet_nor_ucs2_has_room_for_it() -> None:
    sent, said = await written(segments.segment(text="é" * 71), alphabet="ascii")
    assert (sent, said[0].kind) == ([], outcomes.OutcomeKind.REJECTED)


async def test_the_numbers_of_the_codings_are_the_carriers() -> None:
    sent, _ = await written(
        segments.segment(), segments.segment(text="Ж"), data_coding_gsm7=1, data_coding_ucs2=0x18
    )
    assert [each.data_coding for each in sent] == [1, 0x18]


async def test_the_echo_is_what_a_receipt_is_matched_by() -> None:
    wanted = segments.segment()
    (sent,), _ = await written(wanted)
    reference = tlv.find(sent.tlvs, codes.TLV_USER_MESSAGE_REFERENCE)
    assert reference == receipts.echo_of(wanted.message_id, 1).to_bytes(2, "big")


async def test_a_carrier_of_data_sm_gets_the_text_as_a_parameter() -> None:
    wanted = segments.segments(text="x" * 200, valid_seconds=90)
    settings: dict[str, object] = {
        "submit_with": "data_sm",
        "service_type": "VMA",
        "tlvs": [{"tag": 9, "value": "a"}],
    }
    async with (
        peers.ScriptedSmsc().listening() as scripted,
        smscs.link_to(scripted.port, None, None, **settings) as link,
    ):
        peer = await scripted.accept_bind()
        for number, each in enumerate(wanted):
            waiting = asyncio.ensure_future(smscs.sent(link, each))
            got = await peer.receive()
            assert isinstance(got, pdu.DataSm)
            peer.send(pdu.DataSmResp(0, f"id-{number}"), got.sequence)
            said = await waiting
            assert said == outcomes.Outcome(outcomes.OutcomeKind.ACCEPTED, f"id-{number}")
            assert (got.source_addr, got.source_addr_ton) == ("Sluice", 5)
            assert (got.destination_addr, got.dest_addr_ton) == ("33612340000", 1)
            assert (got.service_type, got.esm_class, got.registered_delivery) == ("VMA", 0x40, 1)
            assert pdu.payload(got) == each.udh + each.payload
            assert tlv.find(got.tlvs, codes.TLV_QOS_TIME_TO_LIVE) == (90).to_bytes(4, "big")
            assert tlv.find(got.tlvs, 9) == b"a"
            assert tlv.find(got.tlvs, codes.TLV_USER_MESSAGE_REFERENCE)
        peer.cut()
