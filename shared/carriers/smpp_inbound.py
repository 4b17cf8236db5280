"""Inbound messages that come over SMPP: what a deliver_sm or data_sm that is no receipt says."""

from __future__ import annotations

from shared.smpp import codes, pdu, tlv
from shared.sms import inbound, segmentation

_INTERNATIONAL = 1
_SAR_BITS: segmentation.ReferenceBits = 16


def read(delivery: pdu.Message, default: inbound.DefaultAlphabet) -> inbound.InboundPart:
    """The delivery in our words; total. Of which whole it is a part stands in its header, else in
    its parameters. Whoever calls it has made sure that it is no receipt."""
    alphabet, udh, payload = inbound.read(
        pdu.payload(delivery),
        delivery.data_coding,
        has_udh=bool(delivery.esm_class & codes.ESM_CLASS_UDHI),
        default=default,
    )
    found = segmentation.parse_udh(udh) or _in_parameters(delivery.tlvs)
    return inbound.InboundPart(
        inbound.address(
            delivery.source_addr, is_international=delivery.source_addr_ton == _INTERNATIONAL
        ),
        inbound.address(
            delivery.destination_addr, is_international=delivery.dest_addr_ton == _INTERNATIONAL
        ),
        alphabet,
        udh,
        payload,
        found if found is not None and found.total > 1 else None,
        tlv.find(delivery.tlvs, codes.TLV_USER_MESSAGE_REFERENCE) or b"",
    )


def _in_parameters(tlvs: tlv.Tlvs) -> segmentation.Concatenation | None:
    said = tlv.sar(tlvs)
    if said is None:
        return None
    return segmentation.Concatenation(said.reference, _SAR_BITS, said.total, said.number)
