"""What an account's money must do, written from the requirements and not from our code: a list of
entries, of which everything is a sum."""

from __future__ import annotations

from typing import NamedTuple

OPERATIONS = ("deposit", "pending", "confirm", "fail", "send", "settle", "refund", "switch")
UNIT = 1_000_000
DEPOSIT_MICRO = 3 * UNIT
SWITCH_MICRO = 2 * UNIT
PRICE_MICRO = 2 * UNIT
OTHER = {"EUR": "USD", "USD": "EUR"}


class Entry(NamedTuple):
    """Money that came into a currency's wallet, or left it."""

    currency: str
    amount_micro: int
    is_deposit: bool = False


class WalletModel(NamedTuple):
    """An account: all that ever happened to it. `ordered`, `held` and `unsettled` are in the order
    in which they came to be; the oldest is meant by the next operation."""

    entries: tuple[Entry, ...] = ()
    ordered: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()

    @property
    def active(self) -> str:
        """M41: the currency of the last deposit that was credited."""
        deposited = [entry.currency for entry in self.entries if entry.is_deposit]
        return deposited[-1] if deposited else "EUR"

    def balance_micro(self, currency: str) -> int:
        return sum(entry.amount_micro for entry in self.entries if entry.currency == currency)

    @property
    def balances_micro(self) -> dict[str, int]:
        """M42, M45: each currency by itself."""
        return {currency: self.balance_micro(currency) for currency in OTHER}

    @property
    def pending_micro(self) -> dict[str, int]:
        """M30: in no wallet."""
        return {each: self.held.count(each) * DEPOSIT_MICRO for each in sorted({*self.held})}

    def after(self, operation: str) -> WalletModel | None:
        """What it becomes; None where the operation is to be refused, and changes nothing."""
        match operation:
            case "deposit":
                return self._replace(ordered=(*self.ordered, self.active))
            case "pending" if self.ordered:
                first, *rest = self.ordered
                return self._replace(ordered=tuple(rest), held=(*self.held, first))
            case "confirm" if self.held:
                first, *rest = self.held
                return self._with(Entry(first, DEPOSIT_MICRO, True))._replace(held=tuple(rest))
            case "fail" if self.held:
                return self._replace(held=self.held[1:])
            case "send" if self.balance_micro(self.active) >= PRICE_MICRO:
                sent = self._with(Entry(self.active, -PRICE_MICRO))
                return sent._replace(unsettled=(*self.unsettled, self.active))
            case "settle" if self.unsettled:
                return self._replace(unsettled=self.unsettled[1:])
            case "refund" if self.unsettled:
                first, *rest = self.unsettled
                return self._with(Entry(first, PRICE_MICRO))._replace(unsettled=tuple(rest))
            case "switch":
                return self._with(Entry(OTHER[self.active], SWITCH_MICRO, True))
        return None

    def _with(self, entry: Entry) -> WalletModel:
        return self._replace(entries=(*self.entries, entry))
