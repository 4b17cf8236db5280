"""The simulated carrier in the words of real vendors' web APIs: one file a vendor, one face."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import aiohttp

from services.simulator import carrier
from services.simulator.vendors import face, infobip, sinch, twilio, vonage


def faces(
    shared: carrier.Carrier, client: Callable[[], aiohttp.ClientSession]
) -> Sequence[face.VendorFace]:
    """A face of each vendor over one carrier."""
    speeches = (
        twilio.TwilioSpeech(),
        vonage.VonageSpeech(),
        sinch.SinchSpeech(),
        infobip.InfobipSpeech(),
    )
    return [face.VendorFace(shared, each, client) for each in speeches]
