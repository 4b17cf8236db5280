"""The PDUs of SMPP 3.4 that this product speaks, as values (spec section 4).

Texts of a PDU are held as Latin-1, which maps every octet to one character, so a stranger's bytes
survive unchanged. Numbers stay plain ints: an unknown data_coding, TON, NPI or status is data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from shared.smpp import codes, tlv


class PduError(ValueError):
    """A PDU that cannot be read or written. It says what to answer and quotes none of its bytes."""

    def __init__(self, status: int, sequence: int = 0) -> None:
        super().__init__(f"unusable SMPP PDU, command_status 0x{status:08X}")
        self.status = status
        self.sequence = sequence


class BindMode(StrEnum):
    """Which way messages may go over a session."""

    TRANSMITTER = "transmitter"
    RECEIVER = "receiver"
    TRANSCEIVER = "transceiver"


BIND_COMMANDS = {
    BindMode.TRANSMITTER: codes.COMMAND_BIND_TRANSMITTER,
    BindMode.RECEIVER: codes.COMMAND_BIND_RECEIVER,
    BindMode.TRANSCEIVER: codes.COMMAND_BIND_TRANSCEIVER,
}


@dataclass(frozen=True, slots=True)
class BindRequest:
    """bind_transmitter, bind_receiver or bind_transceiver."""

    system_id: str
    password: str = field(repr=False)
    system_type: str = ""
    mode: BindMode = BindMode.TRANSCEIVER
    interface_version: int = codes.INTERFACE_VERSION
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class BindResp:
    mode: BindMode = BindMode.TRANSCEIVER
    status: int = codes.ESME_ROK
    system_id: str = ""
    tlvs: tlv.Tlvs = ()
    sequence: int = 0


class Message(NamedTuple):
    """The body shared by all messages; a tuple because it is made for every one of them. Its repr
    shows neither numbers nor text."""

    source_addr: str = ""
    destination_addr: str = ""
    short_message: bytes = b""
    data_coding: int = 0
    esm_class: int = codes.ESM_CLASS_DEFAULT
    registered_delivery: int = 0
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    service_type: str = ""
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    replace_if_present_flag: int = 0
    sm_default_msg_id: int = 0
    tlvs: tlv.Tlvs = ()
    sequence: int = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sequence={self.sequence})"


class SubmitSm(Message):
    """ESME to SMSC: send this segment."""

    __slots__ = ()


class DeliverSm(Message):
    """SMSC to ESME: a receipt or an inbound message."""

    __slots__ = ()


class DataSm(Message):
    """A message whose text is a parameter (message_payload), never `short_message`; of the fields
    from `protocol_id` on it has none but `tlvs`."""

    __slots__ = ()


class SubmitSmResp(NamedTuple):
    status: int = codes.ESME_ROK
    message_id: str = ""
    sequence: int = 0
    tlvs: tlv.Tlvs = ()


class DeliverSmResp(NamedTuple):
    status: int = codes.ESME_ROK
    message_id: str = ""  # Unused by the spec; some peers fill it.
    sequence: int = 0
    tlvs: tlv.Tlvs = ()


class DataSmResp(NamedTuple):
    status: int = codes.ESME_ROK
    message_id: str = ""
    sequence: int = 0
    tlvs: tlv.Tlvs = ()


@dataclass(frozen=True, slots=True)
class EnquireLink:
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class EnquireLinkResp:
    status: int = codes.ESME_ROK
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Unbind:
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class UnbindResp:
    status: int = codes.ESME_ROK
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class GenericNack:
    status: int
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-framed PDU of a command this product does not speak."""

    command: int
    status: int = 0
    sequence: int = 0
    body: bytes = field(default=b"", repr=False)


Request = SubmitSm | DeliverSm | DataSm
"""A message the other side is to take, and to answer."""
MessageResp = SubmitSmResp | DeliverSmResp | DataSmResp
Pdu = (
    BindRequest
    | BindResp
    | Request
    | MessageResp
    | EnquireLink
    | EnquireLinkResp
    | Unbind
    | UnbindResp
    | GenericNack
    | Unknown
)


def payload(message: Message) -> bytes:
    """The message's octets: short_message, or the message_payload parameter when that is empty."""
    return message.short_message or tlv.message_payload(message.tlvs) or b""
