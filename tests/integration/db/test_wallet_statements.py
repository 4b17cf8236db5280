"""The statements that move money against the model of wallets: all short sequences of what can
happen to an account, and some long ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from shared.db import (
    apply,
    audit,
    audit_checks,
    deposits,
    ledger,
    messages,
    segments,
    settlements,
)
from shared.ledger.deposits import HoldDecision, Payment, PaymentCard, PaymentState
from shared.runtime import ids
from shared.sms.states import SegmentState
from tests import claims
from tests.drafts import draft
from tests.integration.invoices import seller
from tests.wallet_model import (
    DEPOSIT_MICRO,
    OPERATIONS,
    OTHER,
    PRICE_MICRO,
    SWITCH_MICRO,
    WalletModel,
)

ALL_LENGTH = 3
LONG_COUNT, LONG_LENGTH = 60, 8
SEED = 9
ACCOUNT = 1
WORKER = ids.uuid7()
CARD = PaymentCard("f" * 64, "visa", "4242")


@dataclass
class _Books:
    """An account in PostgreSQL, and what is open of it, the oldest first."""

    connection: asyncpg.Connection
    ordered: list[UUID] = field(default_factory=list)
    held: list[UUID] = field(default_factory=list)
    unsettled: list[UUID] = field(default_factory=list)

    async def do(self, operation: str) -> bool:
        """Whether it was allowed; if not, nothing has changed."""
        async with self.connection.transaction():
            match operation:
                case "deposit":
                    held = await ledger.holdings(self.connection, ACCOUNT)
                    self.ordered.append(await self._order(held.active, DEPOSIT_MICRO))
                case "pending" if self.ordered:
                    self.held.append(await self._hold(self.ordered.pop(0)))
                case "confirm" if self.held:
                    await self._credit(self.held.pop(0), DEPOSIT_MICRO)
                case "fail" if self.held:
                    await settlements.fail(
                        self.connection, await self._deposit(self.held.pop(0)), "canceled"
                    )
                case "send":
                    return await self._send()
                case "settle" | "refund" if self.unsettled:
                    await self._settle(self.unsettled.pop(0), accepted=operation == "settle")
                case "switch":
                    held = await ledger.holdings(self.connection, ACCOUNT)
                    deposit = await self._order(OTHER[held.active], SWITCH_MICRO)
                    await self._credit(deposit, SWITCH_MICRO)
                case _:
                    return False
        return True

    async def _order(self, currency: str, amount_micro: int) -> UUID:
        opened, deposit_id = self.connection, ids.uuid7()
        await deposits.begin(opened, deposit_id, ACCOUNT, currency, amount_micro)
        assert await deposits.confirm_details(opened, ACCOUNT, deposit_id)
        assert await deposits.choose_method(opened, ACCOUNT, deposit_id, "card")
        accepted = deposits.TermsAccepted("1", "token 1")
        assert await deposits.order(opened, ACCOUNT, deposit_id, accepted, "practice")
        return deposit_id

    async def _deposit(self, deposit_id: UUID) -> deposits.StoredDeposit:
        found = await deposits.get(self.connection, ACCOUNT, deposit_id)
        assert found is not None
        return found

    async def _hold(self, deposit_id: UUID) -> UUID:
        deposit = await self._deposit(deposit_id)
        payment = self._said(deposit, PaymentState.HELD, DEPOSIT_MICRO)
        await settlements.hold(self.connection, deposit, payment, timedelta(hours=48))
        await settlements.decide(self.connection, deposit, payment, HoldDecision.CAPTURE)
        return deposit_id

    async def _credit(self, deposit_id: UUID, amount_micro: int) -> None:
        deposit = await self._deposit(deposit_id)
        payment = self._said(deposit, PaymentState.CHARGED, amount_micro)
        assert await settlements.credit(self.connection, deposit_id, payment)
        assert not await settlements.credit(self.connection, deposit_id, payment)

    def _said(
        self, deposit: deposits.StoredDeposit, state: PaymentState, amount_micro: int
    ) -> Payment:
        return Payment(state, f"pi_{deposit.deposit_id}", amount_micro, deposit.currency, CARD)

    async def _send(self) -> bool:
        purse = (await ledger.lock_purses(self.connection, [ACCOUNT]))[ACCOUNT]
        wanted = draft(
            purse.wallet_id, purse.revenue_wallet_id, PRICE_MICRO, currency=purse.currency
        )
        try:
            async with self.connection.transaction():
                await messages.insert(self.connection, [wanted])
        except asyncpg.CheckViolationError:
            return False
        await claims.claim(self.connection, [wanted.message_id], WORKER)
        self.unsettled.append(wanted.message_id)
        return True

    async def _settle(self, message_id: UUID, *, accepted: bool) -> None:
        state = SegmentState.SUBMITTED if accepted else SegmentState.REJECTED
        await segments.settle(
            self.connection, [segments.Evidence(message_id, 1, state, accepted=accepted)]
        )

    async def compare(self, model: WalletModel) -> None:
        """Wallets, pending and the active currency are what the model says."""
        held = await ledger.holdings(self.connection, ACCOUNT)
        assert held.active == model.active
        assert {each: held.balances_micro.get(each, 0) for each in OTHER} == model.balances_micro
        assert await deposits.pending(self.connection, ACCOUNT) == model.pending_micro
        amount_micro, currency = await ledger.balance(self.connection, ACCOUNT)
        assert (amount_micro, currency) == (held.spendable_micro, held.active)

    def copied(self) -> _Books:
        return _Books(self.connection, [*self.ordered], [*self.held], [*self.unsettled])


@pytest.fixture
async def account(owner: asyncpg.Connection) -> _Books:
    await seller.open_shop(owner)
    for row in (
        apply.Account("demo", "EUR", 1_000_000, 60),
        apply.Carrier("practice", "smpp", 0, {}),
        apply.Line("demo", "Sluice", "alphanumeric", "FR", True, 100, 1000, 10_000),
    ):
        await apply.put(owner, row, None)
    # As services have their statements planned.
    await owner.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
    return _Books(owner)


async def _walk(books: _Books, model: WalletModel, length: int) -> int:
    """Every sequence of operations that goes on from here; how many that were."""
    count = 0
    for operation in OPERATIONS:
        begun = books.connection.transaction()
        await begun.start()
        next_books, wanted = books.copied(), model.after(operation)
        assert await next_books.do(operation) == (wanted is not None), (operation, model)
        count += 1
        if wanted is not None:
            await next_books.compare(wanted)
        if length > 1 and wanted is not None:
            count += await _walk(next_books, wanted, length - 1)
        elif length > 1:
            # What was refused has changed nothing: what follows it was looked at without it.
            count += sum(len(OPERATIONS) ** n for n in range(1, length))
        await begun.rollback()
    return count


async def test_m41_m42_m43_m45_m46_all_short_sequences_do_in_postgresql_what_the_model_says(
    account: _Books,
) -> None:
    count = await _walk(account, WalletModel(), ALL_LENGTH)
    print(f"\nall {count} sequences up to length {ALL_LENGTH}")
    assert count == sum(len(OPERATIONS) ** n for n in range(1, ALL_LENGTH + 1))


def _long(chance: random.Random) -> Sequence[str]:
    """A sequence in which most can happen: what is refused teaches little."""
    model, chosen = WalletModel(), []
    for _ in range(LONG_LENGTH):
        possible = [each for each in OPERATIONS if model.after(each) is not None]
        operation = chance.choice(possible if chance.random() < 0.9 else OPERATIONS)
        chosen.append(operation)
        model = model.after(operation) or model
    return chosen


async def test_m41_m42_m43_m45_m46_long_sequences_do_in_postgresql_what_the_model_says(
    account: _Books,
) -> None:
    chance = random.Random(SEED)
    for _ in range(LONG_COUNT):
        sequence = _long(chance)
        begun = account.connection.transaction()
        await begun.start()
        books, model = account.copied(), WalletModel()
        for operation in sequence:
            wanted = model.after(operation)
            assert await books.do(operation) == (wanted is not None), sequence
            model = wanted or model
            await books.compare(model)
        await begun.rollback()


async def test_the_audit_agrees_after_a_long_life(account: _Books) -> None:
    # Given an account to which much has happened
    chance, model = random.Random(SEED), WalletModel()
    for _ in range(60):
        operation = chance.choice(OPERATIONS)
        await account.do(operation)
        model = model.after(operation) or model
    await account.compare(model)
    # Then the audit finds nothing
    found = await audit.examine(account.connection)
    assert {each.check.name: each.rows for each in found if each.is_breach} == {}
    assert {each.check.name for each in found} >= {"deposits", "deposits_held", "currencies"}


_FALSIFICATIONS = (
    ("deposits", "DELETE FROM transfers WHERE kind = 'credit' AND transfer_id = (SELECT"
     " max(transfer_id) FROM transfers WHERE kind = 'credit')"),
    ("deposits", "UPDATE transfers SET amount_micro = amount_micro + 1 WHERE kind = 'credit'"),
    ("deposits", "UPDATE deposits SET credited_micro = 1 WHERE state = 'credited'"),
    ("deposits", "UPDATE transfers SET reason = 'deposit ' || gen_random_uuid()"
     " WHERE kind = 'credit'"),
    ("deposits_held", "UPDATE deposits SET look_at = NULL WHERE state = 'pending'"),
    ("deposits_held", "UPDATE deposits SET validate_by = pending_at + interval '49 hours'"
     " WHERE state = 'pending'"),
    ("deposits_held", "UPDATE deposits SET look_at = now() - interval '1 hour'"
     " WHERE state = 'pending'"),
    ("payment_events", "INSERT INTO payment_events VALUES ('practice', 'e1', 'x',"
     " gen_random_uuid(), NULL, now(), '')"),
    ("payment_events", "INSERT INTO payment_events SELECT 'practice', 'e2',"
     " 'payment_intent.succeeded', deposit_id, NULL, now(), '', now() - interval '1 hour'"
     " FROM deposits WHERE state = 'pending' LIMIT 1"),
    ("currencies", "UPDATE accounts SET currency = 'GBP'"),
    ("disputes", "INSERT INTO payment_disputes SELECT 'practice', 'd1', deposit_id, 1, 'EUR', 'x',"
     " 'open', false, now() FROM deposits WHERE state = 'credited' LIMIT 1"),
)  # fmt: skip


async def test_the_audit_names_what_is_falsified(account: _Books) -> None:
    # Given an account with a deposit that is credited, and one that is held
    for operation in ("switch", "deposit", "pending"):
        assert await account.do(operation)
    owner = account.connection
    await owner.execute("ALTER TABLE transfers DISABLE TRIGGER transfers_are_immutable")
    await owner.execute("ALTER TABLE deposits DISABLE TRIGGER credited_deposits_are_immutable")
    for check, statement in _FALSIFICATIONS:
        # When a row is changed behind the product's back, Then its check says so
        begun = owner.transaction()
        await begun.start()
        await owner.execute(statement)
        for sql in [each.sql for each in audit_checks.CHECKS if each.name == check]:
            assert await owner.fetch(sql), statement
        await begun.rollback()


async def test_a_credited_deposit_is_never_changed_by_anybody(account: _Books) -> None:
    await account.do("switch")
    with pytest.raises(asyncpg.RaiseError, match="is credited"):
        await account.connection.execute("UPDATE deposits SET state = 'failed'")
