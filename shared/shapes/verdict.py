"""Why a message was allowed, as its producer reads it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.rules import verdict_codes


class MessageVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules of `rules_version` said when the message was accepted: `allowed`, for these
    reasons. `purpose` is what it counts as, null where nothing hangs on it."""

    allowed: bool
    rules_version: int
    purpose: str | None
    reasons: Annotated[list[str], Meta(examples=[["domestic", "registered", "consent"]])]


def shown(code: int | None) -> MessageVerdict | None:
    """The verdict that was stored with a message; None of one from before there were any."""
    if code is None:
        return None
    verdict = verdict_codes.decode(code)
    return MessageVerdict(
        allowed=verdict.allowed,
        rules_version=verdict.version,
        purpose=verdict.purpose,
        reasons=sorted(verdict.reasons),
    )
