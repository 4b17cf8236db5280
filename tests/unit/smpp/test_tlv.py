"""Optional parameters are read for what they are, and ignored when they are not that."""

import pytest

from shared.smpp import codes, tlv


def test_the_receipt_parameters_are_read_when_well_formed() -> None:
    tlvs = (
        (codes.TLV_RECEIPTED_MESSAGE_ID, b"4F2A\0"),
        (codes.TLV_MESSAGE_STATE, b"\x02"),
        (codes.TLV_NETWORK_ERROR_CODE, b"\x03\x00\x0b"),
        (codes.TLV_USER_MESSAGE_REFERENCE, b"\x12\x34"),
    )

    assert tlv.receipted_message_id(tlvs) == "4F2A"
    assert tlv.message_state(tlvs) == 2
    assert tlv.network_error_code(tlvs) == (3, 11)
    assert tlv.user_message_reference(tlvs) == 0x1234


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0\0\0\0"])
def test_nothing_is_read_when_a_parameter_has_the_wrong_size(value: bytes) -> None:
    tags = (codes.TLV_RECEIPTED_MESSAGE_ID, codes.TLV_NETWORK_ERROR_CODE)
    tlvs = tuple((tag, value) for tag in (*tags, codes.TLV_USER_MESSAGE_REFERENCE))

    assert tlv.receipted_message_id(tlvs) is None
    assert tlv.network_error_code(tlvs) is None
    assert tlv.user_message_reference(tlvs) is None
    assert tlv.message_state(tlvs) is None
    assert tlv.message_payload(tlvs) is None


def test_the_first_counts_when_a_parameter_is_repeated() -> None:
    assert tlv.find(((1, b"a"), (1, b"b")), 1) == b"a"


@pytest.mark.parametrize("cut", [b"\x00", b"\x00\x01\x00", b"\x00\x01\x00\x05abcd"])
def test_reading_fails_when_a_parameter_is_cut_short(cut: bytes) -> None:
    with pytest.raises(ValueError):
        tlv.unpack(cut, 0)
