"""Where a name may be a message's sender.

Source: sender id guidelines that aggregators publish by country, agreeing on these: networks there
drop what comes from a name, or put a number in its place. Countries that only want names registered
are left to the carrier.
"""

from __future__ import annotations

from typing import Final

REFUSING: Final = frozenset(
    {"AR", "BR", "CA", "CL", "CN", "CO", "CR", "KR", "MX", "MY", "PR", "TW", "US", "UY", "ZA"}
)
"""ISO 3166 alpha-2."""


def takes_names(country: str) -> bool:
    """Whether phones of this country get messages from a name as they were sent."""
    return country not in REFUSING
