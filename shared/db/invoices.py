"""Invoices: issued with the credit they are for, one a deposit, numbered without gaps (M40)."""

# ruff: noqa: S608 - what is put into the queries are constants of our own

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from shared.db.connection import Connection
from shared.ledger import vat
from shared.ledger.deposits import DEPOSIT_REASON
from shared.ledger.invoices import Buyer, Invoice, Language, Parties, Seller
from shared.ledger.transfers import Kind
from shared.ledger.vat import VatTreatment
from shared.runtime import ids


class NoLegalEntity(Exception):
    """Nobody is set up to issue invoices: nothing can be credited for a payment yet."""


class NoVatRate(Exception):
    """The legal entity does not say what it charges to such a buyer."""


class PaidDeposit(NamedTuple):
    """A deposit that is being credited, with what was paid, in micro-units."""

    deposit_id: UUID
    account_id: int
    currency: str
    amount_micro: int


_DEPOSIT = """
SELECT deposit_id, account_id, currency, coalesce(credited_micro, amount_micro)
FROM deposits WHERE deposit_id = $1"""


async def issue(connection: Connection, deposit_id: UUID) -> Invoice:
    """Within the transaction that credits the deposit, as its last step: its invoice, the same one
    if it has one. Raises NoLegalEntity, NoVatRate."""
    row = await connection.fetchrow(_DEPOSIT, deposit_id)
    if row is None:
        raise LookupError(f"there is no deposit {deposit_id}")
    return await issue_for(connection, PaidDeposit(*row))


_COLUMNS = """
SELECT i.invoice_id, i.deposit_id, i.account_id, i.legal_entity, i.year, i.number, i.issued_at,
       i.issued_on, i.currency, i.gross_micro, i.net_micro, i.vat_micro, i.vat_basis_points,
       i.vat_treatment, i.parties
FROM invoices i"""
# Whoever else would issue waits here until this transaction ends: so a number that was taken in one
# which is rolled back is the next one's, and numbers rise with time.
_ENTITY = """
SELECT code, name, address, country, vat_id, registration, email, time_zone FROM legal_entities
WHERE is_current"""
_LOCKED_ENTITY = f"{_ENTITY} FOR UPDATE"
_BUYER = """
SELECT coalesce(b.name, a.name) AS name, coalesce(b.address, '{}') AS address, b.country, b.vat_id,
       coalesce(b.language, 'en') AS language
FROM accounts a LEFT JOIN billing_details b USING (account_id) WHERE a.account_id = $1"""
_RATE = """
SELECT basis_points, note_en, note_de FROM vat_rates
WHERE legal_entity = $1 AND treatment = $2 AND country IN ($3, '*')
ORDER BY country = '*' LIMIT 1"""
_NUMBER = """
INSERT INTO invoice_numbers AS n (legal_entity, year, last_number, last_issued_at)
SELECT $1, extract(year FROM m.moment AT TIME ZONE $2)::smallint, 1, m.moment
FROM (SELECT greatest(clock_timestamp(), max(last_issued_at)) AS moment
      FROM invoice_numbers WHERE legal_entity = $1) m
ON CONFLICT (legal_entity, year) DO UPDATE SET last_number = n.last_number + 1,
    last_issued_at = excluded.last_issued_at
RETURNING year, last_number, last_issued_at, (last_issued_at AT TIME ZONE $2)::date"""
_INSERT = """
INSERT INTO invoices (invoice_id, deposit_id, account_id, legal_entity, year, number, issued_at,
    issued_on, currency, gross_micro, net_micro, vat_micro, vat_basis_points, vat_treatment,
    parties)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::jsonb)"""
_OF_DEPOSIT = f"{_COLUMNS} WHERE i.deposit_id = $1"


async def issue_for(connection: Connection, paid: PaidDeposit) -> Invoice:
    """The same, of a deposit that the caller has read."""
    entity = await connection.fetchrow(_LOCKED_ENTITY)
    if entity is None:
        raise NoLegalEntity
    known = await connection.fetchrow(_OF_DEPOSIT, paid.deposit_id)
    if known is not None:
        return _invoice(known)
    code, zone = entity["code"], entity["time_zone"]
    parties, treatment, basis_points = await _taxed(connection, entity, paid.account_id)
    parts = vat.split(paid.amount_micro, basis_points)
    ((year, number, issued_at, issued_on),) = await connection.fetch(_NUMBER, code, zone)
    invoice = Invoice(
        ids.uuid7(),
        paid.deposit_id,
        paid.account_id,
        code,
        year,
        number,
        issued_at,
        issued_on,
        paid.currency,
        paid.amount_micro,
        parts.net_micro,
        parts.vat_micro,
        basis_points,
        treatment.value,
        parties,
    )
    *figures, _parties = (getattr(invoice, field.name) for field in fields(Invoice))
    await connection.execute(_INSERT, *figures, msgspec.json.encode(parties).decode())
    return invoice


async def _taxed(
    connection: Connection, entity: asyncpg.Record, account_id: int
) -> tuple[Parties, VatTreatment, int]:
    """Who sells to whom now, and the tax on it. Raises NoVatRate."""
    seller = msgspec.convert(dict(entity), Seller)
    (of_buyer,) = await connection.fetch(_BUYER, account_id)
    buyer = msgspec.convert(dict(of_buyer), Buyer)
    treatment = VatTreatment.DOMESTIC
    if buyer.country is not None:
        treatment = vat.treatment_of(seller.country, buyer.country, buyer.vat_id)
    country = buyer.country or seller.country
    rate = await connection.fetchrow(_RATE, entity["code"], treatment.value, country)
    if rate is None:
        raise NoVatRate(treatment.value)
    notes: dict[Language, str] = {"en": rate["note_en"], "de": rate["note_de"]}
    return Parties(seller, buyer, notes), treatment, int(rate["basis_points"])


async def can_issue(connection: Connection, account_id: int) -> bool:
    """Whether a deposit of this account could be invoiced now: who takes an order asks this first,
    so that nobody pays what could not be credited."""
    entity = await connection.fetchrow(_ENTITY)
    if entity is None:
        return False
    try:
        await _taxed(connection, entity, account_id)
    except NoVatRate:
        return False
    return True


def _invoice(row: asyncpg.Record) -> Invoice:
    told = dict(row) | {"parties": msgspec.json.decode(row["parties"], type=Parties)}
    return Invoice(**told)


_FIND = f"{_COLUMNS} WHERE i.account_id = $1 AND i.invoice_id = $2"
_PAGE = f"""{_COLUMNS}
WHERE i.account_id = $1 AND ($2::uuid IS NULL OR i.invoice_id < $2)
ORDER BY i.invoice_id DESC LIMIT $3"""
_NAMED = f"{_COLUMNS} WHERE i.legal_entity = $1 AND i.year = $2 AND i.number = $3"
_EVERY = f"""{_COLUMNS} JOIN accounts a USING (account_id)
WHERE ($1::text IS NULL OR a.name = $1) AND ($2::integer IS NULL OR i.year = $2)
ORDER BY i.legal_entity, i.year DESC, i.number DESC LIMIT $3"""


async def find(connection: Connection, account_id: int, invoice_id: UUID) -> Invoice | None:
    """An invoice of this account; another account's is None, like one that never was."""
    row = await connection.fetchrow(_FIND, account_id, invoice_id)
    return None if row is None else _invoice(row)


async def page(
    connection: Connection, account_id: int, count_max: int, before: UUID | None = None
) -> list[Invoice]:
    """An account's invoices, the newest first."""
    return [_invoice(row) for row in await connection.fetch(_PAGE, account_id, before, count_max)]


async def find_named(
    connection: Connection, legal_entity: str, year: int, number: int
) -> Invoice | None:
    """The invoice of this number, or None."""
    row = await connection.fetchrow(_NAMED, legal_entity, year, number)
    return None if row is None else _invoice(row)


async def every(
    connection: Connection, count_max: int, account: str | None = None, year: int | None = None
) -> list[Invoice]:
    """All accounts' invoices, or one's, or a year's; the newest first."""
    return [_invoice(row) for row in await connection.fetch(_EVERY, account, year, count_max)]


class InvoiceDocument(NamedTuple):
    """An invoice on paper, as it was made once."""

    pdf: bytes
    sha256: bytes


_DOCUMENT = "SELECT pdf, sha256 FROM invoice_documents WHERE invoice_id = $1 AND language = $2"
_KEEP = """
INSERT INTO invoice_documents (invoice_id, language, pdf, sha256) VALUES ($1, $2, $3, $4)
ON CONFLICT (invoice_id, language) DO NOTHING"""


async def document(
    connection: Connection, invoice_id: UUID, language: Language
) -> InvoiceDocument | None:
    """The document that was made of it; None: none has been."""
    row = await connection.fetchrow(_DOCUMENT, invoice_id, language)
    return None if row is None else InvoiceDocument(*row)


async def keep_document(
    connection: Connection, invoice_id: UUID, language: Language, pdf: bytes
) -> InvoiceDocument:
    """Keep what was made; the one that was kept first, if somebody else has made it meanwhile."""
    await connection.execute(_KEEP, invoice_id, language, pdf, hashlib.sha256(pdf).digest())
    kept = await document(connection, invoice_id, language)
    if kept is None:
        raise AssertionError("it is never taken away")
    return kept


WITH_GAPS = """
SELECT coalesce(n.legal_entity, i.legal_entity) AS legal_entity, coalesce(n.year, i.year) AS year,
       n.last_number, i.invoice_count, i.least, i.greatest
FROM invoice_numbers n
FULL JOIN (SELECT legal_entity, year, count(*) AS invoice_count, min(number) AS least,
                  max(number) AS greatest,
                  bool_or(CASE number WHEN 1 THEN before IS NOT NULL
                          ELSE (before <= issued_at) IS NOT TRUE END) AS is_late
           FROM (SELECT *, lag(issued_at) OVER (PARTITION BY legal_entity, year ORDER BY number)
                     AS before FROM invoices) o
           GROUP BY legal_entity, year) i USING (legal_entity, year)
WHERE (n.last_number = i.invoice_count AND i.least = 1 AND i.greatest = n.last_number
       AND NOT i.is_late) IS NOT TRUE"""
"""Years of a legal entity whose numbers do not run from 1 to the last one, in the order of time."""

UNPAID_OR_MISSING = f"""
SELECT coalesce(i.deposit_id, t.deposit_id) AS deposit_id, i.legal_entity, i.year, i.number,
       i.gross_micro, t.amount_micro AS credited_micro, t.credit_count
FROM invoices i
FULL JOIN (SELECT substr(t.reason, {len(DEPOSIT_REASON) + 1})::uuid AS deposit_id, w.account_id,
                  w.currency, sum(t.amount_micro)::bigint AS amount_micro, count(*) AS credit_count
           FROM transfers t JOIN wallets w ON w.wallet_id = t.to_wallet_id
           WHERE t.kind = '{Kind.CREDIT}'
             AND t.reason ~ '^{DEPOSIT_REASON}[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
           GROUP BY t.reason, w.account_id, w.currency) t USING (deposit_id)
WHERE (i.gross_micro = t.amount_micro AND i.currency = t.currency AND i.account_id = t.account_id
       AND t.credit_count = 1) IS NOT TRUE"""
"""Invoices without the one credit they are for, and credits of deposits without their invoice."""
