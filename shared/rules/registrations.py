"""What makes a line known to the carriers of its country: a brand's campaign, or a verification."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final

from shared.rules.line_kinds import LineKind


class RegistrationState(StrEnum):
    """How far it has come; only an approved one lets anything be sent."""

    NONE = "none"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    SUSPENDED = "suspended"


class RegistrationKind(StrEnum):
    """Where a line is registered."""

    TEN_DLC = "10dlc"
    """A brand's campaign, for long codes."""
    TOLL_FREE = "toll_free"


_KINDS: Final = {
    LineKind.LONG_CODE: RegistrationKind.TEN_DLC,
    LineKind.TOLL_FREE: RegistrationKind.TOLL_FREE,
}


@dataclass(frozen=True, slots=True)
class Registration:
    """A line's registration, good from its first to its last day in UTC, where these are known.
    `kind` is what the line needs, also without one; None: lines of its kind need none."""

    state: RegistrationState = RegistrationState.NONE
    kind: RegistrationKind | None = None
    brand: str | None = None
    campaign: str | None = None
    from_: date | None = None
    until: date | None = None

    def holds_at(self, now: datetime) -> bool:
        """Whether the line may be used, at this moment, for what it is registered for (A3)."""
        today = now.astimezone(UTC).date()
        return (
            self.state is RegistrationState.APPROVED
            and (self.from_ is None or self.from_ <= today)
            and (self.until is None or today <= self.until)
        )


def kind_for(kind: LineKind) -> RegistrationKind | None:
    """Where lines of a kind are registered."""
    return _KINDS.get(kind)
