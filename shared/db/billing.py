"""Who issues invoices, what tax it charges, and to whom accounts have them made out."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from shared.db.connection import Connection


@dataclass(frozen=True, slots=True)
class LegalEntity:
    """Who sells. The one that was applied last issues; earlier ones stay with their invoices."""

    code: str
    name: str
    address: tuple[str, ...]
    country: str
    vat_id: str | None
    registration: str | None
    email: str | None
    time_zone: str

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from others."""
        return ("legal_entity", self.code)


@dataclass(frozen=True, slots=True)
class VatRate:
    """What it charges to buyers of a treatment, in hundredths of a percent, and what an invoice
    must say of that."""

    legal_entity: str
    treatment: str
    country: str
    basis_points: int
    note_en: str
    note_de: str

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from other rates."""
        return ("vat_rate", self.legal_entity, self.treatment, self.country)


@dataclass(frozen=True, slots=True)
class BillingDetails:
    """To whom an account's invoices are made out, and in which language."""

    account: str
    name: str
    address: tuple[str, ...]
    country: str
    vat_id: str | None = None
    language: str = "en"

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from other accounts'."""
        return ("billing", self.account)


_ENTITY = """
SELECT code, name, address, country, vat_id, registration, email, time_zone
FROM legal_entities WHERE is_current"""
_RATES = """
SELECT r.legal_entity, r.treatment, r.country, r.basis_points, r.note_en, r.note_de
FROM vat_rates r JOIN legal_entities e ON e.code = r.legal_entity AND e.is_current"""
_DETAILS = """
SELECT a.name, b.name, b.address, b.country, b.vat_id, b.language
FROM billing_details b JOIN accounts a USING (account_id)"""


async def read(connection: Connection) -> list[LegalEntity | VatRate | BillingDetails]:
    """Who issues now, at which rates, and all accounts' details."""
    found: list[LegalEntity | VatRate | BillingDetails] = [
        LegalEntity(code, name, tuple(address), *rest)
        for code, name, address, *rest in await connection.fetch(_ENTITY)
    ]
    found += [VatRate(*row) for row in await connection.fetch(_RATES)]
    found += [
        BillingDetails(account, name, tuple(address), *rest)
        for account, name, address, *rest in await connection.fetch(_DETAILS)
    ]
    return found


_RETIRE = "UPDATE legal_entities SET is_current = false WHERE code <> $1 AND is_current"
_PUT_ENTITY = """
INSERT INTO legal_entities (code, name, address, country, vat_id, registration, email, time_zone,
    is_current)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, true)
ON CONFLICT (code) DO UPDATE SET name = excluded.name, address = excluded.address,
    country = excluded.country, vat_id = excluded.vat_id, registration = excluded.registration,
    email = excluded.email, time_zone = excluded.time_zone, is_current = true"""
_PUT_RATE = """
INSERT INTO vat_rates (legal_entity, treatment, country, basis_points, note_en, note_de)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (legal_entity, treatment, country) DO UPDATE SET
    basis_points = excluded.basis_points, note_en = excluded.note_en, note_de = excluded.note_de"""
_PUT_DETAILS = """
INSERT INTO billing_details (account_id, name, address, country, vat_id, language)
SELECT account_id, $2, $3, $4, $5, $6 FROM accounts WHERE name = $1
ON CONFLICT (account_id) DO UPDATE SET name = excluded.name, address = excluded.address,
    country = excluded.country, vat_id = excluded.vat_id, language = excluded.language,
    updated_at = clock_timestamp()"""


async def put(connection: Connection, row: LegalEntity | VatRate | BillingDetails) -> None:
    """Write a row, new or changed; a legal entity's before its rates."""
    match row:
        case LegalEntity():
            await connection.execute(_RETIRE, row.code)
            await connection.execute(_PUT_ENTITY, *astuple(row))
        case VatRate():
            await connection.execute(_PUT_RATE, *astuple(row))
        case BillingDetails():
            await connection.execute(_PUT_DETAILS, *astuple(row))


_DETAILS_OF = f"{_DETAILS} WHERE b.account_id = $1"


async def details(connection: Connection, account_id: int) -> BillingDetails | None:
    """To whom this account's invoices are made out; None: to its name alone."""
    row = await connection.fetchrow(_DETAILS_OF, account_id)
    if row is None:
        return None
    account, name, address, *rest = row
    return BillingDetails(account, name, tuple(address), *rest)
