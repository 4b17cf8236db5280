"""How one carrier is written to and understood over SMPP, as its settings have it.

What a command_status means stands in `smpp_statuses`; 0 is ACCEPTED also without an id, which will
be `unknown` at its deadline, but was taken.
"""

from __future__ import annotations

from functools import lru_cache

from shared.carriers import (
    contract,
    outcomes,
    smpp_inbound,
    smpp_receipts,
    smpp_settings,
    smpp_statuses,
)
from shared.smpp import codes, encoder, pdu, tlv, window
from shared.sms import inbound, receipts, segmentation

_DAY_SECONDS = 86_400
_WITH_RECEIPT = 1
_FORM_COUNT_MAX = 4096
"""Forms of submits kept for a link: there is one for each number of seconds left to a message."""


class Dialect:
    """Writes submits and reads what comes back; pure."""

    def __init__(self, settings: smpp_settings.Settings) -> None:
        self._settings = settings
        self._statuses = smpp_statuses.Statuses.of(settings)
        self._form = lru_cache(maxsize=_FORM_COUNT_MAX)(self._written_form)

    def write(self, segment: contract.Segment) -> bytes:
        """The body of a submit_sm. Raises pdu.PduError for what SMPP cannot carry."""
        source, source_kind = _address(segment.source)
        recipient, recipient_kind = _address(segment.recipient)
        data_coding = segmentation.data_coding(segment.encoding)
        esm_class = codes.ESM_CLASS_UDHI if segment.udh else codes.ESM_CLASS_DEFAULT
        form = self._form(
            source_kind, recipient_kind, data_coding, esm_class, segment.valid_seconds
        )
        reference = receipts.echo_of(segment.message_id, segment.part)
        return form.fill(
            source,
            recipient,
            segment.udh + segment.payload,
            tlv.pack_one(codes.TLV_USER_MESSAGE_REFERENCE, reference.to_bytes(2, "big")),
        )

    def _written_form(
        self,
        source_kind: tuple[int, int],
        recipient_kind: tuple[int, int],
        data_coding: int,
        esm_class: int,
        valid_seconds: int,
    ) -> encoder.Form:
        settings = self._settings
        ton, npi = source_kind
        dest_ton, dest_npi = recipient_kind
        return encoder.form(
            pdu.SubmitSm(
                data_coding=data_coding,
                esm_class=esm_class,
                registered_delivery=_WITH_RECEIPT,
                source_addr_ton=ton if settings.source_ton is None else settings.source_ton,
                source_addr_npi=npi if settings.source_npi is None else settings.source_npi,
                dest_addr_ton=dest_ton if settings.dest_ton is None else settings.dest_ton,
                dest_addr_npi=dest_npi if settings.dest_npi is None else settings.dest_npi,
                validity_period=_relative_time(valid_seconds),
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
        )

    def read_inbound(self, delivery: pdu.Message) -> inbound.InboundPart:
        """What a phone has sent, of what is no receipt."""
        return smpp_inbound.read(delivery, self._settings.inbound_alphabet)


def _address(number: str) -> tuple[str, tuple[int, int]]:
    """An address as SMPP writes it, with TON and NPI (spec 5.2.5, 5.2.6): international and ISDN,
    network specific for a short code, alphanumeric for a name."""
    if number.startswith("+"):
        return number[1:], (1, 1)
    if number.isdecimal():
        return number, (3, 0)
    return number, (5, 0)


def _relative_time(seconds: int) -> str:
    """A time from now as SMPP writes it (spec 7.1.1), at least a second and at most 31 days."""
    days, rest = divmod(min(max(seconds, 1), 31 * _DAY_SECONDS), _DAY_SECONDS)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    return f"0000{days:02d}{hours:02d}{minutes:02d}{left:02d}000R"
