"""How one carrier is written to and understood over SMPP, as its settings have it.

What a command_status means stands in `smpp_statuses`; 0 is ACCEPTED also without an id, which will
be `unknown` at its deadline, but was taken.
"""

from __future__ import annotations

import time
from functools import lru_cache

from shared.carriers import (
    contract,
    outcomes,
    smpp_alphabets,
    smpp_inbound,
    smpp_receipts,
    smpp_settings,
    smpp_statuses,
    smpp_tlvs,
)
from shared.smpp import codes, encoder, pdu, tlv, window
from shared.sms import classes, inbound, receipts, segmentation

_DAY_SECONDS = 86_400
_VALID_SECONDS_MAX = 31 * _DAY_SECONDS
_WITH_RECEIPT = 1
_FORM_COUNT_MAX = 4096
"""Forms of submits kept for a link: there is one for each number of seconds left to a message."""

_COMMANDS: dict[smpp_settings.SubmitWith, int] = {
    "submit_sm": codes.COMMAND_SUBMIT_SM,
    "data_sm": codes.COMMAND_DATA_SM,
}
_REFERENCE_HEAD = tlv.pack_one(codes.TLV_USER_MESSAGE_REFERENCE, bytes(2))[:-2]

_Kind = tuple[int, int]
"""A TON and an NPI."""


class Dialect:
    """Writes submits and reads what comes back."""

    def __init__(self, settings: smpp_settings.Settings) -> None:
        self._settings = settings
        self._statuses = smpp_statuses.Statuses.of(settings)
        self._codings = settings.codings
        self._kinds = settings.sender_kinds
        self._recipient_kinds = settings.recipient_kinds
        self._tlvs = smpp_tlvs.OwnTlvs(settings.tlvs)
        self._says_reference = settings.reference_tlv and settings.speaks_tlvs
        self._says_end = settings.validity == "absolute"
        self._concatenates_by_tlv = settings.concatenation == "sar"
        self.command = _COMMANDS[settings.submit_with]
        """What a segment is submitted by."""
        self.whole_messages = settings.concatenation == "payload"
        """Whether the carrier cuts long texts itself."""
        self._form = lru_cache(maxsize=_FORM_COUNT_MAX)(self._written_form)

    def write(self, segment: contract.Segment) -> bytes:
        """The body of a `command`. Raises pdu.PduError for what SMPP cannot carry."""
        source, source_kind = _address(segment.source, self._kinds)
        recipient, recipient_kind = _address(segment.recipient, self._recipient_kinds)
        header = b"" if self._concatenates_by_tlv else segment.udh
        data_coding, octets = smpp_alphabets.write(segment, header, self._codings)
        esm_class = codes.ESM_CLASS_UDHI if header else codes.ESM_CLASS_DEFAULT
        if self.command == codes.COMMAND_DATA_SM:
            data = pdu.DataSm(
                source,
                recipient,
                b"",
                data_coding,
                esm_class,
                _WITH_RECEIPT,
                *source_kind,
                *recipient_kind,
                self._settings.service_type,
            )
            return self._data(data, octets, segment)
        form = self._form(
            source_kind,
            recipient_kind,
            data_coding,
            esm_class,
            segment.message_class,
            _end(segment.valid_seconds) if self._says_end else segment.valid_seconds,
        )
        parameters = self._parameters(segment)
        if self.whole_messages and segment.is_whole:
            # Its text has the parameter's two octets of length, and short_message none.
            payload = tlv.pack_one(codes.TLV_MESSAGE_PAYLOAD, octets)
            return form.fill(source, recipient, b"", payload + parameters)
        return form.fill(source, recipient, octets, parameters)

    def _data(self, message: pdu.DataSm, octets: bytes, segment: contract.Segment) -> bytes:
        """A data_sm's body: text and time are parameters (spec 5.3.2.32, 5.3.2.9)."""
        body = encoder.encode(message)[codes.HEADER_BYTES :]
        if self._settings.validity != "none":
            seconds = max(segment.valid_seconds, 1).to_bytes(4, "big")
            body += tlv.pack_one(codes.TLV_QOS_TIME_TO_LIVE, seconds)
        return body + tlv.pack_one(codes.TLV_MESSAGE_PAYLOAD, octets) + self._parameters(segment)

    def _parameters(self, segment: contract.Segment) -> bytes:
        written = self._tlvs.of(segment.source)
        if self._says_reference:
            reference = receipts.echo_of(segment.message_id, segment.part)
            written += _REFERENCE_HEAD + reference.to_bytes(2, "big")
        if self._concatenates_by_tlv and segment.udh:
            written += _sar(segment.udh)
        return written

    def _written_form(
        self,
        source_kind: _Kind,
        recipient_kind: _Kind,
        data_coding: int,
        esm_class: int,
        message_class: classes.ClassName,
        valid: int | str,
    ) -> encoder.Form:
        """`valid` is a time left in seconds, or an end as SMPP writes it."""
        settings = self._settings
        if isinstance(valid, int):
            valid = "" if settings.validity == "none" else _left(valid)
        return encoder.form(
            pdu.SubmitSm(
                data_coding=data_coding,
                esm_class=esm_class,
                registered_delivery=_WITH_RECEIPT,
                source_addr_ton=source_kind[0],
                source_addr_npi=source_kind[1],
                dest_addr_ton=recipient_kind[0],
                dest_addr_npi=recipient_kind[1],
                service_type=settings.service_type,
                protocol_id=settings.protocol_id,
                priority_flag=settings.priority.get(message_class, 0),
                validity_period=valid,
            )
        )

    def read(self, answer: window.Answer) -> outcomes.Outcome:
        """What an answer says, whether it came in time or not."""
        if answer.status == codes.ESME_ROK:
            carrier_id = smpp_receipts.answered_id(answer.message_id, self._settings.id_base)
            return outcomes.Outcome(outcomes.OutcomeKind.ACCEPTED, carrier_id)
        return self._statuses.outcome(answer.status)

    def strip(self, delivery: pdu.Message) -> bytes | None:
        """What to keep of a receipt; None for what is none."""
        return smpp_receipts.strip(
            delivery,
            unmarked=self._settings.receipts_without_esm_class,
            phones=self._settings.receipts_name_recipient,
            states=self._settings.receipt_states,
        )

    def read_inbound(self, delivery: pdu.Message) -> inbound.InboundPart:
        """What a phone has sent, of what is no receipt."""
        return smpp_inbound.read(delivery, self._settings.inbound_alphabet)


def _address(number: str, kinds: smpp_settings.AddressKinds) -> tuple[str, _Kind]:
    """An address as SMPP writes it: without the plus (spec 5.2.5, 5.2.6)."""
    if number.startswith("+"):
        return number[1:], kinds.number
    if number.isdecimal():
        return number, kinds.short_code
    return number, kinds.alphanumeric


def _sar(udh: bytes) -> bytes:
    """A part's place in its whole as parameters (spec 5.3.2.22 to 5.3.2.24)."""
    said = segmentation.parse_udh(udh)
    if said is None:
        return b""
    return (
        tlv.pack_one(codes.TLV_SAR_MSG_REF_NUM, said.reference.to_bytes(2, "big"))
        + tlv.pack_one(codes.TLV_SAR_TOTAL_SEGMENTS, bytes((said.total,)))
        + tlv.pack_one(codes.TLV_SAR_SEGMENT_SEQNUM, bytes((said.number,)))
    )


def _left(seconds: int) -> str:
    """A time from now as SMPP writes it (spec 7.1.1), at least a second and at most 31 days."""
    days, rest = divmod(min(max(seconds, 1), _VALID_SECONDS_MAX), _DAY_SECONDS)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    return f"0000{days:02d}{hours:02d}{minutes:02d}{left:02d}000R"


def _end(seconds: int) -> str:
    """The same as a time of UTC."""
    end = time.time() + min(max(seconds, 1), _VALID_SECONDS_MAX)
    return time.strftime("%y%m%d%H%M%S000+", time.gmtime(end))
