"""What an operator may set for a carrier that is spoken to over SMPP."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal, NamedTuple

import msgspec

from shared.carriers import checks, secret, smpp_alphabets, smpp_receipts, smpp_statuses, smpp_tlvs
from shared.smpp import codes, encoder
from shared.sms import causes, classes, inbound, receipts, repertoires

_RANGES = (
    ("port", 1, 65_535),
    ("binds", 1, 64),
    ("window", 1, 10_000),
    ("window_min", 1, 10_000),
    ("binds_max", 1, 1_000),
    ("refusals_max", 0, 1_000_000),
    ("response_seconds", 0.1, 3600),
    ("enquire_seconds", 0.1, 3600),
    ("source_ton", 0, 255),
    ("source_npi", 0, 255),
    ("dest_ton", 0, 255),
    ("dest_npi", 0, 255),
    ("bind_ton", 0, 255),
    ("bind_npi", 0, 255),
    ("protocol_id", 0, 255),
    ("data_coding_gsm7", 0, 255),
    ("data_coding_ucs2", 0, 255),
)
_HOST_WITH_PORT = re.compile(
    r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?"
)
_FALLBACK_HOSTS_MAX = 8
_STATE_WORD = re.compile(r"[A-Za-z0-9_-]{1,40}")

Binds = Literal["transceiver", "transmitter", "receiver", "transmitter+receiver"]
InterfaceVersion = Literal["3.4", "3.3"]
Concatenation = Literal["16bit", "8bit", "sar", "payload"]
SubmitWith = Literal["submit_sm", "data_sm"]
Validity = Literal["relative", "absolute", "none"]
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


class ReceiverAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where receivers bind and as whom, in as far as that is not as transmitters do."""

    host: str | None = None
    port: int | None = None
    system_id: str | None = None
    password: secret.Secret | None = None

    def __post_init__(self) -> None:
        if self.host is not None:
            checks.host("receiver.host", self.host)
        checks.number("receiver.port", self.port, 1, 65_535)
        if self.system_id is not None:
            checks.filled("receiver.system_id", self.system_id)
            checks.printable("receiver.system_id", self.system_id, encoder.CREDENTIAL_CHARS_MAX)
        if self.password is not None and self.password.literal is not None:
            literal = self.password.literal
            checks.printable("receiver.password", literal, encoder.CREDENTIAL_CHARS_MAX)


class PerSender(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TON or an NPI for each kind of sender; None leaves it as it would be."""

    number: int | None = None
    short_code: int | None = None
    alphanumeric: int | None = None


class AddressKinds(NamedTuple):
    """TON and NPI of each kind of address (spec 5.2.5, 5.2.6)."""

    number: tuple[int, int] = (1, 1)
    short_code: tuple[int, int] = (3, 0)
    alphanumeric: tuple[int, int] = (5, 0)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """An account at an SMSC. The password is read when the link opens.

    `id_base` is for carriers that write an id in one base in answers and in another in receipts:
    "hex_to_dec" turns a receipt's hexadecimal into the answers' decimal, "hex" and "decimal" say
    that both are such numbers, so that capitals and leading zeros mean nothing; with "same" an id
    must be spelt alike. `receipts_without_esm_class` also takes receipts that only their text tells
    from inbound messages; `receipts_name_recipient` is to be turned off for a carrier that does not
    write the recipient into its receipts. `inbound_alphabet` is what data_coding 0 means in inbound
    messages. The TON and NPI fields override what is derived from the address.

    With `window_min` each bind finds the size of its window itself, between it and `window`.
    `binds_max` is what the carrier allows over all dispatchers, of which each has at most `binds`;
    a pair of a transmitter and a receiver counts as one. After `refusals_max` refusals in a row
    that nobody understands the carrier is halted for a while; 0: never.
    """

    host: str
    port: int
    system_id: str
    password: secret.Secret
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
    concatenation: Concatenation = "16bit"
    statuses: dict[str, smpp_statuses.Word] = {}
    bind: Binds = "transceiver"
    receiver: ReceiverAccount | None = None
    fallback_hosts: tuple[str, ...] = ()
    tls: bool | Tls = False
    interface_version: InterfaceVersion = "3.4"
    bind_ton: int = 0
    bind_npi: int = 0
    address_range: str = ""
    ton: PerSender = PerSender()
    npi: PerSender = PerSender()
    submit_with: SubmitWith = "submit_sm"
    service_type: str = ""
    protocol_id: int = 0
    priority: dict[classes.ClassName, int] = {}
    validity: Validity = "relative"
    alphabet: repertoires.Alphabet = "gsm7"
    data_coding_gsm7: int = 0
    data_coding_ucs2: int = 8
    reference_tlv: bool = True
    tlvs: tuple[smpp_tlvs.OwnTlv, ...] = ()
    receipt_states: dict[str, receipts.ReceiptState] = {}
    receipt_causes: dict[str, causes.Cause] = {}
    window_min: int | None = None
    binds_max: int | None = None
    refusals_max: int = 20

    def __post_init__(self) -> None:
        checks.host("host", self.host)
        credential_max = encoder.CREDENTIAL_CHARS_MAX
        checks.filled("system_id", self.system_id)
        checks.printable("system_id", self.system_id, credential_max)
        checks.printable("system_type", self.system_type, credential_max)
        if self.password.literal is not None:
            checks.printable("password", self.password.literal, credential_max)
        for name, low, high in _RANGES:
            checks.number(name, getattr(self, name), low, high)
        if self.window_min is not None and self.window_min > self.window:
            raise ValueError("window_min: expected at most window")
        checks.printable("address_range", self.address_range, credential_max)
        if self.receiver is not None and self.bind != "transmitter+receiver":
            raise ValueError('receiver: expected bind = "transmitter+receiver" with it')
        if len(self.fallback_hosts) > _FALLBACK_HOSTS_MAX:
            raise ValueError(f"fallback_hosts: expected at most {_FALLBACK_HOSTS_MAX}")
        for each in self.fallback_hosts:
            checks.host("fallback_hosts", each)
            checks.number("fallback_hosts", address(each, self.port)[1], 1, 65_535)
        checks.numbers("temporary_statuses", self.temporary_statuses, 1, smpp_statuses.STATUS_MAX)
        smpp_statuses.Statuses.of(self)
        self._check_writing()
        self._check_receipts()

    def _check_writing(self) -> None:
        checks.printable("service_type", self.service_type, encoder.SERVICE_TYPE_CHARS_MAX)
        for name, table in (("ton", self.ton), ("npi", self.npi)):
            for kind in PerSender.__struct_fields__:
                checks.number(f"{name}.{kind}", getattr(table, kind), 0, 255)
        for word, priority in self.priority.items():
            checks.number(f"priority.{word}", priority, 0, 255)
        if not self.speaks_tlvs and (self.tlvs or self.concatenation in ("sar", "payload")):
            field = "tlvs" if self.tlvs else "concatenation"
            raise ValueError(f"{field}: SMPP 3.3 has no optional parameters")
        if not self.speaks_tlvs and self.submit_with == "data_sm":
            raise ValueError("submit_with: SMPP 3.3 has no data_sm")
        tags = [each.tag for each in self.tlvs]
        if len(set(tags)) < len(tags):
            raise ValueError("tlvs.tag: expected each once")

    def _check_receipts(self) -> None:
        for word in self.receipt_states:
            if not _STATE_WORD.fullmatch(word):
                raise ValueError(
                    "receipt_states: expected words of letters, digits, _ and -, at most 40 long"
                )
        for error in self.receipt_causes:
            checks.filled("receipt_causes", error.strip())
        # Compared without capitals and leading zeros, so kept like that.
        states = {word.upper(): state for word, state in self.receipt_states.items()}
        msgspec.structs.force_setattr(self, "receipt_states", states)
        causes_ = {smpp_receipts.error_key(key): each for key, each in self.receipt_causes.items()}
        msgspec.structs.force_setattr(self, "receipt_causes", causes_)

    @cached_property
    def spelling(self) -> smpp_receipts.Spelling:
        """How receipts are written."""
        return smpp_receipts.Spelling(self.id_base, self.receipt_states, self.receipt_causes)

    @property
    def speaks_tlvs(self) -> bool:
        """Whether submits may have optional parameters."""
        return self.interface_version != "3.3"

    @property
    def codings(self) -> smpp_alphabets.Codings:
        """How text is written."""
        return smpp_alphabets.Codings(
            repertoires.BY_ALPHABET[self.alphabet],
            self.alphabet == "gsm7_packed",
            self.data_coding_gsm7,
            self.data_coding_ucs2,
        )

    @property
    def sender_kinds(self) -> AddressKinds:
        """What is set for a kind of sender, else for all of them, else the specification's."""
        return AddressKinds(
            *(
                (
                    _first(getattr(self.ton, kind), self.source_ton, usual_ton),
                    _first(getattr(self.npi, kind), self.source_npi, usual_npi),
                )
                for kind, (usual_ton, usual_npi) in AddressKinds()._asdict().items()
            )
        )

    @property
    def recipient_kinds(self) -> AddressKinds:
        """The same of recipients, which are one kind."""
        return AddressKinds(
            *(
                (_first(self.dest_ton, None, ton), _first(self.dest_npi, None, npi))
                for ton, npi in AddressKinds()
            )
        )

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


def _first(chosen: int | None, next_best: int | None, usual: int) -> int:
    if chosen is not None:
        return chosen
    return usual if next_best is None else next_best
