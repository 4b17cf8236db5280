"""Odd receipts say what the usual one says, and Sluice reads all of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from services.simulator import moods, outbox, receipt_forms
from shared.carriers import smpp_receipts
from shared.smpp import decoder, encoder, pdu
from shared.sms import receipts

RECEIPT = outbox.Receipt(
    "me", "6a1f00000000002c", moods.Stat.UNDELIV, "Sluice", "+33612345678", time.time(), b"\x12\x34"
)


def read(written: receipt_forms.Written) -> receipts.Receipt:
    """As Sluice takes it off the wire."""
    delivery = decoder.decode(encoder.frame(written.command, 0, 1, written.body))
    assert isinstance(delivery, pdu.Message)
    body = smpp_receipts.strip(delivery, unmarked=True)
    assert body is not None
    said = smpp_receipts.read(body)
    assert isinstance(said, receipts.Receipt)
    return said


@pytest.mark.parametrize("form", [receipt_forms.usual, *receipt_forms.ODD_FORMS])
def test_a_receipt_says_the_same_in_each_form(
    form: Callable[[outbox.Receipt], receipt_forms.Written],
) -> None:
    said = read(form(RECEIPT))
    assert said.carrier_message_id == RECEIPT.message_id
    assert said.state is receipts.ReceiptState.UNDELIVERED
    assert "33612345678" in said.phones


def test_odd_receipts_are_written_in_every_form() -> None:
    chance = random.Random(1)
    drawn = {receipt_forms.odd(RECEIPT, chance) for _ in range(200)}
    assert drawn == {form(RECEIPT) for form in receipt_forms.ODD_FORMS}
