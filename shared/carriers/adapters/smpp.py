"""The `smpp` adapter: a carrier spoken to over SMPP 3.4, by one or more transceiver binds."""

from __future__ import annotations

from pathlib import Path

from shared.carriers import contract, smpp_dialect, smpp_link, smpp_receipts, smpp_settings
from shared.smpp import esme, life, pdu, terms
from shared.sms import receipts

Settings = smpp_settings.Settings


def open_link(
    carrier: str,
    settings: Settings,
    on_receipt: contract.ReceiptSink,
    on_inbound: contract.InboundSink,
) -> smpp_link.SmppLink:
    """A link that begins to bind at once. Call it inside the event loop. Raises OSError when the
    password file cannot be read."""
    request = pdu.BindRequest(settings.system_id, _password(settings), settings.system_type)
    timers = life.Timers(
        response_seconds=settings.response_seconds, enquire_seconds=settings.enquire_seconds
    )
    return smpp_link.SmppLink(
        carrier,
        esme.Destination(settings.host, settings.port, request),
        terms.Terms(settings.window, timers),
        settings.binds,
        smpp_dialect.Dialect(settings),
        smpp_link.Sinks(on_receipt, on_inbound),
    )


def read_receipt(settings: Settings, body: bytes) -> receipts.Receipt | receipts.LateAnswer | None:
    """One stored receipt or late answer in our words; None for garbage and for a state nobody
    knows."""
    return smpp_receipts.read(body, settings.id_base)


def _password(settings: Settings) -> str:
    if settings.password is not None:
        return settings.password.reveal()
    return Path(settings.password_file or "").read_text(encoding="utf-8").rstrip("\r\n")
