"""What can be set about the simulated carrier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from shared.runtime import settings, variables

PREFIX = variables.PREFIX + "SIMULATOR_"

_SHARES = ("throttled", "refused", "unanswered", "cut")
_ENDS = ("delivered", "undelivered", "expired", "rejected")


class InvalidOptions(settings.SettingsError):
    """Options no carrier could have; the sentence names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Shares are of 1: the first four of all submits, the second four of all receipts, and what
    those leave over gets none. Magic recipients (`moods`) win over shares."""

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
        Meta(description="Submits accepted whose link is cut instead of an answer.", ge=0, le=1),
    ] = 0.0

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

    decimal_receipts: Annotated[
        bool,
        Meta(description="Write the id in receipts in decimal, while answers keep it hexadecimal."),
    ] = False
    callback_url: Annotated[
        str, Meta(description="Where receipts of the HTTP face are posted; empty: none are sent.")
    ] = ""
    callback_secret: Annotated[
        str,
        Meta(
            description="Key of the callback's X-Signature, HMAC-SHA256 of the body in hexadecimal."
        ),
    ] = field(default="", repr=False)
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
        for name, takes in variables.out_of_range(self):
            raise InvalidOptions(f"{name}: expected {takes}")
        for low, high in (("answer_min_ms", "answer_max_ms"), ("receipt_min_ms", "receipt_max_ms")):
            if getattr(self, low) > getattr(self, high):
                raise InvalidOptions(f"{low} and {high}: expected the first not above the second")
        for words in (_SHARES, _ENDS):
            if sum(getattr(self, f"{word}_share") for word in words) > 1.000_001:
                raise InvalidOptions(f"shares {', '.join(words)}: expected at most 1 together")
