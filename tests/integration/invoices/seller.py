"""A legal entity that may issue invoices, and deposits that are being credited."""

from __future__ import annotations

import asyncpg

from shared.db import apply, deposits, invoices, settlements
from shared.db.billing import LegalEntity, VatRate
from shared.db.connection import Connection
from shared.db.invoices import PaidDeposit
from shared.ledger.deposits import Payment, PaymentState
from shared.ledger.invoices import Invoice
from shared.runtime import ids

ENTITY = LegalEntity(
    "SLUICE", "Sluice Test GmbH", ("Weg 1", "10115 Berlin"), "DE", "DE1", None, None, "Europe/Paris"
)
RATES = (
    VatRate("SLUICE", "domestic", "*", 1_900, "", ""),
    VatRate("SLUICE", "eu_consumer", "*", 1_900, "", ""),
    VatRate("SLUICE", "eu_consumer", "FR", 2_000, "", ""),
    VatRate("SLUICE", "eu_business", "*", 0, "Reverse charge.", "Steuerschuld geht über."),
    VatRate("SLUICE", "abroad", "*", 0, "Not subject to VAT.", "Nicht steuerbar."),
)


async def open_shop(opened: Connection) -> None:
    """The entity with its rates."""
    for row in (ENTITY, *RATES):
        await apply.put(opened, row, None)


async def set_up(pool: asyncpg.Pool, *accounts: str) -> list[int]:
    """The entity with its rates, and these accounts' ids."""
    async with pool.acquire() as opened, opened.transaction():
        await open_shop(opened)
        for name in accounts:
            await apply.put(opened, apply.Account(name, "EUR", 1_000, 60), None)
    rows = await pool.fetch("SELECT account_id FROM accounts WHERE name = ANY ($1)", accounts)
    return sorted(row[0] for row in rows)


def deposit(account_id: int, amount_micro: int = 119_000_000) -> PaidDeposit:
    """One of an id of its own."""
    return PaidDeposit(ids.uuid7(), account_id, "EUR", amount_micro)


async def credit(opened: Connection, paid: PaidDeposit) -> Invoice:
    """What becomes of a deposit that is made, ordered, paid and credited: its invoice, in a
    transaction."""
    deposit_id, account_id = paid.deposit_id, paid.account_id
    await deposits.begin(opened, deposit_id, account_id, paid.currency, paid.amount_micro)
    assert await deposits.confirm_details(opened, account_id, deposit_id)
    assert await deposits.choose_method(opened, account_id, deposit_id, "card")
    accepted = deposits.TermsAccepted("1", "token 1")
    assert await deposits.order(opened, account_id, deposit_id, accepted, "practice")
    payment = Payment(PaymentState.CHARGED, f"pi_{deposit_id}", paid.amount_micro, paid.currency)
    assert await settlements.credit(opened, deposit_id, payment)
    return await invoices.issue(opened, deposit_id)
