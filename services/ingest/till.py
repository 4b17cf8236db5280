"""What an account can pay for: messages are taken one after the other, its wallet locked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from uuid import UUID

from services.ingest import watching
from shared.db import ledger, opt_outs
from shared.rules.compose import Draft, settle
from shared.rules.refusals import Code, Refusal, Subject
from shared.rules.verdicts import Facts

Fate = Draft | Refusal
"""What becomes of a message: it is stored as this, or refused for that."""


class Till:
    """Takes drafts in order, as far as the phone, what is on record, the locked purse and the day's
    limit allow, and whoever watches the spending."""

    def __init__(
        self,
        purses: dict[int, ledger.Purse],
        used: dict[int, int],
        known: Mapping[UUID, Facts] = MappingProxyType({}),
        unwanted: AbstractSet[opt_outs.PhoneOfAccount] = frozenset(),
        watchers: watching.WatchersOf = MappingProxyType({}),
    ) -> None:
        self._watchers = watchers
        self._known = known
        self._unwanted = unwanted
        self._purses = purses
        self._used = used
        self.balance_micro = {each.wallet_id: each.balance_micro for each in purses.values()}
        self.accepted: list[Draft] = []

    def balance(self, account_id: int) -> tuple[int, str]:
        """(micro-units, currency) of what is left."""
        purse = self._purses[account_id]
        return self.balance_micro[purse.wallet_id], purse.currency

    def put_back(self, drafts: Iterable[Draft]) -> None:
        """Count these, which are stored and paid for, as if they were not: whoever decides about
        each of them must then decide for it."""
        for draft in drafts:
            purse = self._purses[draft.account_id]
            self.balance_micro[purse.wallet_id] += draft.price_micro
            self._used[purse.payer_account_id] -= draft.segment_count

    def take(self, draft: Draft) -> Fate:
        """The draft, now stored and paid for when the transaction commits; or why not."""
        account_id = draft.account_id
        purse = self._purses[account_id]
        if (account_id, draft.recipient) in self._unwanted:
            detail = "The phone has opted out of this account's messages."
            return Refusal(Code.OPTED_OUT, detail, Subject.RECIPIENT)
        if draft.case is not None:
            settled = settle(draft, self._known[draft.message_id])
            if isinstance(settled, Refusal):
                return settled
            draft = settled
        if draft.wallet_id != purse.wallet_id:
            return Refusal(Code.CURRENCY_CHANGED, "The account's currency has just changed.")
        used = self._used.get(purse.payer_account_id, 0) + draft.segment_count
        if used > purse.daily_limit:
            detail = f"The account may send {purse.daily_limit} segments in 24 hours."
            return Refusal(Code.DAILY_LIMIT_REACHED, detail)
        watchers = self._watchers.get(purse.wallet_id, ())
        for watcher in watchers:
            if against := watcher.against(draft):
                return against
        balance_micro = self.balance_micro[purse.wallet_id] - draft.price_micro
        if balance_micro < 0:
            return Refusal(Code.INSUFFICIENT_FUNDS, "The balance does not cover this message.")
        self._used[purse.payer_account_id] = used
        self.balance_micro[purse.wallet_id] = balance_micro
        for watcher in watchers:
            watcher.take(draft)
        self.accepted.append(draft)
        return draft
