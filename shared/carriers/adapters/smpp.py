"""The `smpp` adapter: a carrier spoken to over SMPP 3.3 or 3.4, by one or more binds."""

from __future__ import annotations

from shared.carriers import (
    contract,
    findings,
    smpp_binds,
    smpp_check,
    smpp_dialect,
    smpp_link,
    smpp_receipts,
    smpp_settings,
)
from shared.smpp import life, terms
from shared.sms import receipts

Settings = smpp_settings.Settings


def open_link(
    carrier: str,
    settings: Settings,
    on_receipt: contract.ReceiptSink,
    on_inbound: contract.InboundSink,
) -> smpp_link.SmppLink:
    """A link that begins to bind at once. Call it inside the event loop. Raises OSError when the
    password's file, or one of TLS, cannot be read."""
    timers = life.Timers(
        response_seconds=settings.response_seconds, enquire_seconds=settings.enquire_seconds
    )
    return smpp_link.SmppLink(
        carrier,
        smpp_binds.destinations(settings),
        terms.Terms(settings.window, timers, window_min=settings.window_min),
        smpp_dialect.Dialect(settings),
        smpp_link.Sinks(on_receipt, on_inbound),
        settings.refusals_max,
    )


async def check(settings: Settings) -> tuple[findings.CheckFinding, ...]:
    """Binds and unbinds."""
    return await smpp_check.check(smpp_binds.destinations(settings), settings.window)


def read_receipt(settings: Settings, body: bytes) -> receipts.Receipt | receipts.LateAnswer | None:
    """One stored receipt or late answer in our words; None for garbage and for a state nobody
    knows."""
    return smpp_receipts.read(body, settings.spelling)
