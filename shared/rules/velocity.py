"""The guard against traffic pumping: somebody who has got at an account, or at a form of its site,
has messages sent to numbers that earn on them, all to one country.

It knows nothing of contents or numbers: what gives it away is a sudden rise to one country against
the account's own past. So many segments an hour always pass (`floor_count`); beyond them, `factor`
times what the account has sent there in its busiest hour of the 28 days that ended a day ago, lest
what is pumped today be taken for the account's custom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.rules.compose import Draft
from shared.rules.refusals import Code, Refusal, Subject
from shared.rules.spending import SLOT_COUNTS, SpendWindow
from shared.rules.usage_slots import SlotUse, enough_returns_at

PAST_DAYS: Final = 28
YOUNG_DAYS: Final = 1
"""What is younger than that is no past yet."""


@dataclass(frozen=True, slots=True)
class VelocityGuard:
    """How an account is watched."""

    floor_count: int
    factor: int

    def allowed_count(self, busiest_count: int) -> int:
        """Segments an hour to a country, to which the busiest hour had so many."""
        return max(self.floor_count, self.factor * busiest_count)


@dataclass(frozen=True, slots=True)
class CountryPace:
    """Segments to a country: in the last hour, the oldest first, and in the busiest hour of the
    past. `is_lifted`: the operator lets everything pass."""

    uses: Sequence[SlotUse] = ()
    busiest_count: int = 0
    is_lifted: bool = False

    @property
    def recent_count(self) -> int:
        """Segments within the last hour."""
        return sum(use.amount for use in self.uses)

    def eases_at(self, excess_count: int) -> datetime | None:
        """When so many segments count no more."""
        return enough_returns_at(self.uses, excess_count, SLOT_COUNTS[SpendWindow.HOUR])


_NONE: Final = CountryPace()


class GuardInForce:
    """A guard while messages are taken one after the other, the account's wallet locked. `counted`:
    messages that the paces have in them already, and which are still to be judged."""

    def __init__(
        self,
        guard: VelocityGuard,
        paces: Mapping[str, CountryPace],
        counted: Iterable[Draft] = (),
    ) -> None:
        self._guard = guard
        self._paces = paces
        self._recent = Counter({country: pace.recent_count for country, pace in paces.items()})
        for draft in counted:
            self._recent[draft.country] -= draft.segment_count

    def against(self, draft: Draft) -> Refusal | None:
        """Why the message is held back; None: it is not."""
        pace = self._paces.get(draft.country, _NONE)
        allowed_count = self._guard.allowed_count(pace.busiest_count)
        count = self._recent[draft.country] + draft.segment_count
        if pace.is_lifted or count <= allowed_count:
            return None
        detail = (
            f"Messages to {draft.country} would have risen to {count} segments within an hour; the"
            f" guard against traffic pumping lets {allowed_count} pass, for in the {PAST_DAYS} days"
            f" before the account's busiest hour there had {pace.busiest_count}. The operator can"
            " lift it."
        )
        possible_at = pace.eases_at(count - allowed_count)
        return Refusal(Code.VELOCITY_GUARD, detail, Subject.RECIPIENT, possible_at=possible_at)

    def take(self, draft: Draft) -> None:
        """Count a message that passes."""
        self._recent[draft.country] += draft.segment_count
