"""What an account's money is: one wallet a currency, of which one is active (M41 to M46)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.ledger.money import CURRENCIES, MICRO_PER_UNIT

DEPOSIT_MIN_MICRO = MICRO_PER_UNIT
"""The smallest deposit is one unit of its currency (M26)."""
DEPOSIT_MAX_MICRO = 999_999 * MICRO_PER_UNIT
DEPOSIT_STEP_MICRO = MICRO_PER_UNIT // 100
"""Cards are charged whole cents."""


class WalletTooEmpty(Exception):
    """The active wallet does not hold so much; what lies in others does not count (M46)."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """Balances in micro-units by currency; a currency that is missing holds nothing. What is
    pending is in no wallet."""

    active: str
    balances_micro: Mapping[str, int]

    @property
    def spendable_micro(self) -> int:
        """What messages can be paid with."""
        return self.balances_micro.get(self.active, 0)

    @property
    def dormant_micro(self) -> Mapping[str, int]:
        """What lies in other currencies, out of reach until a deposit wakes it (M43)."""
        return {
            currency: amount_micro
            for currency, amount_micro in sorted(self.balances_micro.items())
            if currency != self.active and amount_micro
        }

    def with_deposit(self, currency: str, amount_micro: int) -> Holdings:
        """After a deposit was credited: its currency is the active one (M41), what was there before
        in that currency is added up (M45), what lies in the old one stays as it is (M42). Raises
        ValueError for what no deposit may be."""
        if currency not in CURRENCIES or amount_micro < DEPOSIT_MIN_MICRO:
            raise ValueError("no deposit")
        return replace(self._moved(currency, amount_micro), active=currency)

    def with_debit(self, amount_micro: int) -> Holdings:
        """After a segment was paid. Raises WalletTooEmpty."""
        if amount_micro > self.spendable_micro:
            raise WalletTooEmpty
        return self._moved(self.active, -amount_micro)

    def with_refund(self, currency: str, amount_micro: int) -> Holdings:
        """After a debit was given back: to the wallet that paid, whichever is active now."""
        return self._moved(currency, amount_micro)

    def _moved(self, currency: str, amount_micro: int) -> Holdings:
        balance_micro = self.balances_micro.get(currency, 0) + amount_micro
        return replace(self, balances_micro={**self.balances_micro, currency: balance_micro})
