"""How much an account may spend in an hour, a day and a month, in all or on one country: its own
caps, which it sets itself, and the operator's, which it cannot raise. The narrowest one holds.

What was debited counts, refunded or not, in rolling windows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shared.ledger import money
from shared.rules.compose import Draft
from shared.rules.refusals import Code, Refusal, Subject
from shared.rules.usage_slots import SlotUse, enough_returns_at

EVERYWHERE: Final = "*"
"""In place of a country: whatever it is spent on."""


class SpendWindow(StrEnum):
    """For how long what was spent counts."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


SLOT_COUNTS: Final = {SpendWindow.HOUR: 4, SpendWindow.DAY: 96, SpendWindow.MONTH: 31 * 96}
"""Quarters of an hour; a month has 31 days."""


class CapOwner(StrEnum):
    """Who has set a cap, and alone may lift it."""

    ACCOUNT = "account"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class SpendingCap:
    """Micro-units of the wallet's currency that may be spent in a window, on a country or
    EVERYWHERE, and what was spent when, the oldest first."""

    country: str
    owner: CapOwner
    window: SpendWindow
    limit_micro: int
    uses: Sequence[SlotUse] = ()

    @property
    def used_micro(self) -> int:
        """What counts in this window."""
        return sum(use.amount for use in self.uses)

    def returns_at(self, needed_micro: int) -> datetime | None:
        """When so much of it counts no more; None: that will never be enough."""
        return enough_returns_at(self.uses, needed_micro, SLOT_COUNTS[self.window])


class CapsInForce:
    """An account's caps while messages are taken one after the other, its wallet locked. `counted`:
    messages that the caps' uses have in them already, and which are still to be judged."""

    def __init__(
        self, caps: Sequence[SpendingCap], currency: str, counted: Iterable[Draft] = ()
    ) -> None:
        self._caps = [(cap, cap.used_micro) for cap in caps]
        self._currency = currency
        self._taken_micro: Counter[str] = Counter()
        for draft in counted:
            self._count(draft, -draft.price_micro)

    def against(self, draft: Draft) -> Refusal | None:
        """Why the message may not be paid for; None: no cap is against it."""
        for cap, used_micro in self._caps:
            if cap.country in (EVERYWHERE, draft.country):
                spent_micro = used_micro + self._taken_micro[cap.country] + draft.price_micro
                if spent_micro > cap.limit_micro:
                    return self._refusal(cap, draft, spent_micro - cap.limit_micro)
        return None

    def take(self, draft: Draft) -> None:
        """Count a message that will be paid for."""
        self._count(draft, draft.price_micro)

    def _count(self, draft: Draft, amount_micro: int) -> None:
        self._taken_micro[EVERYWHERE] += amount_micro
        self._taken_micro[draft.country] += amount_micro

    def _refusal(self, cap: SpendingCap, draft: Draft, excess_micro: int) -> Refusal:
        where = "" if cap.country == EVERYWHERE else f" on messages to {cap.country}"
        whose = "the account's own" if cap.owner is CapOwner.ACCOUNT else "the operator's"
        limit = money.format_amount(cap.limit_micro)
        detail = (
            f"No more than {limit} {self._currency} may be spent within one {cap.window}{where}:"
            f" this cap is {whose}."
        )
        subject = None if cap.country == EVERYWHERE else Subject.RECIPIENT
        possible_at = None
        if draft.price_micro <= cap.limit_micro:
            possible_at = cap.returns_at(excess_micro)
        return Refusal(Code.SPEND_CAP_REACHED, detail, subject, possible_at=possible_at)
