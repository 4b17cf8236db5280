"""Turns SMPP 3.4 PDUs into bytes and any bytes into PDUs or a `PduError`; pure (spec sections 3-5).

Texts of a PDU are held as Latin-1, which maps every octet to one character, so a stranger's bytes
survive unchanged. Numbers stay plain ints: an unknown data_coding, TON, NPI or status is data.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from shared.smpp import codes, tlv

MAX_DECODED_TEXT = 255
MAX_CREDENTIAL = 64  # The spec allows 15 and 8 characters; many carriers hand out longer ones.
MAX_ADDRESS = 20
MAX_SERVICE_TYPE = 5
MAX_TIME = 16
MAX_MESSAGE_ID = 64


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


_BIND_COMMANDS = {
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


class _Message(NamedTuple):
    """The body shared by submit_sm and deliver_sm; a tuple because it is made for every message."""

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


class SubmitSm(_Message):
    """ESME to SMSC: send this segment. Its repr shows neither numbers nor text."""

    __slots__ = ()


class DeliverSm(_Message):
    """SMSC to ESME: a receipt or an inbound message. Its repr shows neither numbers nor text."""

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


Pdu: TypeAlias = (
    BindRequest
    | BindResp
    | SubmitSm
    | SubmitSmResp
    | DeliverSm
    | DeliverSmResp
    | EnquireLink
    | EnquireLinkResp
    | Unbind
    | UnbindResp
    | GenericNack
    | Unknown
)


_HEADER = struct.Struct(">IIII")
# All of a message up to its text, in one match: five texts and the numbers between them.
_MESSAGE_HEAD = re.compile(
    rb"(%b)\0..(%b)\0..(%b)\0...(%b)\0(%b)\0....." % ((rb"[^\0]{0,%d}" % MAX_DECODED_TEXT,) * 5),
    re.DOTALL,
)
_MESSAGE_BODY = b"%b\0%c%c%b\0%c%c%b\0%c%c%c%b\0%b\0%c%c%c%c%c%b%b"


def encode(pdu: Pdu, sequence: int | None = None) -> bytes:
    """The PDU's bytes; `sequence` overrides its own number, so a session need not copy it.

    Raises PduError for what SMPP cannot carry: NUL in a text, a too long text, a number too wide.
    """
    number = pdu.sequence if sequence is None else sequence
    try:
        command, status, body = _ENCODERS[type(pdu)](pdu)
        return _HEADER.pack(len(body) + codes.HEADER_BYTES, command, status, number) + body
    except PduError as error:
        raise PduError(error.status, number) from None
    except (UnicodeEncodeError, OverflowError, struct.error):
        raise PduError(codes.ESME_RINVPARLEN, number) from None


def decode(frame: bytes) -> Pdu:
    """Reads one whole frame. Raises PduError, and nothing else, for whatever it cannot read."""
    if len(frame) < codes.HEADER_BYTES:
        raise PduError(codes.ESME_RINVCMDLEN)
    length, command, status, sequence = _HEADER.unpack_from(frame)
    if length != len(frame) or length > codes.MAX_PDU_BYTES:
        raise PduError(codes.ESME_RINVCMDLEN, sequence)
    decoder = _DECODERS.get(command)
    if decoder is None:
        return Unknown(command, status, sequence, frame[codes.HEADER_BYTES :])
    try:
        return decoder(frame, status, sequence)
    except PduError as error:
        raise PduError(error.status, sequence) from None
    except (ValueError, IndexError, struct.error):
        # A text without its NUL, or a body that ends before its last mandatory field.
        raise PduError(codes.ESME_RINVPARLEN, sequence) from None


def command_of(frame: bytes) -> int:
    """The command id of a frame that need not be decodable; 0 when it has no header."""
    return int.from_bytes(frame[4:8], "big") if len(frame) >= codes.HEADER_BYTES else 0


def payload(message: SubmitSm | DeliverSm) -> bytes:
    """The message's octets: short_message, or the message_payload parameter when that is empty."""
    return message.short_message or tlv.message_payload(message.tlvs) or b""


_Encoded: TypeAlias = tuple[int, int, bytes]


def _cstring(text: str, limit: int) -> bytes:
    if len(text) > limit or "\0" in text:
        raise PduError(codes.ESME_RINVPARLEN)
    return text.encode("latin-1") + b"\0"


def _encode_message(message: _Message) -> bytes:
    # Written flat: this runs once a segment, and five calls to _cstring would double its time.
    (source, destination, short_message, data_coding, esm_class, registered_delivery,
     source_ton, source_npi, dest_ton, dest_npi, service_type, protocol_id, priority,
     schedule, validity, replace, default_id, tlvs, _) = message  # fmt: skip
    if len(short_message) > codes.MAX_SHORT_MESSAGE_BYTES:
        raise PduError(codes.ESME_RINVMSGLEN)
    if (
        "\0" in f"{source}{destination}{service_type}{schedule}{validity}"
        or len(source) > MAX_ADDRESS
        or len(destination) > MAX_ADDRESS
        or len(service_type) > MAX_SERVICE_TYPE
        or len(schedule) > MAX_TIME
        or len(validity) > MAX_TIME
    ):
        raise PduError(codes.ESME_RINVPARLEN)
    return _MESSAGE_BODY % (
        service_type.encode("latin-1"), source_ton, source_npi, source.encode("latin-1"),
        dest_ton, dest_npi, destination.encode("latin-1"), esm_class, protocol_id, priority,
        schedule.encode("latin-1"), validity.encode("latin-1"), registered_delivery, replace,
        data_coding, default_id, len(short_message), short_message,
        tlv.pack(tlvs) if tlvs else b"",
    )  # fmt: skip


def _encode_answer(pdu: SubmitSmResp | DeliverSmResp) -> bytes:
    body = _cstring(pdu.message_id, MAX_MESSAGE_ID)
    return body + tlv.pack(pdu.tlvs) if pdu.tlvs else body


def _encode_bind(pdu: BindRequest) -> _Encoded:
    body = (
        _cstring(pdu.system_id, MAX_CREDENTIAL)
        + _cstring(pdu.password, MAX_CREDENTIAL)
        + _cstring(pdu.system_type, MAX_CREDENTIAL)
        + b"%c%c%c" % (pdu.interface_version, pdu.addr_ton, pdu.addr_npi)
        + _cstring(pdu.address_range, MAX_CREDENTIAL)
    )
    return _BIND_COMMANDS[pdu.mode], 0, body


def _encode_bind_resp(pdu: BindResp) -> _Encoded:
    body = _cstring(pdu.system_id, MAX_CREDENTIAL) + tlv.pack(pdu.tlvs)
    return _BIND_COMMANDS[pdu.mode] | codes.RESPONSE_BIT, pdu.status, body


def _text(frame: bytes, start: int) -> tuple[str, int]:
    """The C-octet string at `start` and where the next field begins."""
    end = frame.index(0, start, start + MAX_DECODED_TEXT + 1)
    return frame[start:end].decode("latin-1"), end + 1


def _decode_message(frame: bytes, sequence: int) -> tuple[object, ...]:
    head = _MESSAGE_HEAD.match(frame, codes.HEADER_BYTES)
    if head is None:
        raise PduError(codes.ESME_RINVPARLEN)
    service_type, source, destination, schedule, validity = head.groups()
    at = codes.HEADER_BYTES + len(service_type) + 1
    after_source = at + len(source) + 3
    after = after_source + len(destination) + 3
    text_at = head.end()
    registered_delivery, replace, data_coding, default_id, size = frame[text_at - 5 : text_at]
    tlvs_at = text_at + size
    if tlvs_at > len(frame):
        raise PduError(codes.ESME_RINVMSGLEN)
    try:
        tlvs = tlv.unpack(frame, tlvs_at)
    except ValueError:
        raise PduError(codes.ESME_RINVOPTPARSTREAM) from None
    return (
        source.decode("latin-1"), destination.decode("latin-1"), frame[text_at:tlvs_at],
        data_coding, frame[after], registered_delivery,
        frame[at], frame[at + 1], frame[after_source], frame[after_source + 1],
        service_type.decode("latin-1"), frame[after + 1], frame[after + 2],
        schedule.decode("latin-1"), validity.decode("latin-1"), replace, default_id,
        tlvs, sequence,
    )  # fmt: skip


def _answer_body(frame: bytes) -> tuple[str, tlv.Tlvs]:
    """The text and parameters of a response, read without refusing anything.

    The status in the header already decides, and a peer may leave the body out, forget the NUL or
    add rubbish: an answer must not turn into a missing one for that.
    """
    body = frame[codes.HEADER_BYTES :]
    text, _, _ = body.partition(b"\0")
    try:
        tlvs = tlv.unpack(frame, codes.HEADER_BYTES + len(text) + 1)
    except ValueError:
        tlvs = ()
    return text[:MAX_DECODED_TEXT].decode("latin-1"), tlvs


def _decode_submit_sm_resp(frame: bytes, status: int, sequence: int) -> SubmitSmResp:
    message_id, tlvs = _answer_body(frame)
    return SubmitSmResp(status, message_id, sequence, tlvs)


def _decode_deliver_sm_resp(frame: bytes, status: int, sequence: int) -> DeliverSmResp:
    message_id, tlvs = _answer_body(frame)
    return DeliverSmResp(status, message_id, sequence, tlvs)


def _bind_decoder(mode: BindMode) -> Callable[[bytes, int, int], BindRequest]:
    def decode_bind(frame: bytes, _status: int, sequence: int) -> BindRequest:
        system_id, at = _text(frame, codes.HEADER_BYTES)
        password, at = _text(frame, at)
        system_type, at = _text(frame, at)
        version, ton, npi = frame[at : at + 3]
        address_range, _ = _text(frame, at + 3)
        return BindRequest(
            system_id, password, system_type, mode, version, ton, npi, address_range, sequence
        )

    return decode_bind


def _bind_resp_decoder(mode: BindMode) -> Callable[[bytes, int, int], BindResp]:
    def decode_bind_resp(frame: bytes, status: int, sequence: int) -> BindResp:
        system_id, tlvs = _answer_body(frame)
        return BindResp(mode, status, system_id, tlvs, sequence)

    return decode_bind_resp


_ENCODERS: dict[type, Callable[..., _Encoded]] = {
    SubmitSm: lambda pdu: (codes.COMMAND_SUBMIT_SM, 0, _encode_message(pdu)),
    SubmitSmResp: lambda pdu: (codes.COMMAND_SUBMIT_SM_RESP, pdu.status, _encode_answer(pdu)),
    DeliverSm: lambda pdu: (codes.COMMAND_DELIVER_SM, 0, _encode_message(pdu)),
    DeliverSmResp: lambda pdu: (codes.COMMAND_DELIVER_SM_RESP, pdu.status, _encode_answer(pdu)),
    BindRequest: _encode_bind,
    BindResp: _encode_bind_resp,
    EnquireLink: lambda _: (codes.COMMAND_ENQUIRE_LINK, 0, b""),
    EnquireLinkResp: lambda pdu: (codes.COMMAND_ENQUIRE_LINK_RESP, pdu.status, b""),
    Unbind: lambda _: (codes.COMMAND_UNBIND, 0, b""),
    UnbindResp: lambda pdu: (codes.COMMAND_UNBIND_RESP, pdu.status, b""),
    GenericNack: lambda pdu: (codes.COMMAND_GENERIC_NACK, pdu.status, b""),
    Unknown: lambda pdu: (pdu.command, pdu.status, pdu.body),
}

_DECODERS: dict[int, Callable[[bytes, int, int], Pdu]] = {
    codes.COMMAND_SUBMIT_SM: lambda f, _status, seq: SubmitSm._make(_decode_message(f, seq)),
    codes.COMMAND_SUBMIT_SM_RESP: _decode_submit_sm_resp,
    codes.COMMAND_DELIVER_SM: lambda f, _status, seq: DeliverSm._make(_decode_message(f, seq)),
    codes.COMMAND_DELIVER_SM_RESP: _decode_deliver_sm_resp,
    codes.COMMAND_ENQUIRE_LINK: lambda _f, _status, sequence: EnquireLink(sequence),
    codes.COMMAND_ENQUIRE_LINK_RESP: lambda _f, status, seq: EnquireLinkResp(status, seq),
    codes.COMMAND_UNBIND: lambda _f, _status, sequence: Unbind(sequence),
    codes.COMMAND_UNBIND_RESP: lambda _f, status, sequence: UnbindResp(status, sequence),
    codes.COMMAND_GENERIC_NACK: lambda _f, status, sequence: GenericNack(status, sequence),
    **{command: _bind_decoder(mode) for mode, command in _BIND_COMMANDS.items()},
    **{
        command | codes.RESPONSE_BIT: _bind_resp_decoder(mode)
        for mode, command in _BIND_COMMANDS.items()
    },
}
