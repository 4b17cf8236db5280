"""The time zone of a country: its only one, or else that of the capital or of most people."""

from __future__ import annotations

from functools import cache
from typing import Final

import phonenumbers
from phonenumbers import timezone

UTC: Final = "UTC"
"""Of numbers that no country owns."""
_NAMED: Final = {
    "AR": "America/Argentina/Buenos_Aires",
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "DZ": "Africa/Algiers",
    "EC": "America/Guayaquil",
    "EH": "Africa/Casablanca",
    "ER": "Africa/Asmara",
    "ES": "Europe/Madrid",
    "FM": "Pacific/Pohnpei",
    "FO": "Atlantic/Faroe",
    "GL": "America/Nuuk",
    "ID": "Asia/Jakarta",
    "IE": "Europe/Dublin",
    "IN": "Asia/Kolkata",
    "KI": "Pacific/Tarawa",
    "KZ": "Asia/Almaty",
    "LY": "Africa/Tripoli",
    "MA": "Africa/Casablanca",
    "MM": "Asia/Yangon",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "NI": "America/Managua",
    "NP": "Asia/Kathmandu",
    "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "SS": "Africa/Juba",
    "UA": "Europe/Kyiv",
    "US": "America/New_York",
}
"""Countries with several, and those whose name in the library is wrong or out of use."""


@cache
def of_country(country: str) -> str:
    """The IANA name for an ISO 3166 alpha-2 code, "UTC" for whatever else."""
    if country in _NAMED:
        return _NAMED[country]
    example = phonenumbers.example_number(country)
    zones = timezone.time_zones_for_number(example) if example else ()
    return zones[0] if zones and zones[0] != timezone.UNKNOWN_TIMEZONE else UTC


def of_number(number: str, country: str) -> tuple[str, ...]:
    """The time zones that a valid number in E.164 may be in; of its country where nobody knows."""
    parsed = phonenumbers.parse(number)
    zones = timezone.time_zones_for_number(parsed)
    known = tuple(zone for zone in zones if zone != timezone.UNKNOWN_TIMEZONE)
    return known or (of_country(country),)
