"""Any bytes as PDUs or a `PduError`, and as nothing else; pure (spec sections 3-5)."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from shared.smpp import codes, pdu, tlv

TEXT_CHARS_MAX = 255

# All of a message up to its text, in one match: five texts and the numbers between them. It is
# matched as Latin-1, an octet a character, so that the texts need not be decoded one by one.
_TEXT = rf"([^\0]{{0,{TEXT_CHARS_MAX}}})\0"
_MESSAGE_HEAD = re.compile(_TEXT + (r".." + _TEXT) * 2 + r"..." + _TEXT * 2 + r".....", re.DOTALL)
_DATA_HEAD = re.compile(_TEXT + (r".." + _TEXT) * 2 + r"...", re.DOTALL)


def decode(frame: bytes) -> pdu.Pdu:
    """One whole frame, read. Raises PduError, and nothing else, for whatever cannot be read."""
    if len(frame) < codes.HEADER_BYTES:
        raise pdu.PduError(codes.ESME_RINVCMDLEN)
    length, command, status, sequence = codes.HEADER.unpack_from(frame)
    if length != len(frame) or length > codes.PDU_BYTES_MAX:
        raise pdu.PduError(codes.ESME_RINVCMDLEN, sequence)
    decoder = _DECODERS.get(command)
    if decoder is None:
        return pdu.Unknown(command, status, sequence, frame[codes.HEADER_BYTES :])
    try:
        return decoder(frame, status, sequence)
    except pdu.PduError as error:
        raise pdu.PduError(error.status, sequence) from None
    except (ValueError, IndexError, struct.error):
        # A text without its NUL, or a body that ends before its last mandatory field.
        raise pdu.PduError(codes.ESME_RINVPARLEN, sequence) from None


def answered_id(frame: bytes) -> str:
    """The message id, or the like, that a response's body begins with. Refuses nothing: the status
    in the header already decides, and a peer may leave the body out, forget the NUL or add rubbish;
    an answer must not turn into a missing one for that."""
    end = frame.find(0, codes.HEADER_BYTES, codes.HEADER_BYTES + TEXT_CHARS_MAX)
    text = frame[codes.HEADER_BYTES : end if end >= 0 else codes.HEADER_BYTES + TEXT_CHARS_MAX]
    return text.decode("latin-1")


def _text(frame: bytes, start: int) -> tuple[str, int]:
    """The C-octet string at `start` and where the next field begins."""
    end = frame.index(0, start, start + TEXT_CHARS_MAX + 1)
    return frame[start:end].decode("latin-1"), end + 1


def _message(frame: bytes, sequence: int, parameters: tlv.Parser) -> tuple[object, ...]:
    head = _MESSAGE_HEAD.match(frame.decode("latin-1"), codes.HEADER_BYTES)
    if head is None:
        raise pdu.PduError(codes.ESME_RINVPARLEN)
    service_type, source, destination, schedule, validity = head.groups()
    at = codes.HEADER_BYTES + len(service_type) + 1
    after_source = at + len(source) + 3
    after = after_source + len(destination) + 3
    text_at = head.end()
    registered_delivery, replace, data_coding, default_id, size = frame[text_at - 5 : text_at]
    tlvs_at = text_at + size
    if tlvs_at > len(frame):
        raise pdu.PduError(codes.ESME_RINVMSGLEN)
    return (
        source, destination, frame[text_at:tlvs_at],
        data_coding, frame[after], registered_delivery,
        frame[at], frame[at + 1], frame[after_source], frame[after_source + 1],
        service_type, frame[after + 1], frame[after + 2], schedule, validity, replace, default_id,
        parameters(frame, tlvs_at), sequence,
    )  # fmt: skip


def _submit_sm(frame: bytes, _status: int, sequence: int) -> pdu.SubmitSm:
    try:
        return pdu.SubmitSm._make(_message(frame, sequence, tlv.unpack))
    except tlv.CutShort:
        raise pdu.PduError(codes.ESME_RINVOPTPARSTREAM) from None


def _deliver_sm(frame: bytes, _status: int, sequence: int) -> pdu.DeliverSm:
    # Some carriers add a NUL or miscount a parameter. Refused, the receipt would be lost.
    return pdu.DeliverSm._make(_message(frame, sequence, tlv.unpack_sound))


def _data_sm(frame: bytes, _status: int, sequence: int) -> pdu.DataSm:
    head = _DATA_HEAD.match(frame.decode("latin-1"), codes.HEADER_BYTES)
    if head is None:
        raise pdu.PduError(codes.ESME_RINVPARLEN)
    service_type, source, destination = head.groups()
    at = codes.HEADER_BYTES + len(service_type) + 1
    after_source = at + len(source) + 3
    esm_class, registered_delivery, data_coding = frame[head.end() - 3 : head.end()]
    return pdu.DataSm(
        source, destination, b"",
        data_coding, esm_class, registered_delivery,
        frame[at], frame[at + 1], frame[after_source], frame[after_source + 1],
        service_type, tlvs=tlv.unpack_sound(frame, head.end()), sequence=sequence,
    )  # fmt: skip


def _answer_body(frame: bytes) -> tuple[str, tlv.Tlvs]:
    """The text of a response, and the parameters that can be read behind its NUL."""
    end = frame.find(0, codes.HEADER_BYTES)
    return answered_id(frame), tlv.unpack_sound(frame, end + 1 if end >= 0 else len(frame))


def _submit_sm_resp(frame: bytes, status: int, sequence: int) -> pdu.SubmitSmResp:
    message_id, tlvs = _answer_body(frame)
    return pdu.SubmitSmResp(status, message_id, sequence, tlvs)


def _deliver_sm_resp(frame: bytes, status: int, sequence: int) -> pdu.DeliverSmResp:
    message_id, tlvs = _answer_body(frame)
    return pdu.DeliverSmResp(status, message_id, sequence, tlvs)


def _data_sm_resp(frame: bytes, status: int, sequence: int) -> pdu.DataSmResp:
    message_id, tlvs = _answer_body(frame)
    return pdu.DataSmResp(status, message_id, sequence, tlvs)


def _bind_of(mode: pdu.BindMode) -> Callable[[bytes, int, int], pdu.BindRequest]:
    def bind(frame: bytes, _status: int, sequence: int) -> pdu.BindRequest:
        system_id, at = _text(frame, codes.HEADER_BYTES)
        password, at = _text(frame, at)
        system_type, at = _text(frame, at)
        version, ton, npi = frame[at : at + 3]
        address_range, _ = _text(frame, at + 3)
        return pdu.BindRequest(
            system_id, password, system_type, mode, version, ton, npi, address_range, sequence
        )

    return bind


def _bind_resp_of(mode: pdu.BindMode) -> Callable[[bytes, int, int], pdu.BindResp]:
    def bind_resp(frame: bytes, status: int, sequence: int) -> pdu.BindResp:
        system_id, tlvs = _answer_body(frame)
        return pdu.BindResp(mode, status, system_id, tlvs, sequence)

    return bind_resp


_DECODERS: dict[int, Callable[[bytes, int, int], pdu.Pdu]] = {
    codes.COMMAND_SUBMIT_SM: _submit_sm,
    codes.COMMAND_SUBMIT_SM_RESP: _submit_sm_resp,
    codes.COMMAND_DELIVER_SM: _deliver_sm,
    codes.COMMAND_DELIVER_SM_RESP: _deliver_sm_resp,
    codes.COMMAND_DATA_SM: _data_sm,
    codes.COMMAND_DATA_SM_RESP: _data_sm_resp,
    codes.COMMAND_ENQUIRE_LINK: lambda _f, _status, seq: pdu.EnquireLink(seq),
    codes.COMMAND_ENQUIRE_LINK_RESP: lambda _f, status, seq: pdu.EnquireLinkResp(status, seq),
    codes.COMMAND_UNBIND: lambda _f, _status, seq: pdu.Unbind(seq),
    codes.COMMAND_UNBIND_RESP: lambda _f, status, seq: pdu.UnbindResp(status, seq),
    codes.COMMAND_GENERIC_NACK: lambda _f, status, seq: pdu.GenericNack(status, seq),
    **{command: _bind_of(mode) for mode, command in pdu.BIND_COMMANDS.items()},
    **{
        command | codes.RESPONSE_BIT: _bind_resp_of(mode)
        for mode, command in pdu.BIND_COMMANDS.items()
    },
}
