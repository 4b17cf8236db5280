"""What asking a carrier about itself brings to light, in words for its operator."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

CHECK_SECONDS = 60.0
"""A check is over within this, whatever the carrier does."""


class FindingWeight(StrEnum):
    """Whether a finding is as it should be, worth knowing, or must be mended."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


class CheckFinding(msgspec.Struct, frozen=True):
    """One thing that was found. `settings` are those that look wrong; neither they nor `said` show
    a credential."""

    weight: FindingWeight
    said: str
    settings: tuple[str, ...] = ()


def good(said: str) -> CheckFinding:
    return CheckFinding(FindingWeight.GOOD, said)


def note(said: str, *settings: str) -> CheckFinding:
    return CheckFinding(FindingWeight.NOTE, said, settings)


def bad(said: str, *settings: str) -> CheckFinding:
    return CheckFinding(FindingWeight.BAD, said, settings)


def not_connected(error: OSError | TimeoutError, host: str, port: int, where: str) -> CheckFinding:
    """Why no connection came about to what the setting `where` names."""
    place = f"{host}:{port}"
    if isinstance(error, socket.gaierror):
        return bad(f"no such host: {host} has no address (or this machine's DNS fails)", where)
    if isinstance(error, ConnectionRefusedError):
        return bad(f"nobody listens on {place}", where, "port")
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_believed(error, host)
    if isinstance(error, ssl.SSLError):
        return bad(f"{place} speaks no TLS, or none that we may use ({error.reason})", where, "tls")
    if isinstance(error, TimeoutError):
        return bad(
            f"{place} does not answer: a firewall, a wrong address, or a carrier that lets in only"
            " addresses it knows (tell it the one this machine comes from)",
            where,
            "port",
        )
    if isinstance(error, ConnectionError | asyncio.IncompleteReadError):
        return bad(f"{place} closes the connection at once", where, "port")
    return bad(f"{place} cannot be reached ({error.strerror or type(error).__name__})", where)


_TIMES = ("expired", "not yet valid")


def _not_believed(error: ssl.SSLCertVerificationError, host: str) -> CheckFinding:
    said = f"the certificate of {host} is not believed: {error.verify_message}"
    if any(word in error.verify_message for word in _TIMES):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        said += f" (if that is wrong, it is this machine's clock, which says {now})"
    return bad(said, "tls")
