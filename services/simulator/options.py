"""What can be set about the simulated carrier."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from msgspec import Meta

from services.simulator import personalities
from shared.runtime import settings, variables

PREFIX = variables.PREFIX + "SIMULATOR_"

ReceiptIds = Literal["same", "hex", "decimal", "padded", "upper"]
_SHARES = ("throttled", "refused", "unanswered", "cut", "receipt_first")
_ORDERED = (
    ("answer_min_ms", "answer_max_ms"),
    ("receipt_min_ms", "receipt_max_ms"),
    ("limit_low_per_second", "limit_high_per_second"),
)
_ENDS = ("delivered", "undelivered", "expired", "rejected")


class InvalidOptions(settings.SettingsError):
    """Options no carrier could have; the sentence names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Shares are of 1: those of answers, five together at most 1, of all submits; those of what
    receipts say, four, of all receipts, and what they leave over gets none; each other by itself.
    Magic recipients (`moods`) win over shares, and what is set over what `profile` would set."""

    profile: Annotated[
        str,
        Meta(
            description="Habits of carriers to take on, with commas between, of "
            f"{', '.join(personalities.PERSONALITIES)} (docs/simulator.md).",
            examples=["slow,odd_receipts"],
        ),
    ] = ""
    host: Annotated[str, Meta(description="The address to listen on.")] = "127.0.0.1"
    smpp_port: Annotated[
        int, Meta(description="Where it speaks SMPP; 0: any free port.", ge=0, le=65_535)
    ] = 0
    http_port: Annotated[
        int, Meta(description="Where it speaks HTTP; 0: any free port.", ge=0, le=65_535)
    ] = 0
    system_id: Annotated[
        str, Meta(description="Who may bind; empty: any that knows the password.", max_length=15)
    ] = "sluice"
    password: Annotated[
        str, Meta(description="What a bind, or a bearer over HTTP, must know.", max_length=64)
    ] = field(default="secret", repr=False)
    token: Annotated[
        str,
        Meta(description="What /journal and /counters must be asked with; empty: nobody may ask."),
    ] = field(default="", repr=False)
    window: Annotated[
        int,
        Meta(
            description="Submits without an answer that a bind may have.",
            ge=1,
            extra={"unit": "submits"},
        ),
    ] = 1000
    journal_path: Annotated[
        str, Meta(description="The file that each accepted submit is written to; empty: none.")
    ] = ""

    answer_min_ms: Annotated[int, Meta(description="An answer takes at least so long.", ge=0)] = 0
    answer_max_ms: Annotated[int, Meta(description="And at most so long.", ge=0)] = 0
    receipt_min_ms: Annotated[
        int, Meta(description="A receipt comes at least so long after the answer.", ge=0)
    ] = 0
    receipt_max_ms: Annotated[int, Meta(description="And at most so long.", ge=0)] = 0
    receipt_retry_ms: Annotated[
        int, Meta(description="A receipt that was not taken comes again after so long.", ge=1)
    ] = 1000

    throttled_share: Annotated[
        float, Meta(description="Submits answered with throttling.", ge=0, le=1)
    ] = 0.0
    refused_share: Annotated[float, Meta(description="Submits refused for good.", ge=0, le=1)] = 0.0
    unanswered_share: Annotated[
        float, Meta(description="Submits accepted without an answer.", ge=0, le=1)
    ] = 0.0
    cut_share: Annotated[
        float,
        Meta(
            description="Submits accepted whose link is cut within the answer, at any octet.",
            ge=0,
            le=1,
        ),
    ] = 0.0
    receipt_first_share: Annotated[
        float,
        Meta(description="Submits answered only when their receipt was taken.", ge=0, le=1),
    ] = 0.0
    wrong_sequence_share: Annotated[
        float,
        Meta(
            description="Answers over SMPP under a wrong number, repeated, or beside a nack.",
            ge=0,
            le=1,
        ),
    ] = 0.0
    poisoned_share: Annotated[
        float,
        Meta(description="Phones that never have room: 0x14 over SMPP, 409 over HTTP.", ge=0, le=1),
    ] = 0.0
    limit_low_per_second: Annotated[
        float,
        Meta(
            description="What is above a hidden limit is throttled. It is never below this.",
            ge=0,
            extra={"unit": "submits a second"},
        ),
    ] = 0.0
    limit_high_per_second: Annotated[
        float,
        Meta(
            description="Nor above this; 0: there is none.",
            ge=0,
            extra={"unit": "submits a second"},
        ),
    ] = 0.0
    limit_period_seconds: Annotated[
        float, Meta(description="From one high tide of the hidden limit to the next.", gt=0)
    ] = 60.0
    bind_refused_share: Annotated[
        float, Meta(description="Binds refused though all is well with them.", ge=0, le=1)
    ] = 0.0
    bind_refused_seconds: Annotated[
        float, Meta(description="So long from the start no password is right.", ge=0)
    ] = 0.0
    outage_every_seconds: Annotated[
        float, Meta(description="How long it is up before it is down; 0: it never is.", ge=0)
    ] = 0.0
    outage_seconds: Annotated[float, Meta(description="How long it is then down.", ge=0)] = 3.0

    delivered_share: Annotated[
        float, Meta(description="Receipts that say delivered.", ge=0, le=1)
    ] = 1.0
    undelivered_share: Annotated[
        float, Meta(description="Receipts that say undelivered.", ge=0, le=1)
    ] = 0.0
    expired_share: Annotated[float, Meta(description="Receipts that say expired.", ge=0, le=1)] = (
        0.0
    )
    rejected_share: Annotated[
        float, Meta(description="Receipts that say rejected.", ge=0, le=1)
    ] = 0.0

    receipt_ids: Annotated[
        ReceiptIds,
        Meta(
            description="How receipts write ids: as answers, which are hexadecimal, or in decimal, "
            "with leading zeros, in capitals; or in hexadecimal while answers are in decimal."
        ),
    ] = "same"
    id_count: Annotated[
        int,
        Meta(
            description="Ids there are before the first comes again; 0: none ever does.",
            ge=0,
            extra={"unit": "ids"},
        ),
    ] = 0
    duplicate_share: Annotated[
        float, Meta(description="Receipts that come once or twice more.", ge=0, le=1)
    ] = 0.0
    contradicting_share: Annotated[
        float,
        Meta(description="Receipts beside which another says the contrary.", ge=0, le=1),
    ] = 0.0
    fake_share: Annotated[
        float,
        Meta(
            description="Receipts beside which one comes for an id of nobody, or of another phone.",
            ge=0,
            le=1,
        ),
    ] = 0.0
    odd_share: Annotated[
        float,
        Meta(
            description="Receipts over SMPP in another form than the specification's.", ge=0, le=1
        ),
    ] = 0.0
    inbound_share: Annotated[
        float,
        Meta(
            description="Submits that phones answer, some with a text like a receipt's.",
            ge=0,
            le=1,
        ),
    ] = 0.0
    callback_url: Annotated[
        str, Meta(description="Where receipts of the HTTP face are posted; empty: none are sent.")
    ] = ""
    inbound_url: Annotated[
        str,
        Meta(description="Where what phones send is posted by the HTTP face; empty: nowhere."),
    ] = ""
    callback_secret: Annotated[
        str,
        Meta(description="Key of both's X-Signature, HMAC-SHA256 of the body in hexadecimal."),
    ] = field(default="", repr=False)
    vendor_key: Annotated[
        str,
        Meta(
            description="What requests to the faces of vendors must know, and what their calls are"
            " signed with."
        ),
    ] = field(default="vendor_key_of_practice", repr=False)
    vendor_inbound_url: Annotated[
        str,
        Meta(
            description="Where the faces of vendors post what phones send; `{vendor}` is the face's"
            " name. Empty: nowhere."
        ),
    ] = ""
    payments_key: Annotated[
        str, Meta(description="What calls of its card payments must be asked with.")
    ] = field(default="sk_test_practice", repr=False)
    payments_event_url: Annotated[
        str, Meta(description="Where events of card payments are posted; empty: none are sent.")
    ] = ""
    payments_event_secret: Annotated[
        str, Meta(description="What those events are signed with.")
    ] = field(default="whsec_practice", repr=False)
    seed: Annotated[
        int | None,
        Meta(
            description="Makes chance repeat itself from run to run.",
            extra={"unit": "seed"},
        ),
    ] = None

    def __post_init__(self) -> None:
        self._take_on_profile()
        for name, takes in variables.out_of_range(self):
            raise InvalidOptions(f"{name}: expected {takes}")
        for low, high in _ORDERED:
            if getattr(self, low) > getattr(self, high):
                raise InvalidOptions(f"{low} and {high}: expected the first not above the second")
        for words in (_SHARES, _ENDS):
            if sum(getattr(self, f"{word}_share") for word in words) > 1.000_001:
                raise InvalidOptions(f"shares {', '.join(words)}: expected at most 1 together")

    def _take_on_profile(self) -> None:
        names = [name.strip() for name in self.profile.split(",") if name.strip()]
        try:
            values = personalities.options_of(names)
        except personalities.UnknownPersonality as error:
            raise InvalidOptions(f"profile: {error}") from None
        defaults = {each.name: each.default for each in fields(self)}
        for name, value in values.items():
            if getattr(self, name) == defaults[name]:
                object.__setattr__(self, name, value)
