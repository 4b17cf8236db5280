"""Receipts are read in every dialect, and no message text comes along."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.smpp import receipt_text

SUBMITTED = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
DONE = datetime(2026, 11, 22, 9, 31, tzinfo=UTC)
USUAL = (
    b"id:4F2A sub:001 dlvrd:001 submit date:2611220930 done date:2611220931"
    b" stat:DELIVRD err:000 text:Your code is 1234"
)
READ = receipt_text.ReceiptText("4F2A", "DELIVRD", "000", SUBMITTED.replace(tzinfo=None))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(USUAL, id="as the spec writes it"),
        pytest.param(USUAL.replace(b":", b": "), id="spaces after colons"),
        pytest.param(USUAL.replace(b":", b" : "), id="spaces around colons"),
        pytest.param(USUAL.upper(), id="upper case"),
        pytest.param(
            USUAL.replace(b"2611220930", b"261122093000").replace(b"2611220931", b"261122093100"),
            id="seconds in the dates",
        ),
        pytest.param(
            USUAL.replace(b":2611", b":202611")
            .replace(b"0930 ", b"093000 ")
            .replace(b"0931 ", b"093100 "),
            id="four digits of the year",
        ),
        pytest.param(USUAL.replace(b"t date", b"t_date").replace(b"e date", b"e_date"), id="_"),
        pytest.param(USUAL.replace(b" date", b"date"), id="joined names"),
        pytest.param(
            b"id:4F2A sub:001dlvrd:001submit date:2611220930done date:2611220931"
            b"stat:DELIVRDerr:000text:x",
            id="no spaces at all",
        ),
        pytest.param(
            b"stat:DELIVRD err:000 done date:2611220931 submit date:2611220930 id:4F2A",
            id="another order, no text",
        ),
        pytest.param(USUAL + b" id:EVIL stat:UNDELIV err:999", id="a spoof inside the text"),
        pytest.param(USUAL.decode().encode("utf-16-be"), id="UCS-2"),
    ],
)
def test_a_receipt_is_read_when_it_is_written_in_a_dialect(raw: bytes) -> None:
    assert receipt_text.parse(raw) == READ


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"id:1", receipt_text.ReceiptText("1")),
        (b"stat:UNDELIV", receipt_text.ReceiptText(stat="UNDELIV")),
        (b"id:1 submit date:never", receipt_text.ReceiptText("1")),
        (b"id:1 submit date:2613992599", receipt_text.ReceiptText("1")),
        (b"id: stat:EXPIRED", receipt_text.ReceiptText(stat="EXPIRED")),
        (b"id:a-b_c.d/9 err:0x1F", receipt_text.ReceiptText("a-b_c.d/9", err="0x1F")),
    ],
)
def test_the_rest_is_read_when_fields_are_missing_or_wrong(
    raw: bytes, read: receipt_text.ReceiptText
) -> None:
    assert receipt_text.parse(raw) == read


@pytest.mark.parametrize("raw", [b"", b"hello", b"err:000 sub:001", b"text:id:1 stat:DELIVRD"])
def test_none_is_given_when_it_is_no_receipt(raw: bytes) -> None:
    assert receipt_text.parse(raw) is None


def test_the_receipt_reads_the_same_when_its_text_is_taken_away() -> None:
    bare = receipt_text.without_text(USUAL)

    assert b"code" not in bare
    assert b"1234" not in bare
    assert receipt_text.parse(bare) == READ


@pytest.mark.parametrize(
    "raw",
    [
        b"id:1 stat:DELIVRD err:000 Text:  secret",
        b"id:1 stat:DELIVRD err:000 TEXT :secret",
        b"id:1 stat:DELIVRD err:000 secret",
        b"secret id:1 secret stat:DELIVRD secret",
        b"id:1 stat:DELIVRD text:secret id:secret err:secret",
        "id:1 stat:DELIVRD text:secret".encode("utf-16-be"),
    ],
)
def test_no_text_travels_on_when_it_hides_in_odd_places(raw: bytes) -> None:
    assert b"secret" not in receipt_text.without_text(raw)
    assert receipt_text.parse(receipt_text.without_text(raw)) == receipt_text.parse(raw)


def test_our_own_receipt_is_read_back_when_rendered() -> None:
    raw = receipt_text.render(
        message_id="4F2A", stat="DELIVRD", submit_date=SUBMITTED, done_date=DONE, text=b"Your code"
    )

    assert receipt_text.parse(raw) == READ
    assert re.match(rb"id:4F2A sub:001 dlvrd:001 .* text:Your code$", raw)


@given(st.from_regex(receipt_text._USUAL, fullmatch=True))
def test_the_usual_form_reads_as_any_other_does(raw: bytes) -> None:
    unusual = b" " + raw

    assert receipt_text.parse(raw) == receipt_text.parse(unusual)
    assert receipt_text.without_text(raw) == receipt_text.without_text(unusual)


@given(st.binary(max_size=400))
def test_nothing_is_raised_when_the_bytes_are_random(raw: bytes) -> None:
    receipt_text.parse(raw)
    receipt_text.without_text(raw)


def test_nothing_is_raised_when_10000_receipts_are_mutated() -> None:
    chance, read = random.Random(2), 0

    for _ in range(10_000):
        raw = bytearray(USUAL)
        for _ in range(chance.randrange(1, 12)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        read += receipt_text.parse(bytes(raw)) is not None
        receipt_text.without_text(bytes(raw))

    assert 5_000 < read <= 10_000
