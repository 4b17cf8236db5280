"""What can be set about the simulated carrier."""

from __future__ import annotations

from dataclasses import dataclass, field

_SHARES = ("throttled", "refused", "unanswered", "cut")
_ENDS = ("delivered", "undelivered", "expired", "rejected")


class InvalidOptions(ValueError):
    """Options no carrier could have; the sentence names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Port 0 means any free port; an empty system_id lets in any that knows the password.

    Shares are of 1: the first four of all submits, the second four of all receipts, and what those
    leave over gets none. Magic recipients (`moods`) win over shares.
    """

    host: str = "127.0.0.1"
    smpp_port: int = 0
    http_port: int = 0
    system_id: str = "sluice"
    password: str = field(default="secret", repr=False)
    window: int = 1000
    journal_path: str = ""

    answer_min_ms: int = 0
    answer_max_ms: int = 0
    receipt_min_ms: int = 0
    receipt_max_ms: int = 0
    receipt_retry_ms: int = 1000

    throttled_share: float = 0.0
    refused_share: float = 0.0
    unanswered_share: float = 0.0
    cut_share: float = 0.0

    delivered_share: float = 1.0
    undelivered_share: float = 0.0
    expired_share: float = 0.0
    rejected_share: float = 0.0

    decimal_receipts: bool = False
    """Write the id in receipts in decimal, while answers keep it in hexadecimal."""

    callback_url: str = ""
    """Where receipts of the HTTP face are posted; none are sent without it."""

    callback_secret: str = field(default="", repr=False)
    """Key of the callback's `X-Signature`, HMAC-SHA256 of the body in hexadecimal."""

    seed: int | None = None

    def __post_init__(self) -> None:
        for low, high in (("answer_min_ms", "answer_max_ms"), ("receipt_min_ms", "receipt_max_ms")):
            if not 0 <= getattr(self, low) <= getattr(self, high):
                raise InvalidOptions(f"{low} and {high}: expected 0 or more, the first not above")
        for words in (_SHARES, _ENDS):
            shares = [getattr(self, f"{word}_share") for word in words]
            if min(shares) < 0 or sum(shares) > 1.000_001:
                raise InvalidOptions(f"shares {', '.join(words)}: expected at most 1 together")
        if self.window < 1 or self.receipt_retry_ms < 1:
            raise InvalidOptions("window and receipt_retry_ms: expected at least 1")
