"""Invoices are issued with the credit they are for: one a deposit, numbered without gaps, kept."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import pytest

from shared.db import apply, audit, invoices
from shared.db.billing import BillingDetails
from shared.db.invoices import PaidDeposit
from tests.integration.invoices.seller import ENTITY, credit, deposit, set_up

DEPOSIT_COUNT = 90


class _RolledBack(Exception):
    """The transaction is not wanted after all."""


async def _breaches(connection: asyncpg.Connection) -> dict[str, audit.Finding]:
    found = await audit.examine(connection)
    return {finding.check.name: finding for finding in found if finding.breach_count}


async def test_m40_numbers_have_no_gap_though_many_issue_at_once_and_some_roll_back(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given many deposits of several accounts, a third of which come to nothing
    account_ids = await set_up(services, "a", "b", "c")
    chance = random.Random(7)
    paid = [deposit(chance.choice(account_ids)) for _ in range(DEPOSIT_COUNT)]
    doomed = {each.deposit_id for each in paid if chance.random() < 1 / 3}
    assert 10 < len(doomed) < 50

    async def settle(each: PaidDeposit) -> None:
        try:
            async with services.acquire() as opened, opened.transaction():
                await asyncio.sleep(chance.random() / 100)
                await credit(opened, each)
                await asyncio.sleep(chance.random() / 200)
                if each.deposit_id in doomed:
                    raise _RolledBack
        except _RolledBack:
            pass

    # When all are credited at the same time, each twice, as providers tell of them
    await asyncio.gather(*map(settle, paid))

    # Then each that was credited has one invoice, numbered from 1 on in the order of time
    rows = await owner.fetch("SELECT deposit_id, number FROM invoices ORDER BY issued_at, number")
    assert {row["deposit_id"] for row in rows} == {each.deposit_id for each in paid} - doomed
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert await _breaches(owner) == {}


async def test_m40_a_deposit_has_one_invoice_however_often_it_is_asked_for(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given a deposit, When several transactions would issue its invoice at once
    (account_id,) = await set_up(services, "a")
    paid = deposit(account_id)

    async def issue() -> str:
        async with services.acquire() as opened, opened.transaction():
            return (await invoices.issue_for(opened, paid)).name

    names = await asyncio.gather(*(issue() for _ in range(8)))

    # Then all are told the same one, and the next deposit has the next number
    assert set(names) == {names[0]}
    async with services.acquire() as opened, opened.transaction():
        following = await credit(opened, deposit(account_id))
    assert (following.number, following.net_micro, following.vat_micro) == (
        2,
        100_000_000,
        19_000_000,
    )


async def test_m40_the_deposit_is_read_where_it_is_kept(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given a deposit of which another amount was paid than was asked for
    (account_id,) = await set_up(services, "a")
    if await owner.fetchval("SELECT to_regclass('deposits')") is None:
        await owner.execute(
            "CREATE TABLE deposits (deposit_id uuid PRIMARY KEY, account_id integer NOT NULL,"
            " currency text NOT NULL, amount_micro bigint NOT NULL, credited_micro bigint)"
        )
        paid = deposit(account_id)
        await owner.execute(
            "INSERT INTO deposits VALUES ($1, $2, 'EUR', 5000000, $3)",
            *(paid.deposit_id, account_id, paid.amount_micro),
        )
        # When its invoice is issued, Then it is of what was paid
        async with services.acquire() as opened, opened.transaction():
            issued = await invoices.issue(opened, paid.deposit_id)
        assert (issued.gross_micro, issued.account_id) == (paid.amount_micro, account_id)
    # And of none there is none
    async with services.acquire() as opened:
        with pytest.raises(LookupError):
            await invoices.issue(opened, deposit(account_id).deposit_id)


async def test_m40_a_year_ends_by_the_clock_of_the_legal_entity(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given a last invoice at half past eleven in UTC on New Year's Eve, when it is 2041 in Paris
    (account_id,) = await set_up(services, "a")
    await owner.execute(
        "INSERT INTO invoice_numbers VALUES ('SLUICE', 2040, 7, '2040-12-31T23:30:00Z')"
    )
    # When the next one is issued, by a clock that has gone back since
    async with services.acquire() as opened, opened.transaction():
        issued = await credit(opened, deposit(account_id))
    # Then it is the first of the new year, and not earlier than the one before
    assert issued.name == "SLUICE-2041-000001"
    assert issued.issued_on.isoformat() == "2041-01-01"


async def test_m40_who_is_charged_what_is_data_and_stays_as_it_was(
    services: asyncpg.Pool,
) -> None:
    # Given buyers at home, in the Union with and without a VAT id, and abroad
    names = ("home", "business", "consumer", "abroad", "unknown")
    await set_up(services, *names)
    details = (
        BillingDetails("home", "Home GmbH", ("Weg 2",), "DE", None, "de"),
        BillingDetails("business", "Firme SA", ("Rue 1",), "FR", "FR12"),
        BillingDetails("consumer", "Jean", ("Rue 2",), "FR"),
        BillingDetails("abroad", "Firma AG", ("Gasse 1",), "CH", "CHE1", "de"),
    )
    async with services.acquire() as opened, opened.transaction():
        for row in details:
            await apply.put(opened, row, None)
        rows = await opened.fetch("SELECT name, account_id FROM accounts")
        ids: dict[str, int] = {row["name"]: row["account_id"] for row in rows}
        found = {name: await credit(opened, deposit(ids[name], 120_000_000)) for name in names}

    # Then each has its rate, and what the law wants to be said
    rates = {name: (each.vat_treatment, each.vat_basis_points) for name, each in found.items()}
    assert rates == {
        "home": ("domestic", 1_900),
        "business": ("eu_business", 0),
        "consumer": ("eu_consumer", 2_000),
        "abroad": ("abroad", 0),
        "unknown": ("domestic", 1_900),
    }
    assert found["consumer"].vat_micro == 20_000_000
    assert found["business"].parties.notes["de"] == "Steuerschuld geht über."

    # When seller and buyer change, Then what was issued does not
    async with services.acquire() as opened, opened.transaction():
        moved = BillingDetails("home", "Other GmbH", ("Weg 3",), "DE")
        await apply.put(opened, moved, None)
        await opened.execute("UPDATE legal_entities SET name = 'Other'")
        again = await invoices.find(opened, ids["home"], found["home"].invoice_id)
    assert again == found["home"]
    assert again.parties.buyer.name == "Home GmbH"
    assert again.parties.seller.name == ENTITY.name


async def test_m40_without_a_legal_entity_nothing_is_issued(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    async with services.acquire() as opened, opened.transaction():
        await apply.put(opened, apply.Account("a", "EUR", 1_000, 60), None)
        account_id = await opened.fetchval("SELECT account_id FROM accounts WHERE name = 'a'")
        assert not await invoices.can_issue(opened, account_id)
        with pytest.raises(invoices.NoLegalEntity):
            await invoices.issue_for(opened, deposit(account_id))
    await set_up(services)
    async with services.acquire() as opened:
        assert await invoices.can_issue(opened, account_id)


async def test_m40_what_was_issued_and_printed_is_not_rewritten(
    owner: asyncpg.Connection, services: asyncpg.Pool
) -> None:
    # Given an invoice and its document, made by two at once
    (account_id,) = await set_up(services, "a")
    async with services.acquire() as opened, opened.transaction():
        issued = await credit(opened, deposit(account_id))
    async with services.acquire() as opened:
        kept = await invoices.keep_document(opened, issued.invoice_id, "de", b"%PDF first")
        again = await invoices.keep_document(opened, issued.invoice_id, "de", b"%PDF second")
    # Then the first one stays
    assert kept == again
    assert again.pdf == b"%PDF first"

    # And neither services nor whoever owns the schema can change anything by mistake
    for statement in (
        "UPDATE invoices SET number = 9",
        "DELETE FROM invoices",
        "UPDATE invoice_documents SET pdf = ''",
        "DELETE FROM invoice_documents",
        "DELETE FROM invoice_numbers",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await services.execute(statement)
        if "numbers" not in statement:
            with pytest.raises(asyncpg.RaiseError):
                await owner.execute(statement)


@pytest.mark.parametrize(
    ("check", "statement"),
    [
        ("invoice_numbers", "DELETE FROM invoices WHERE number = 2"),
        ("invoice_numbers", "DELETE FROM invoices WHERE number = 3"),
        (
            "invoice_numbers",
            "UPDATE invoices SET issued_at = 'infinity' WHERE number = 1",
        ),
        ("invoice_numbers", "UPDATE invoice_numbers SET last_number = 4"),
        ("invoices", "DELETE FROM invoices WHERE number = 3"),
        ("invoices", "UPDATE invoices SET gross_micro = 1, net_micro = 1, vat_micro = 0"),
        ("invoices", "UPDATE invoices SET deposit_id = gen_random_uuid() WHERE number = 1"),
        ("invoices", "UPDATE invoices SET account_id = 2 WHERE number = 1"),
        ("invoices", "DELETE FROM transfers WHERE reason LIKE 'deposit %'"),
    ],
)
async def test_m40_the_audit_finds_what_does_not_fit(
    owner: asyncpg.Connection, services: asyncpg.Pool, check: str, statement: str
) -> None:
    # Given three invoices that agree with their credits
    account_id, _ = await set_up(services, "a", "b")
    for _ in range(3):
        async with services.acquire() as opened, opened.transaction():
            await credit(opened, deposit(account_id))
        assert await _breaches(owner) == {}

    # When somebody changes a row behind the product's back, Then it is found
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(statement)
    assert check in await _breaches(owner)
