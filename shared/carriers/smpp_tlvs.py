"""Optional parameters that a carrier wants with every submit, such as ids of a registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from shared.smpp import codes, tlv

TlvKind = Literal["text", "c_text", "hex", "int8", "int16", "int32"]
_INTEGER_OCTETS: dict[TlvKind, int] = {"int8": 1, "int16": 2, "int32": 4}
_VALUE_OCTETS_MAX = 1024
_OURS = {
    codes.TLV_USER_MESSAGE_REFERENCE: "reference_tlv",
    codes.TLV_SAR_MSG_REF_NUM: "concatenation",
    codes.TLV_SAR_TOTAL_SEGMENTS: "concatenation",
    codes.TLV_SAR_SEGMENT_SEQNUM: "concatenation",
    codes.TLV_MESSAGE_PAYLOAD: "the text",
}


class OwnTlv(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One parameter of every submit, with a value for all senders, or for some.

    `kind` says how a value is written: "text" as its ASCII octets, "c_text" with a NUL behind them,
    "hex" as the octets its digits name, "int8" to "int32" as a number of so many bits. `by_sender`
    has the values of senders that have one of their own; a sender that has none at all is sent
    without the parameter.
    """

    tag: int
    kind: TlvKind = "text"
    value: str | int | None = None
    by_sender: dict[str, str | int] = {}

    def __post_init__(self) -> None:
        if not 1 <= self.tag <= 0xFFFF:
            raise ValueError("tlvs.tag: expected 1 to 0xFFFF")
        if self.tag in _OURS:
            raise ValueError(f"tlvs.tag: 0x{self.tag:04X} is written by {_OURS[self.tag]}")
        if self.value is None and not self.by_sender:
            raise ValueError("tlvs.value: expected a value, or those of senders in by_sender")
        for each in (self.value, *self.by_sender.values()):
            if each is not None:
                self.written(each)

    def written(self, value: str | int) -> bytes:
        """The parameter with this value. Raises ValueError, naming the field and not the value."""
        return tlv.pack_one(self.tag, _octets(self.kind, value))

    def of(self, sender: str) -> bytes:
        """The parameter of one sender; empty where it has none."""
        value = self.by_sender.get(sender, self.value)
        return b"" if value is None else self.written(value)


class OwnTlvs:
    """All such parameters of one carrier, ready to be put behind a submit's body."""

    def __init__(self, wanted: Sequence[OwnTlv]) -> None:
        # No sender is called "", so it stands for those without values of their own.
        names = {""}.union(*(each.by_sender for each in wanted))
        self._by_sender = {name: b"".join(each.of(name) for each in wanted) for name in names}
        self._others = self._by_sender[""]

    def of(self, sender: str) -> bytes:
        """What a submit of this sender carries."""
        return self._by_sender.get(sender, self._others)


def _octets(kind: TlvKind, value: str | int) -> bytes:
    size = _INTEGER_OCTETS.get(kind)
    if size is not None:
        if not isinstance(value, int) or not 0 <= value < 1 << 8 * size:
            raise ValueError(f"tlvs.value: expected a number of {8 * size} bits")
        return value.to_bytes(size, "big")
    if not isinstance(value, str) or not value or len(value) > _VALUE_OCTETS_MAX:
        raise ValueError(f"tlvs.value: expected a text of at most {_VALUE_OCTETS_MAX} characters")
    if kind == "hex":
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise ValueError("tlvs.value: expected pairs of hexadecimal digits") from None
    if not value.isascii() or "\0" in value:
        raise ValueError("tlvs.value: expected ASCII without NUL")
    return value.encode() + (b"\0" if kind == "c_text" else b"")
