"""What an operator may set for a carrier that is spoken to over SMPP."""

from __future__ import annotations

import msgspec

from shared.carriers import checks, contract, secret, smpp_receipts
from shared.smpp import encoder
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
)


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

    def __post_init__(self) -> None:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("password: expected exactly one of password and password_file")
        checks.host("host", self.host)
        credential_max = encoder.CREDENTIAL_CHARS_MAX
        checks.filled("system_id", self.system_id)
        checks.printable("system_id", self.system_id, credential_max)
        checks.printable("system_type", self.system_type, credential_max)
        if self.password is not None:
            checks.printable("password", self.password.reveal(), credential_max)
        if self.password_file is not None:
            checks.filled("password_file", self.password_file)
        for name, low, high in _RANGES:
            checks.number(name, getattr(self, name), low, high)
        checks.numbers("temporary_statuses", self.temporary_statuses, 1, 0xFFFFFFFF)
