"""What an operator may set for a carrier that is spoken to over SMPP."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from shared.carriers import checks, contract, secret, smpp_receipts, smpp_statuses
from shared.smpp import codes, encoder
from shared.sms import inbound

_RANGES = (
    ("port", 1, 65_535),
    ("binds", 1, 64),
    ("window", 1, 10_000),
    ("response_seconds", 0.1, 3600),
    ("enquire_seconds", 0.1, 3600),
    ("source_ton", 0, 255),
    ("source_npi", 0, 255),
    ("dest_ton", 0, 255),
    ("dest_npi", 0, 255),
    ("bind_ton", 0, 255),
    ("bind_npi", 0, 255),
)
_HOST_WITH_PORT = re.compile(
    r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?"
)
_FALLBACK_HOSTS_MAX = 8

Binds = Literal["transceiver", "transmitter", "receiver", "transmitter+receiver"]
InterfaceVersion = Literal["3.4", "3.3"]
INTERFACE_VERSIONS: dict[InterfaceVersion, int] = {"3.4": codes.INTERFACE_VERSION, "3.3": 0x33}


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a connection is encrypted, and by what the carrier is known.

    Its certificate must be of an authority of `ca_file`, or of the machine where there is none, and
    of `server_name`, or of `host`; `verify = false` gives that up, so that anybody on the way may
    read the password. `certificate_file` and `key_file` are ours, for carriers that ask for one.
    """

    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        for name in ("ca_file", "server_name", "certificate_file", "key_file"):
            if getattr(self, name) == "":
                raise ValueError(f"tls.{name}: expected a value")
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("tls.key_file: expected certificate_file beside it")
        if not self.verify and (self.ca_file is not None or self.server_name is not None):
            raise ValueError("tls.verify: ca_file and server_name mean nothing without it")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An account at an SMSC, with exactly one of `password` and `password_file`, which is read when
    the link opens.

    `id_base` is for carriers that write an id in one base in answers and in another in receipts:
    "hex_to_dec" turns a receipt's hexadecimal into the answers' decimal, "hex" and "decimal" say
    that both are such numbers, so that capitals and leading zeros mean nothing; with "same" an id
    must be spelt alike. `receipts_without_esm_class` also takes receipts that only their text tells
    from inbound messages; `receipts_name_recipient` is to be turned off for a carrier that does not
    write the recipient into its receipts. `inbound_alphabet` is what data_coding 0 means in inbound
    messages. The TON and NPI fields override what is derived from the address.
    """

    host: str
    port: int
    system_id: str
    password: secret.Secret | None = None
    password_file: str | None = None
    binds: int = 1
    window: int = 10
    system_type: str = ""
    source_ton: int | None = None
    source_npi: int | None = None
    dest_ton: int | None = None
    dest_npi: int | None = None
    response_seconds: float = 60.0
    enquire_seconds: float = 30.0
    id_base: smpp_receipts.IdBase = "same"
    receipts_without_esm_class: bool = False
    receipts_name_recipient: bool = True
    inbound_alphabet: inbound.DefaultAlphabet = "gsm7"
    temporary_statuses: tuple[int, ...] = ()
    concatenation: contract.Concatenation = "16bit"
    statuses: dict[str, smpp_statuses.Word] = {}
    bind: Binds = "transceiver"
    fallback_hosts: tuple[str, ...] = ()
    tls: bool | Tls = False
    interface_version: InterfaceVersion = "3.4"
    bind_ton: int = 0
    bind_npi: int = 0
    address_range: str = ""

    def __post_init__(self) -> None:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("password: expected exactly one of password and password_file")
        checks.host("host", self.host)
        credential_max = encoder.CREDENTIAL_CHARS_MAX
        checks.filled("system_id", self.system_id)
        checks.printable("system_id", self.system_id, credential_max)
        checks.printable("system_type", self.system_type, credential_max)
        if self.password is not None and self.password.literal is not None:
            checks.printable("password", self.password.literal, credential_max)
        if self.password_file is not None:
            checks.filled("password_file", self.password_file)
        for name, low, high in _RANGES:
            checks.number(name, getattr(self, name), low, high)
        checks.printable("address_range", self.address_range, credential_max)
        if len(self.fallback_hosts) > _FALLBACK_HOSTS_MAX:
            raise ValueError(f"fallback_hosts: expected at most {_FALLBACK_HOSTS_MAX}")
        for each in self.fallback_hosts:
            checks.host("fallback_hosts", each)
            checks.number("fallback_hosts", address(each, self.port)[1], 1, 65_535)
        checks.numbers("temporary_statuses", self.temporary_statuses, 1, smpp_statuses.STATUS_MAX)
        smpp_statuses.Statuses.of(self)

    @property
    def tls_wanted(self) -> Tls | None:
        """How to encrypt; None where nothing is encrypted."""
        if isinstance(self.tls, Tls):
            return self.tls
        return Tls() if self.tls else None


def address(written: str, port: int) -> tuple[str, int]:
    """A host and a port of `host`, `host:port` or `[IPv6]:port`; `port` where it names none."""
    found = _HOST_WITH_PORT.fullmatch(written)
    if found is None:
        return written, port
    return found["v6"] or found["name"], int(found["port"] or port)
