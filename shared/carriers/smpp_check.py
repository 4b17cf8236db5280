"""What an SMSC says to a bind: asked once, without a message, and told in words.

The bind is the one the settings describe, so it takes one of those that the carrier allows for as
long as it lasts. What the carrier delivers meanwhile it is asked to bring again (0x64).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from shared.carriers import findings
from shared.carriers.findings import CheckFinding
from shared.smpp import codes, encoder, esme, life, pdu, session, terms

_TIMERS: Final = life.Timers(connect_seconds=8.0, bind_seconds=8.0, response_seconds=8.0)
_DRAIN_SECONDS: Final = 1.0
_SNIFF_SECONDS: Final = 5.0
_SNIFF_BYTES: Final = 64
_SHOWN_CHARS: Final = 24
_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")
_ESME_RINVSYSTYP: Final = 0x53

_REFUSALS: Final[dict[int, tuple[str, tuple[str, ...]]]] = {
    codes.ESME_RINVPASWD: ("it refuses the password", ("password",)),
    codes.ESME_RINVSYSID: ("it does not know this system_id", ("system_id",)),
    codes.ESME_RBINDFAIL: (
        "it lets us not in: a wrong system_id, password or system_type, an address it does not"
        " know, or all binds of the account are in use",
        ("system_id", "password", "system_type"),
    ),
    codes.ESME_RALYBND: (
        "the account is bound already as often as it may be: by dispatchers, which is well, or by"
        " somebody else",
        ("binds",),
    ),
    codes.ESME_RINVBNDSTS: ("the account may not bind in this way", ("bind",)),
    codes.ESME_RINVCMDID: ("it knows no bind of this kind", ("bind",)),
    _ESME_RINVSYSTYP: ("it wants another system_type", ("system_type",)),
    codes.ESME_RTHROTTLED: ("it asks for time: too many binds in a row", ()),
    codes.ESME_RSYSERR: ("it is in trouble itself (system error)", ()),
}


async def check(destinations: Iterable[esme.Destination], window: int) -> tuple[CheckFinding, ...]:
    """Bind to each of these, and to what they fall back to, and leave."""
    found: list[CheckFinding] = []
    for destination in dict.fromkeys(destinations):
        for host, port in ((destination.host, destination.port), *destination.fallbacks):
            one = replace(destination, host=host, port=port, fallbacks=())
            found += await _check(one, window)
    return tuple(found)


async def _check(destination: esme.Destination, window: int) -> list[CheckFinding]:
    delivered: list[pdu.Request] = []

    def put_off(peer: session.Session, request: pdu.Request) -> None:
        delivered.append(request)
        peer.answer(request, codes.ESME_RX_T_APPN)

    began = time.monotonic()
    try:
        opened = await esme.open_esme(
            destination, terms.Terms(window, _TIMERS), session.Handlers(put_off)
        )
    except esme.BindRefused as refusal:
        return [_refused(destination, refusal.status), _took(destination, began)]
    except (OSError, TimeoutError) as error:
        return await _not_bound(destination, error)
    seconds = time.monotonic() - began
    await opened.unbind(_DRAIN_SECONDS)
    mode = destination.request.mode.name.lower()
    found = [
        findings.good(
            f"{_place(destination)} takes {destination.request.system_id} as {mode}: connected and"
            f" bound in {seconds * 1000:.0f} ms{', over TLS' if destination.tls else ''}"
        ),
        findings.note("this took one of the account's binds meanwhile, and sent nothing"),
    ]
    if destination.tls is None and not _is_here(destination.host):
        found.append(findings.note("the password crosses the network in clear, without TLS", "tls"))
    if delivered:
        found.append(findings.note(f"{len(delivered)} deliveries were put off; they come again"))
    return found


def _place(destination: esme.Destination) -> str:
    return f"{destination.host}:{destination.port}"


def _is_here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _took(destination: esme.Destination, began: float) -> CheckFinding:
    return findings.note(
        f"{_place(destination)} answered within {(time.monotonic() - began) * 1000:.0f} ms: address"
        " and port are an SMSC's"
    )


def _refused(destination: esme.Destination, status: int) -> CheckFinding:
    said, settings = _REFUSALS.get(status, ("it refuses the bind", ()))
    return findings.bad(f"{_place(destination)}: {said} (0x{status:08X})", *settings)


async def _not_bound(
    destination: esme.Destination, error: OSError | TimeoutError
) -> list[CheckFinding]:
    """Why there was no answer to the bind: what the port speaks instead, if anything."""
    try:
        heard = await _heard(destination)
    except (OSError, TimeoutError):
        # Not even a connection: what that said is all there is.
        return [findings.not_connected(error, destination.host, destination.port, "host")]
    if destination.tls is not None:
        if _is_smpp(heard):
            return [findings.bad(f"{_place(destination)} speaks SMPP in clear, no TLS", "tls")]
        return [findings.not_connected(error, destination.host, destination.port, "host")]
    if heard.startswith(_TLS_RECORDS) or (not heard and await _speaks_tls(destination)):
        return [findings.bad(f"{_place(destination)} speaks TLS: set tls", "tls", "port")]
    if heard.startswith(b"HTTP/"):
        return [
            findings.bad(f"{_place(destination)} speaks HTTP: it is no SMSC's port", "port", "host")
        ]
    if _is_smpp(heard):
        return [findings.bad(f"{_place(destination)} speaks SMPP, and does not answer the bind")]
    if heard:
        word = heard.decode("ascii", "replace").split("\r")[0].split("\n")[0][:_SHOWN_CHARS]
        shown = "".join(char if char.isprintable() else "\N{MIDDLE DOT}" for char in word)
        return [
            findings.bad(
                f"{_place(destination)} speaks something else than SMPP: {shown!r}", "port", "host"
            )
        ]
    if isinstance(error, TimeoutError):
        return [
            findings.bad(
                f"{_place(destination)} takes connections and says nothing: no SMSC's port, or one"
                " that waits for something else",
                "port",
            )
        ]
    return [
        findings.bad(
            f"{_place(destination)} closes the connection without a word: most carriers do so to"
            " addresses that they do not know (tell it the one this machine comes from)",
            "host",
            "port",
        )
    ]


def _is_smpp(heard: bytes) -> bool:
    """Whether it is the beginning of an answer that an SMSC could give to an enquire_link."""
    if len(heard) < codes.HEADER.size:
        return False
    length, command, _, _ = codes.HEADER.unpack_from(heard)
    answers = (codes.COMMAND_ENQUIRE_LINK_RESP, codes.COMMAND_GENERIC_NACK)
    return length >= codes.HEADER.size and command in answers


async def _heard(destination: esme.Destination) -> bytes:
    """The first bytes the port says, in clear, to one who greets it as SMPP does; b"" for silence.
    Raises OSError and TimeoutError when it cannot be reached."""
    async with asyncio.timeout(_SNIFF_SECONDS):
        reader, writer = await asyncio.open_connection(destination.host, destination.port)
    try:
        writer.write(encoder.encode(replace(pdu.EnquireLink(), sequence=1)))
        async with asyncio.timeout(_SNIFF_SECONDS):
            return await reader.read(_SNIFF_BYTES)
    except (OSError, TimeoutError):
        return b""
    finally:
        writer.transport.abort()


async def _speaks_tls(destination: esme.Destination) -> bool:
    """Whether the port answers as TLS does, with whichever certificate: nothing is told to it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_SNIFF_SECONDS):
            _, writer = await asyncio.open_connection(
                destination.host, destination.port, ssl=context
            )
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True
