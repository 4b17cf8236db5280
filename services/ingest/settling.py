"""Brings what was ordered to its end with the provider of card payments.

The intent is stored before each call, and calls may be repeated: whoever dies leaves a lease that
runs out, and the next one asks the provider how things stand. What an event says is never believed
for its own sake: it makes us ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from services.ingest import metrics
from shared.db import cards, connection, deposits, invoices, settlements
from shared.db.deposits import StoredDeposit
from shared.db.pool import ACQUIRE_SECONDS
from shared.ledger.deposits import (
    DepositAct,
    DepositState,
    HoldDecision,
    Payment,
    PaymentState,
    PaymentVerdict,
    judge,
)
from shared.payments import contract
from shared.payments.contract import CheckoutOrder, Provider
from shared.runtime import logs

_log = structlog.get_logger()

SWEEP_SECONDS = 0.5
PAGE_COUNT = 16
"""Deposits that a process looks at side by side."""
STEP_COUNT_MAX = 4
"""Hold, decide, charge, credit: more than that at once is nobody's way."""
LOOK_MIN, LOOK_MAX = timedelta(seconds=30), timedelta(minutes=15)
"""The first time between two looks at what nothing is told of, and the longest."""

FAULTS = (*connection.TRANSIENT, contract.ProviderUnavailable, contract.PaymentRefused)


class Settler:
    """Moves deposits as the provider's word allows; any number of processes may."""

    def __init__(
        self,
        database: asyncpg.Pool,
        provider: Provider,
        validation: timedelta,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        """`refresh` has this process know at once that an account's currency has changed; others
        know within two seconds, and until then messages in the old one are refused."""
        self._database = database
        self._refresh = refresh
        self._provider = provider
        self._validation = validation
        self._told = asyncio.Event()

    @property
    def provider(self) -> Provider:
        """Whom cards are charged by."""
        return self._provider

    def tell(self) -> None:
        """Something is due now: the next sweep begins at once."""
        self._told.set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            self._told.clear()
            try:
                await self.sweep()
            except connection.TRANSIENT as error:
                _log.warning("deposits_not_swept", error=type(error).__name__)
            try:
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._told.wait()
            except TimeoutError:
                pass

    async def sweep(self) -> int:
        """Look at everything that is due; how many deposits that were."""
        total_count = 0
        while True:
            async with self._transaction() as opened:
                due = await settlements.take_due(opened, PAGE_COUNT)
            await asyncio.gather(*(self._look_calmly(deposit) for deposit in due))
            total_count += len(due)
            if len(due) < PAGE_COUNT:
                return total_count

    async def _look_calmly(self, deposit: StoredDeposit) -> None:
        """One deposit's fault is nobody else's: its lease runs out, and it is looked at again."""
        try:
            await self.look(deposit)
        except FAULTS as error:
            metrics.PAYMENT_FAULTS.inc()
            _log.warning(
                "deposit_not_settled", deposit=str(deposit.deposit_id), error=type(error).__name__
            )
        except (invoices.NoLegalEntity, invoices.NoVatRate) as error:
            # Charged, and credited as soon as an operator has set it up.
            metrics.PAYMENT_FAULTS.inc()
            _log.error(
                "deposit_not_invoiced", deposit=str(deposit.deposit_id), error=type(error).__name__
            )
        except Exception as error:
            metrics.PAYMENT_FAULTS.inc()
            _log.error(
                "deposit_not_understood",
                deposit=str(deposit.deposit_id),
                error=logs.frames_of(error),
            )

    async def open_checkout(self, deposit: StoredDeposit) -> None:
        """Have the page made on which the card is entered, if it is not there yet. Raises
        ProviderUnavailable: then the next who asks, or looks, goes on."""
        if deposit.session_id is not None or deposit.ordered_at is None:
            return
        order = CheckoutOrder(
            deposit.deposit_id, deposit.amount_micro, deposit.currency, deposit.ordered_at
        )
        try:
            checkout = await self._provider.open_checkout(order)
        except contract.PaymentRefused as refused:
            _log.error("checkout_refused", code=refused.code, deposit=str(deposit.deposit_id))
            async with self._transaction() as opened:
                await settlements.fail(opened, deposit, "refused_by_provider")
            return
        async with self._transaction() as opened:
            await settlements.set_checkout(
                opened, deposit.deposit_id, checkout.session_id, checkout.url
            )

    async def look(self, deposit: StoredDeposit) -> None:
        """Do what is to be done about a deposit that was taken, and give it back."""
        if deposit.ordered_at is None:
            async with self._transaction() as opened:
                await settlements.expire(opened, deposit, "not_ordered_in_time")
            return
        for _ in range(STEP_COUNT_MAX):
            if not await self._step(deposit):
                break
            async with self._transaction() as opened:
                again = await deposits.lock(opened, deposit.deposit_id)
            if again is None:
                break
            deposit = again
        wait = min(LOOK_MAX, LOOK_MIN * max(1, deposit.look_count))
        async with self._transaction() as opened:
            await settlements.look_again(opened, deposit.deposit_id, wait)

    async def _step(self, deposit: StoredDeposit) -> bool:
        """One step; whether there may be another."""
        if deposit.session_id is None:
            if deposit.state != DepositState.ORDERED:
                return False
            await self.open_checkout(deposit)
            return False
        payment = await self._provider.find(deposit.session_id)
        verdict = await self._judged(deposit, payment)
        match verdict.act:
            case DepositAct.WAIT:
                return False
            case DepositAct.CAPTURE:
                await self._capture(deposit, payment)
                return True
            case DepositAct.CANCEL:
                await self._cancel(deposit, payment, verdict.reason)
                return True
            case DepositAct.CREDIT:
                await self._credit(deposit, payment)
                return False
            case _:
                await self._note(deposit, payment, verdict)
                return False

    async def _judged(self, deposit: StoredDeposit, payment: Payment) -> PaymentVerdict:
        is_validated = False
        if payment.state is PaymentState.HELD and deposit.provider is not None:
            async with self._transaction() as opened:
                is_validated = await cards.is_validated(
                    opened, deposit.account_id, deposit.provider, payment.card
                )
        return judge(deposit.standing, payment, is_validated, datetime.now(UTC))

    async def _note(
        self, deposit: StoredDeposit, payment: Payment, verdict: PaymentVerdict
    ) -> None:
        """What is done here alone, without the provider."""
        async with self._transaction() as opened:
            if verdict.act is DepositAct.HOLD:
                await settlements.hold(opened, deposit, payment, self._validation)
            elif verdict.act is DepositAct.FAIL:
                await settlements.fail(opened, deposit, verdict.reason)
            elif verdict.act is DepositAct.EXPIRE:
                await settlements.expire(opened, deposit, verdict.reason)
        if verdict.act is DepositAct.ASK_OPERATOR:
            _log.error("deposit_charged_otherwise", deposit=str(deposit.deposit_id))

    async def _capture(self, deposit: StoredDeposit, payment: Payment) -> None:
        """The intent, then the charge; what was charged is credited when it is seen (M31)."""
        async with self._transaction() as opened:
            await settlements.decide(opened, deposit, payment, HoldDecision.CAPTURE)
        try:
            await self._provider.capture(_id_of(payment), _key(deposit, HoldDecision.CAPTURE))
        except contract.PaymentRefused as refused:
            _log.warning("capture_refused", code=refused.code, deposit=str(deposit.deposit_id))
            async with self._transaction() as opened:
                await settlements.give_up_capture(opened, deposit.deposit_id, "charge_refused")

    async def _cancel(self, deposit: StoredDeposit, payment: Payment, reason: str) -> None:
        async with self._transaction() as opened:
            await settlements.decide(opened, deposit, payment, HoldDecision.CANCEL, reason)
        await self._provider.cancel(_id_of(payment), _key(deposit, HoldDecision.CANCEL))

    async def _credit(self, deposit: StoredDeposit, payment: Payment) -> None:
        async with self._transaction() as opened:
            is_new = await settlements.credit(opened, deposit.deposit_id, payment)
        if is_new:
            await self._refresh()
            metrics.DEPOSITS_CREDITED.labels(deposit.currency).inc()
            _log.info("deposit_credited", deposit=str(deposit.deposit_id))

    async def judge_now(self, deposit_id: UUID) -> None:
        """Look at one deposit at once, whether or not it is due."""
        async with self._transaction() as opened:
            deposit = await settlements.take(opened, deposit_id)
        if deposit is not None:
            await self.look(deposit)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[connection.Connection]:
        async with (
            self._database.acquire(timeout=ACQUIRE_SECONDS) as opened,
            opened.transaction(),
        ):
            yield opened


def _id_of(payment: Payment) -> str:
    if payment.payment_id is None:
        raise AssertionError("money is held of a payment that has an id")
    return payment.payment_id


def _key(deposit: StoredDeposit, decision: HoldDecision) -> str:
    """A provider may remember a failure under its key: each look has another."""
    return f"{deposit.deposit_id}-{decision}-{deposit.look_count}"
