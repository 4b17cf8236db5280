"""Optional parameters are read for what they are, and ignored when they are not that."""

from __future__ import annotations

import pytest

from shared.smpp import codes, tlv


def test_the_receipt_parameters_are_read_when_well_formed() -> None:
    tlvs = (
        (codes.TLV_RECEIPTED_MESSAGE_ID, b"4F2A\0"),
        (codes.TLV_MESSAGE_STATE, b"\x02"),
        (codes.TLV_NETWORK_ERROR_CODE, b"\x03\x00\x0b"),
        (codes.TLV_USER_MESSAGE_REFERENCE, b"\x12\x34"),
    )

    assert tlv.receipt_parameters(tlvs) == tlv.ReceiptParameters("4F2A", 2, (3, 11), 0x1234)
    assert tlv.receipt_parameters(()) == tlv.ReceiptParameters()


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0\0\0\0"])
def test_nothing_is_read_when_a_parameter_has_the_wrong_size(value: bytes) -> None:
    tags = (codes.TLV_RECEIPTED_MESSAGE_ID, codes.TLV_NETWORK_ERROR_CODE)
    tlvs = tuple((tag, value) for tag in (*tags, codes.TLV_USER_MESSAGE_REFERENCE))

    assert tlv.receipt_parameters(tlvs) == tlv.ReceiptParameters()
    assert tlv.message_payload(tlvs) is None


def test_the_first_counts_when_a_parameter_is_repeated() -> None:
    assert tlv.find(((1, b"a"), (1, b"b")), 1) == b"a"
    states = tuple((codes.TLV_MESSAGE_STATE, value) for value in (b"\x02", b"\x05"))
    assert tlv.receipt_parameters(states).state == 2


@pytest.mark.parametrize("cut", [b"\x00", b"\x00\x01\x00", b"\x00\x01\x00\x05abcd"])
def test_the_whole_ones_are_read_and_no_more_when_the_last_is_cut_short(cut: bytes) -> None:
    whole = tlv.pack(((1, b"a"), (2, b"")))

    assert tlv.unpack_sound(whole + cut, 0) == ((1, b"a"), (2, b""))
    assert tlv.unpack_sound(cut, 0) == ()
    with pytest.raises(tlv.CutShort):
        tlv.unpack(whole + cut, 0)
