"""What is kept of a deliver_sm, and how it is read again."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import reduce
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dlr import evidence
from shared.carriers import outcomes, registry, smpp_receipts
from shared.carriers.adapters import smpp
from shared.smpp import codes, pdu
from shared.sms import receipts, states

State = receipts.ReceiptState
CANARY = b"canary-7731"


def settings(id_base: str = "same") -> smpp.Settings:
    values = {"host": "h", "port": 1, "system_id": "s", "password": "p", "id_base": id_base}
    decoded = registry.settings("smpp", values)
    assert isinstance(decoded, smpp.Settings)
    return decoded


def delivery(
    text: bytes, tlvs: tuple[tuple[int, bytes], ...] = (), esm_class: int = 0x04
) -> pdu.DeliverSm:
    return pdu.DeliverSm(
        source_addr="33612345678",
        destination_addr="Sluice",
        short_message=text,
        esm_class=esm_class,
        tlvs=tlvs,
    )


def read(sent: pdu.DeliverSm, id_base: str = "same") -> receipts.Receipt | None:
    body = smpp_receipts.strip(sent)
    assert body is not None
    said = smpp.read_receipt(settings(id_base), body)
    assert not isinstance(said, receipts.LateAnswer)
    return said


def text_of(stat: str) -> bytes:
    head = b"id:77 sub:001 dlvrd:001 submit date:2611220101 done date:2611220102 "
    return head + b"stat:%b err:012 text:%b" % (stat.encode(), CANARY)


@pytest.mark.parametrize(
    ("stat", "state"),
    [
        ("DELIVRD", State.DELIVERED),
        ("delivrd", State.DELIVERED),
        ("UNDELIV", State.UNDELIVERED),
        ("EXPIRED", State.EXPIRED),
        ("REJECTD", State.REJECTED),
        ("DELETED", State.UNDELIVERED),
        ("UNKNOWN", State.UNKNOWN),
        ("ACCEPTD", State.ENROUTE),
        ("ENROUTE", State.ENROUTE),
    ],
)
def test_a_receipt_says_its_state_in_words(stat: str, state: State) -> None:
    receipt = read(delivery(text_of(stat)))
    assert receipt == receipts.Receipt(
        "77",
        state,
        f"{stat.upper()} 012",
        phones=("33612345678",),
        submit_date=datetime(2026, 11, 22, 1, 1),  # noqa: DTZ001 - it has no zone
    )


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (1, State.ENROUTE),
        (2, State.DELIVERED),
        (3, State.EXPIRED),
        (4, State.UNDELIVERED),
        (5, State.UNDELIVERED),
        (6, State.ENROUTE),
        (7, State.UNKNOWN),
        (8, State.REJECTED),
    ],
)
def test_parameters_speak_when_the_words_are_unreadable(number: int, state: State) -> None:
    tlvs = (
        (codes.TLV_RECEIPTED_MESSAGE_ID, b"88\0"),
        (codes.TLV_MESSAGE_STATE, bytes([number])),
        (codes.TLV_NETWORK_ERROR_CODE, b"\x03\x00\x11"),
    )
    receipt = read(delivery(text_of("WHATEVR"), tlvs, esm_class=0))
    assert receipt is not None
    assert (receipt.carrier_message_id, receipt.state) == ("88", state)
    assert receipt.code == "WHATEVR 3:17"


@pytest.mark.parametrize(("parameter", "kept_count"), [(b"77", 1), (b"770", 2), (b"7", 2)])
def test_an_id_that_is_said_twice_is_kept_once_and_another_wins(
    parameter: bytes, kept_count: int
) -> None:
    sent = delivery(text_of("DELIVRD"), ((codes.TLV_RECEIPTED_MESSAGE_ID, parameter + b"\0"),))
    body = smpp_receipts.strip(sent)
    assert body is not None
    assert body.count(b"id") == kept_count
    receipt = read(sent)
    assert receipt is not None
    assert receipt.carrier_message_id == parameter.decode()


def test_a_receipt_that_an_older_dispatcher_has_published_is_read() -> None:
    body = (
        b'{"text":"id:77 sub:001 dlvrd:001 submit date:2611220101 done date:2611220102 '
        b'stat:DELIVRD err:012","id":"77","state":2,"phones":["33612345678"]}'
    )
    said = smpp.read_receipt(settings(), body)
    assert said == read(delivery(text_of("DELIVRD"), ((codes.TLV_MESSAGE_STATE, b"\2"),)))


@pytest.mark.parametrize(
    ("stat", "number", "state", "code"),
    [
        ("DELIVRD", 2, State.DELIVERED, "DELIVRD 012"),
        ("DELIVRD", 9, State.DELIVERED, "DELIVRD 012 message_state=9"),
        ("DELIVRD", 254, State.DELIVERED, "DELIVRD 012 message_state=254"),
        ("DELIVRD", 5, State.DELIVERED, "DELIVRD 012 message_state=5"),
        ("UNDELIV", 2, State.DELIVERED, "UNDELIV 012 message_state=2"),
        ("UNDELIV", 1, State.UNDELIVERED, "UNDELIV 012 message_state=1"),
        ("ENROUTE", 3, State.EXPIRED, "ENROUTE 012 message_state=3"),
        ("REJECTD", 7, State.REJECTED, "REJECTD 012 message_state=7"),
        ("DELETED", 5, State.UNDELIVERED, "DELETED 012"),
    ],
)
def test_a_contradiction_is_kept_and_ends_as_two_receipts_would(
    stat: str, number: int, state: State, code: str
) -> None:
    receipt = read(delivery(text_of(stat), ((codes.TLV_MESSAGE_STATE, bytes([number])),)))
    assert receipt is not None
    assert (receipt.state, receipt.code) == (state, code)


@pytest.mark.parametrize("one", State)
@pytest.mark.parametrize("other", State)
def test_what_stands_in_a_contradiction_is_what_the_table_of_moves_lets_stand(
    one: State, other: State
) -> None:
    """`move` knows nothing of receipts: the segment was submitted, and both words come to it."""
    ends = {
        reduce(states.move, (evidence.MEANINGS[said].state for said in order), submitted)
        for order in ((one, other), (other, one))
        for submitted in [states.SegmentState.SUBMITTED]
    }
    number = next(n for n, state in smpp_receipts._STATES.items() if state is other)
    word = next(w for w, state in smpp_receipts._WORDS.items() if state is one)
    receipt = read(delivery(text_of(word), ((codes.TLV_MESSAGE_STATE, bytes([number])),)))
    assert receipt is not None
    assert ends == {evidence.MEANINGS[receipt.state].state}


@pytest.mark.parametrize(
    ("text", "tlvs"),
    [
        (b"", ()),
        (b"id:77", ()),
        (b"stat:DELIVRD", ()),
        (b"id:77 stat:SOMEDAY", ()),
        (b"id:%b stat:DELIVRD" % (b"7" * 200), ()),
        (b"id:77 stat:SOMEDAY", ((codes.TLV_MESSAGE_STATE, b"\xfe"),)),
    ],
)
def test_nothing_is_read_when_id_or_state_is_missing(
    text: bytes, tlvs: tuple[tuple[int, bytes], ...]
) -> None:
    assert read(delivery(text, tlvs)) is None


@pytest.mark.parametrize(
    ("id_base", "answer", "receipt"),
    [
        ("same", "0A3F", "0A3F"),
        ("hex_to_dec", "2623", "a3f"),
        ("hex_to_dec", "0002623", "0A3F"),
        ("dec_to_hex", "0A3F", "2623"),
        ("dec_to_hex", "a3f", "00002623"),
        ("dec_to_hex", "not-a-number", "not-a-number"),
        ("hex", "0A3F", "a3f"),
        ("hex", "a3f", "00A3F"),
        ("hex", "a-3f", "a-3f"),
        ("decimal", "0077", "77"),
        ("decimal", "77", "000077"),
        ("decimal", "7a", "7a"),
    ],
)
def test_answer_and_receipt_meet_in_one_id_when_their_bases_differ(
    id_base: smpp_receipts.IdBase, answer: str, receipt: str
) -> None:
    said = read(delivery(b"id:%b stat:DELIVRD" % receipt.encode()), id_base)
    assert said is not None
    assert said.carrier_message_id == smpp_receipts.answered_id(answer, id_base)


@pytest.mark.parametrize("esm_class", [0x00, 0x40, 0x08, 0x10])
def test_a_delivery_is_no_receipt_when_nothing_says_so(esm_class: int) -> None:
    assert smpp_receipts.strip(delivery(CANARY, esm_class=esm_class)) is None


@pytest.mark.parametrize(
    "text",
    [text_of("DELIVRD"), CANARY, b"id:1 stat:DELIVRD text:" + CANARY, b"id:1 Text: " + CANARY],
)
def test_the_message_s_text_is_never_in_what_is_published(text: bytes) -> None:
    in_short_message = smpp_receipts.strip(delivery(text))
    in_parameter = smpp_receipts.strip(delivery(b"", ((codes.TLV_MESSAGE_PAYLOAD, text),)))
    for body in (in_short_message, in_parameter):
        assert body is not None
        assert b"canary" not in body
        assert b"7731" not in body


@pytest.mark.parametrize(("answer", "receipt"), [("0A3F", "0a3f"), ("77", "077"), ("+7", "7")])
def test_an_id_must_be_spelt_alike_unless_the_settings_say_that_it_is_a_number(
    answer: str, receipt: str
) -> None:
    assert smpp_receipts.answered_id(answer, "same") != smpp_receipts.receipted_id(receipt, "same")


@pytest.mark.parametrize("raw", ["1_0", " 10", "+10", "-10", "0x10", "١٠"])
def test_only_plain_digits_are_a_number(raw: str) -> None:
    for id_base in ("hex", "decimal", "hex_to_dec", "dec_to_hex"):
        assert smpp_receipts.receipted_id(raw, id_base) == raw


def test_a_receipt_names_its_phones_and_what_it_echoes() -> None:
    tlvs = ((codes.TLV_USER_MESSAGE_REFERENCE, b"\x12\x34"),)
    sent = delivery(text_of("DELIVRD"), tlvs)._replace(destination_addr="+0033700000001")
    receipt = read(sent)
    assert receipt is not None
    assert receipt.phones == ("33612345678", "33700000001")
    assert receipt.reference == 0x1234
    assert not receipt.by_id_only


@pytest.mark.parametrize("address", ["", "Sluice", "12345", "33612xxx678", "3" * 16, "٣٣٦١٢٣٤٥٦"])
def test_an_address_that_is_no_phone_s_names_none(address: str) -> None:
    receipt = read(delivery(text_of("DELIVRD"))._replace(source_addr=address))
    assert receipt is not None
    assert receipt.phones == ()


def test_addresses_are_left_out_when_the_carrier_does_not_mean_the_recipient() -> None:
    body = smpp_receipts.strip(delivery(text_of("DELIVRD")), phones=False)
    assert body is not None
    assert b"33612345678" not in body


def test_a_text_alone_makes_a_receipt_only_when_the_settings_allow_it() -> None:
    unmarked = delivery(text_of("DELIVRD"), esm_class=0)
    assert smpp_receipts.strip(unmarked) is None
    body = smpp_receipts.strip(unmarked, unmarked=True)
    assert body is not None
    receipt = smpp.read_receipt(settings(), body)
    assert isinstance(receipt, receipts.Receipt)
    assert (receipt.carrier_message_id, receipt.state) == ("77", State.DELIVERED)
    assert receipt.by_id_only
    assert receipt.phones == ("33612345678",)


@pytest.mark.parametrize(
    ("text", "esm_class"),
    [
        (b"Is stat: a word? id: yes", 0),
        (b"id:77", 0),
        (b"stat:DELIVRD", 0),
        (b"id:77 stat:HELLO", 0),
        (text_of("DELIVRD"), 0x08),
        (text_of("DELIVRD"), 0x10),
    ],
)
def test_a_text_is_no_receipt_when_it_is_not_one_in_full(text: bytes, esm_class: int) -> None:
    assert smpp_receipts.strip(delivery(text, esm_class=esm_class), unmarked=True) is None


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (outcomes.OutcomeKind.ACCEPTED, receipts.Verdict.ACCEPTED),
        (outcomes.OutcomeKind.REJECTED, receipts.Verdict.REFUSED),
        (outcomes.OutcomeKind.THROTTLED, receipts.Verdict.NOT_NOW),
    ],
)
def test_a_late_answer_is_read_as_it_was_kept(
    kind: outcomes.OutcomeKind, verdict: receipts.Verdict
) -> None:
    message_id, when = uuid4(), datetime(2026, 11, 22, 1, 1, 2, 345678, UTC)
    outcome = outcomes.Outcome(kind, "c-1", "0x0B", "refused")
    body = smpp_receipts.keep_answer(message_id, 3, when, outcome)
    assert smpp.read_receipt(settings(), body) == receipts.LateAnswer(
        message_id, 3, when, verdict, "c-1", "0x0B", "refused"
    )


@given(st.binary(max_size=300))
def test_reading_is_total_when_anything_was_stored(body: bytes) -> None:
    smpp.read_receipt(settings(), body)


def test_reading_is_total_when_good_bodies_are_mangled() -> None:
    chance = random.Random(7)
    good = smpp_receipts.strip(delivery(text_of("DELIVRD"), ((codes.TLV_MESSAGE_STATE, b"\2"),)))
    assert good is not None
    for _ in range(3000):
        body = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        for id_base in ("same", "hex_to_dec", "dec_to_hex"):
            receipt = smpp.read_receipt(settings(id_base), bytes(body[: chance.randint(0, 400)]))
            assert receipt is None or len(receipt.carrier_message_id) <= 160


@given(st.binary(max_size=254), st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40))))
def test_any_delivery_is_stripped_and_read_without_an_exception(
    text: bytes, tlvs: list[tuple[int, bytes]]
) -> None:
    body = smpp_receipts.strip(delivery(text, tuple(tlvs)))
    assert body is not None
    assert msgspec.json.decode(body) is not None
    smpp.read_receipt(settings("hex_to_dec"), body)
