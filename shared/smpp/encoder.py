"""PDUs as bytes; pure (spec sections 3-5)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from shared.smpp import codes, pdu, tlv

CREDENTIAL_CHARS_MAX = 64  # The spec allows 15 and 8; many carriers hand out longer ones.
ADDRESS_CHARS_MAX = 20
DATA_ADDRESS_CHARS_MAX = 64
SERVICE_TYPE_CHARS_MAX = 5
TIME_CHARS_MAX = 16
MESSAGE_ID_CHARS_MAX = 64

_MESSAGE_BODY = b"%b\0%c%c%b\0%c%c%b\0%c%c%c%b\0%b\0%c%c%c%c%c%b%b"

_Encoded = tuple[int, int, bytes]
"""Command, status and body."""


def encode(message: pdu.Pdu, sequence: int | None = None) -> bytes:
    """The PDU's bytes; `sequence` overrides its own number, so a session need not copy it.

    Raises PduError for what SMPP cannot carry: NUL in a text, a too long text, a number too wide.
    """
    number = message.sequence if sequence is None else sequence
    try:
        command, status, body = _ENCODERS[type(message)](message)
        return frame(command, status, number, body)
    except pdu.PduError as error:
        raise pdu.PduError(error.status, number) from None
    except (UnicodeEncodeError, OverflowError, struct.error):
        raise pdu.PduError(codes.ESME_RINVPARLEN, number) from None


def frame(command: int, status: int, sequence: int, body: bytes) -> bytes:
    """A PDU's bytes around a body that is written already."""
    return codes.HEADER.pack(len(body) + codes.HEADER_BYTES, command, status, sequence) + body


class Form(NamedTuple):
    """A message's body with gaps for its addresses, its text and its parameters: what is alike in
    many messages is checked and written once."""

    before_source: bytes
    before_destination: bytes
    before_text: bytes

    def fill(self, source: str, destination: str, short_message: bytes, tlvs: bytes = b"") -> bytes:
        """A whole body. Raises PduError for what SMPP cannot carry."""
        if len(short_message) > codes.SHORT_MESSAGE_BYTES_MAX:
            raise pdu.PduError(codes.ESME_RINVMSGLEN)
        if (
            len(source) > ADDRESS_CHARS_MAX
            or len(destination) > ADDRESS_CHARS_MAX
            or "\0" in source
            or "\0" in destination
        ):
            raise pdu.PduError(codes.ESME_RINVPARLEN)
        try:
            return b"%b%b%b%b%b%c%b%b" % (
                self.before_source, source.encode("latin-1"),
                self.before_destination, destination.encode("latin-1"),
                self.before_text, len(short_message), short_message, tlvs,
            )  # fmt: skip
        except UnicodeEncodeError:
            raise pdu.PduError(codes.ESME_RINVPARLEN) from None


def form(message: pdu.SubmitSm | pdu.DeliverSm) -> Form:
    """All of a message but what a form has gaps for. Raises as `encode`."""
    empty = message._replace(source_addr="", destination_addr="", short_message=b"", tlvs=())
    body = encode(empty)[codes.HEADER_BYTES :]
    source_at = len(message.service_type) + 3
    destination_at = source_at + 3
    return Form(body[:source_at], body[source_at:destination_at], body[destination_at:-1])


def response(request: pdu.Request, status: int, message_id: str = "") -> bytes:
    """The bytes of what answers a message; a deliver_sm's answer names no id. Raises as
    `encode`."""
    if isinstance(request, pdu.DeliverSm):
        return frame(codes.COMMAND_DELIVER_SM_RESP, status, request.sequence, b"\0")
    command = _RESPONSES[type(request)]
    try:
        return frame(command, status, request.sequence, _cstring(message_id, MESSAGE_ID_CHARS_MAX))
    except UnicodeEncodeError:
        raise pdu.PduError(codes.ESME_RINVPARLEN, request.sequence) from None


def _cstring(text: str, chars_max: int) -> bytes:
    if len(text) > chars_max or "\0" in text:
        raise pdu.PduError(codes.ESME_RINVPARLEN)
    return text.encode("latin-1") + b"\0"


def _message(message: pdu.Message) -> bytes:
    # Written flat: this runs once a segment, and five calls to _cstring would double its time.
    (source, destination, short_message, data_coding, esm_class, registered_delivery,
     source_ton, source_npi, dest_ton, dest_npi, service_type, protocol_id, priority,
     schedule, validity, replace, default_id, tlvs, _) = message  # fmt: skip
    if len(short_message) > codes.SHORT_MESSAGE_BYTES_MAX:
        raise pdu.PduError(codes.ESME_RINVMSGLEN)
    if (
        "\0" in f"{source}{destination}{service_type}{schedule}{validity}"
        or len(source) > ADDRESS_CHARS_MAX
        or len(destination) > ADDRESS_CHARS_MAX
        or len(service_type) > SERVICE_TYPE_CHARS_MAX
        or len(schedule) > TIME_CHARS_MAX
        or len(validity) > TIME_CHARS_MAX
    ):
        raise pdu.PduError(codes.ESME_RINVPARLEN)
    return _MESSAGE_BODY % (
        service_type.encode("latin-1"), source_ton, source_npi, source.encode("latin-1"),
        dest_ton, dest_npi, destination.encode("latin-1"), esm_class, protocol_id, priority,
        schedule.encode("latin-1"), validity.encode("latin-1"), registered_delivery, replace,
        data_coding, default_id, len(short_message), short_message,
        tlv.pack(tlvs) if tlvs else b"",
    )  # fmt: skip


def _data_sm(message: pdu.DataSm) -> _Encoded:
    if message.short_message:
        raise pdu.PduError(codes.ESME_RINVMSGLEN)
    body = (
        _cstring(message.service_type, SERVICE_TYPE_CHARS_MAX)
        + b"%c%c" % (message.source_addr_ton, message.source_addr_npi)
        + _cstring(message.source_addr, DATA_ADDRESS_CHARS_MAX)
        + b"%c%c" % (message.dest_addr_ton, message.dest_addr_npi)
        + _cstring(message.destination_addr, DATA_ADDRESS_CHARS_MAX)
        + b"%c%c%c" % (message.esm_class, message.registered_delivery, message.data_coding)
        + tlv.pack(message.tlvs)
    )
    return codes.COMMAND_DATA_SM, 0, body


def _answer(answer: pdu.MessageResp) -> bytes:
    body = _cstring(answer.message_id, MESSAGE_ID_CHARS_MAX)
    return body + tlv.pack(answer.tlvs) if answer.tlvs else body


def _bind(request: pdu.BindRequest) -> _Encoded:
    body = (
        _cstring(request.system_id, CREDENTIAL_CHARS_MAX)
        + _cstring(request.password, CREDENTIAL_CHARS_MAX)
        + _cstring(request.system_type, CREDENTIAL_CHARS_MAX)
        + b"%c%c%c" % (request.interface_version, request.addr_ton, request.addr_npi)
        + _cstring(request.address_range, CREDENTIAL_CHARS_MAX)
    )
    return pdu.BIND_COMMANDS[request.mode], 0, body


def _bind_resp(resp: pdu.BindResp) -> _Encoded:
    body = _cstring(resp.system_id, CREDENTIAL_CHARS_MAX) + tlv.pack(resp.tlvs)
    return pdu.BIND_COMMANDS[resp.mode] | codes.RESPONSE_BIT, resp.status, body


_RESPONSES = {
    pdu.SubmitSm: codes.COMMAND_SUBMIT_SM_RESP,
    pdu.DataSm: codes.COMMAND_DATA_SM_RESP,
}
_ENCODERS: dict[type, Callable[..., _Encoded]] = {
    pdu.SubmitSm: lambda each: (codes.COMMAND_SUBMIT_SM, 0, _message(each)),
    pdu.SubmitSmResp: lambda each: (codes.COMMAND_SUBMIT_SM_RESP, each.status, _answer(each)),
    pdu.DeliverSm: lambda each: (codes.COMMAND_DELIVER_SM, 0, _message(each)),
    pdu.DeliverSmResp: lambda each: (codes.COMMAND_DELIVER_SM_RESP, each.status, _answer(each)),
    pdu.DataSm: _data_sm,
    pdu.DataSmResp: lambda each: (codes.COMMAND_DATA_SM_RESP, each.status, _answer(each)),
    pdu.BindRequest: _bind,
    pdu.BindResp: _bind_resp,
    pdu.EnquireLink: lambda _: (codes.COMMAND_ENQUIRE_LINK, 0, b""),
    pdu.EnquireLinkResp: lambda each: (codes.COMMAND_ENQUIRE_LINK_RESP, each.status, b""),
    pdu.Unbind: lambda _: (codes.COMMAND_UNBIND, 0, b""),
    pdu.UnbindResp: lambda each: (codes.COMMAND_UNBIND_RESP, each.status, b""),
    pdu.GenericNack: lambda each: (codes.COMMAND_GENERIC_NACK, each.status, b""),
    pdu.Unknown: lambda each: (each.command, each.status, each.body),
}
