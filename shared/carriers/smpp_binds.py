"""Where, as whom and how an SMPP carrier's settings bind."""

from __future__ import annotations

import ssl
from pathlib import Path

from shared.carriers import smpp_settings
from shared.smpp import esme, pdu

_MODES = {
    "transceiver": (pdu.BindMode.TRANSCEIVER,),
    "transmitter": (pdu.BindMode.TRANSMITTER,),
    "receiver": (pdu.BindMode.RECEIVER,),
    "transmitter+receiver": (pdu.BindMode.TRANSMITTER, pdu.BindMode.RECEIVER),
}


def destinations(settings: smpp_settings.Settings) -> tuple[esme.Destination, ...]:
    """One for each bind that is to be opened; of pairs the transmitter comes first. Reads the
    files of TLS, and raises OSError, with the file's name, where it cannot; and secret.NotThere."""
    tls = settings.tls_wanted
    context = None if tls is None else _context(tls)
    server_name = None if tls is None else tls.server_name
    one = []
    for mode in _MODES[settings.bind]:
        (host, port), *others = _addresses(settings, mode)
        request = _request(settings, mode)
        one.append(esme.Destination(host, port, request, context, server_name, tuple(others)))
    return tuple(one) * settings.binds


def _addresses(settings: smpp_settings.Settings, mode: pdu.BindMode) -> list[tuple[str, int]]:
    hosts, port = (settings.host, *settings.fallback_hosts), settings.port
    own = settings.receiver
    if own is not None and mode is pdu.BindMode.RECEIVER:
        hosts = hosts if own.host is None else (own.host,)
        port = own.port or port
    return [smpp_settings.address(each, port) for each in hosts]


def _request(settings: smpp_settings.Settings, mode: pdu.BindMode) -> pdu.BindRequest:
    system_id, password = settings.system_id, settings.password
    own = settings.receiver
    if own is not None and mode is pdu.BindMode.RECEIVER:
        system_id, password = own.system_id or system_id, own.password or password
    return pdu.BindRequest(
        system_id,
        password.reveal(),
        settings.system_type,
        mode,
        smpp_settings.INTERFACE_VERSIONS[settings.interface_version],
        settings.bind_ton,
        settings.bind_npi,
        settings.address_range,
    )


def _context(tls: smpp_settings.Tls) -> ssl.SSLContext:
    """TLS 1.2 or later. `ca_file` replaces the machine's authorities."""
    if tls.ca_file is not None:
        # Named here, for ssl's own error does not say which file is missing.
        Path(tls.ca_file).read_bytes()
    context = ssl.create_default_context(cafile=tls.ca_file)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate_file is not None:
        for name in (tls.certificate_file, tls.key_file):
            if name is not None:
                Path(name).read_bytes()
        context.load_cert_chain(tls.certificate_file, tls.key_file)
    return context
