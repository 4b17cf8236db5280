"""Sender ids: three kinds told apart, everything else refused."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sms import sender_id
from shared.sms.sender_id import SenderKind


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("+33612345678", SenderKind.E164),
        ("123", SenderKind.SHORT_CODE),
        ("00123456", SenderKind.SHORT_CODE),
        ("MJPilot", SenderKind.ALPHANUMERIC),
        ("My Shop", SenderKind.ALPHANUMERIC),
        ("a", SenderKind.ALPHANUMERIC),
        ("24h", SenderKind.ALPHANUMERIC),
        ("12345678901a"[1:], SenderKind.ALPHANUMERIC),
    ],
)
def test_sender_is_recognised(raw: str, kind: SenderKind) -> None:
    sender = sender_id.parse(raw)

    assert (sender.kind, sender.value) == (kind, raw)
    assert raw not in repr(sender) or kind is not SenderKind.E164


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "empty"),
        ("   ", "blank_at_edge"),
        (" Shop", "blank_at_edge"),
        ("Shop ", "blank_at_edge"),
        ("Shop\r", "bad_character"),
        ("Shop\n", "bad_character"),
        ("123\n", "bad_character"),
        ("Sh\x00op", "bad_character"),
        ("Café", "bad_character"),
        ("Shop!", "bad_character"),
        ("Ѕhop", "bad_character"),  # a Cyrillic letter that looks like an S
        ("١٢٣", "bad_character"),
        ("12", "no_letter"),
        ("123456789", "no_letter"),
        ("33612345678", "no_letter"),
        ("12 34", "no_letter"),
        ("TwelveLetter", "too_long"),
        ("+", "not_e164"),
        ("+33612345678\n", "not_e164"),
        ("+330612345678", "not_canonical"),
        ("+19995550006", "not_valid"),
    ],
)
def test_sender_is_refused_with_a_reason(raw: str, reason: str) -> None:
    with pytest.raises(sender_id.InvalidSender) as refusal:
        sender_id.parse(raw)

    assert refusal.value.reason == reason
    assert not raw.strip(" +") or raw not in str(refusal.value)


@given(st.text(max_size=13) | st.text(string.ascii_letters + " 1", max_size=13))
def test_name_is_accepted_only_when_an_operator_would(raw: str) -> None:
    try:
        sender = sender_id.parse(raw)
    except sender_id.InvalidSender:
        return
    if sender.kind is SenderKind.ALPHANUMERIC:
        assert sender.value == raw == raw.strip()
        assert raw.isascii()
        assert raw.replace(" ", "").isalnum()
        assert len(raw) <= 11
