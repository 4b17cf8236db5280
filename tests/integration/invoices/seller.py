"""A legal entity that may issue invoices, and deposits that are being credited."""

from __future__ import annotations

import asyncpg

from shared.db import apply, invoices, ledger
from shared.db.billing import LegalEntity, VatRate
from shared.db.connection import Connection
from shared.db.invoices import PaidDeposit
from shared.ledger.deposits import DEPOSIT_REASON
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
    """What whoever credits a deposit does: money, and as its last step the invoice."""
    reason = f"{DEPOSIT_REASON}{paid.deposit_id}"
    await ledger.credit(opened, paid.account_id, paid.currency, paid.amount_micro, reason)
    return await invoices.issue_for(opened, paid)
