"""Deposits as their payers make them, step by step; what becomes of them then is in
`shared/db/settlements.py`."""

# ruff: noqa: S608 - what is put into the queries are constants of our own

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from uuid import UUID

from shared.db.connection import Connection
from shared.ledger.deposits import (
    MOVES,
    STEPS,
    DepositStanding,
    DepositState,
    HoldDecision,
)

UNFINISHED_COUNT_MAX = 20
"""Deposits of an account that were begun and not ordered."""
UNORDERED_TIME = timedelta(hours=24)
"""A deposit that was not ordered by then is given up."""
LEASE_SECONDS = 60
"""So long whoever looks at a deposit has it for itself; after its death another does."""


@dataclass(frozen=True, slots=True)
class StoredDeposit:
    """A deposit as its account reads it. Amounts are micro-units of `currency`."""

    deposit_id: UUID
    account_id: int
    currency: str
    amount_micro: int
    state: str
    reason: str
    method: str | None
    terms_version: str | None
    terms_accepted_at: datetime | None
    terms_accepted_by: str | None
    provider: str | None
    session_id: str | None
    checkout_url: str | None = field(repr=False)
    payment_id: str | None
    card_id: int | None
    held_micro: int | None
    decision: str | None
    credited_micro: int | None
    created_at: datetime
    ordered_at: datetime | None
    validate_by: datetime | None
    ended_at: datetime | None
    expires_at: datetime
    look_count: int

    @property
    def standing(self) -> DepositStanding:
        """What a decision about it hangs on."""
        decision = None if self.decision is None else HoldDecision(self.decision)
        return DepositStanding(DepositState(self.state), self.currency, decision, self.validate_by)


COLUMNS = ", ".join(column.name for column in fields(StoredDeposit))


def _states(states: frozenset[DepositState]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


BEFORE: Mapping[DepositState, str] = {
    target: _states(frozenset(source for source, targets in MOVES.items() if target in targets))
    for target in DepositState
    if any(target in targets for targets in MOVES.values())
}
"""From where each state is come to, as an SQL list."""
_UNORDERED = _states(frozenset(STEPS[:-1]))

_INSERT = f"""
INSERT INTO deposits (deposit_id, account_id, currency, amount_micro, idempotency_key, expires_at,
    look_at)
SELECT $1, $2, $3, $4, $5, clock_timestamp() + $6::interval, clock_timestamp() + $6::interval
WHERE (SELECT count(*) FROM deposits WHERE account_id = $2 AND state IN ({_UNORDERED})) < $7
ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING {COLUMNS}"""
TURN = "SELECT FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE"
_BY_KEY = f"SELECT {COLUMNS} FROM deposits WHERE account_id = $1 AND idempotency_key = $2"


async def begin(
    connection: Connection,
    deposit_id: UUID,
    account_id: int,
    currency: str,
    amount_micro: int,
    key: str | None = None,
) -> StoredDeposit | None:
    """The first step (M34), in a transaction; under a key that was used before, the deposit of
    then. None: the account has too many that it has not ordered."""
    await connection.execute(TURN, account_id)
    if key is not None and (row := await connection.fetchrow(_BY_KEY, account_id, key)):
        return StoredDeposit(*row)
    row = await connection.fetchrow(
        _INSERT,
        deposit_id,
        account_id,
        currency,
        amount_micro,
        key,
        UNORDERED_TIME,
        UNFINISHED_COUNT_MAX,
    )
    return None if row is None else StoredDeposit(*row)


_GET = f"SELECT {COLUMNS} FROM deposits WHERE account_id = $1 AND deposit_id = $2"
_LOCK = f"SELECT {COLUMNS} FROM deposits WHERE deposit_id = $1 FOR UPDATE"


async def get(connection: Connection, account_id: int, deposit_id: UUID) -> StoredDeposit | None:
    """One deposit of this account; another account's is None, like one that never was."""
    row = await connection.fetchrow(_GET, account_id, deposit_id)
    return None if row is None else StoredDeposit(*row)


async def lock(connection: Connection, deposit_id: UUID) -> StoredDeposit | None:
    """The deposit, fixed until the transaction ends."""
    row = await connection.fetchrow(_LOCK, deposit_id)
    return None if row is None else StoredDeposit(*row)


_GET_MANY = f"SELECT {COLUMNS} FROM deposits WHERE deposit_id = ANY ($2) AND account_id = $1"


async def get_many(
    connection: Connection, account_id: int, deposit_ids: list[UUID]
) -> dict[UUID, StoredDeposit]:
    """Those of these deposits that the account has."""
    rows = await connection.fetch(_GET_MANY, account_id, deposit_ids)
    return {row["deposit_id"]: StoredDeposit(*row) for row in rows}


_PAGE = f"""
SELECT {COLUMNS} FROM deposits WHERE account_id = $1 AND deposit_id < $2
ORDER BY deposit_id DESC LIMIT $3"""


async def page(
    connection: Connection, account_id: int, before: UUID, limit: int
) -> list[StoredDeposit]:
    """The account's deposits below this id, newest first."""
    rows = await connection.fetch(_PAGE, account_id, before, limit)
    return [StoredDeposit(*row) for row in rows]


_OPEN = f"""
SELECT {COLUMNS} FROM deposits WHERE look_at IS NOT NULL AND state IN ('ordered', 'pending')
ORDER BY deposit_id LIMIT $1"""


async def unended(connection: Connection, limit: int) -> list[StoredDeposit]:
    """Deposits of all accounts that were ordered and have not ended, oldest first."""
    return [StoredDeposit(*row) for row in await connection.fetch(_OPEN, limit)]


_PENDING = """
SELECT currency, sum(held_micro)::bigint FROM deposits
WHERE account_id = $1 AND state = 'pending' GROUP BY currency ORDER BY currency"""


async def pending(connection: Connection, account_id: int) -> dict[str, int]:
    """Micro-units by currency that a card's validation is waited for (M30): in no wallet."""
    return {row[0]: row[1] for row in await connection.fetch(_PENDING, account_id)}


_CONFIRM = f"""
UPDATE deposits SET state = '{DepositState.DETAILS_CONFIRMED}', confirmed_at = clock_timestamp()
WHERE account_id = $1 AND deposit_id = $2 AND state IN ({BEFORE[DepositState.DETAILS_CONFIRMED]})
  AND expires_at > clock_timestamp()
RETURNING {COLUMNS}"""
_CHOOSE = f"""
UPDATE deposits SET state = '{DepositState.METHOD_CHOSEN}', method_chosen_at = clock_timestamp(),
    method = $3
WHERE account_id = $1 AND deposit_id = $2 AND state IN ({BEFORE[DepositState.METHOD_CHOSEN]})
  AND expires_at > clock_timestamp()
RETURNING {COLUMNS}"""
_ORDER = f"""
UPDATE deposits SET state = '{DepositState.ORDERED}', ordered_at = clock_timestamp(),
    terms_version = $3, terms_accepted_at = clock_timestamp(), terms_accepted_by = $4,
    provider = $5, look_at = clock_timestamp() + interval '{LEASE_SECONDS} seconds', look_count = 1
WHERE account_id = $1 AND deposit_id = $2 AND state IN ({BEFORE[DepositState.ORDERED]})
  AND expires_at > clock_timestamp()
RETURNING {COLUMNS}"""


async def confirm_details(
    connection: Connection, account_id: int, deposit_id: UUID
) -> StoredDeposit | None:
    """The second step (M36); None if it is not the one to make now."""
    row = await connection.fetchrow(_CONFIRM, account_id, deposit_id)
    return None if row is None else StoredDeposit(*row)


async def choose_method(
    connection: Connection, account_id: int, deposit_id: UUID, method: str
) -> StoredDeposit | None:
    """The third step (M37); None if it is not the one to make now."""
    row = await connection.fetchrow(_CHOOSE, account_id, deposit_id, method)
    return None if row is None else StoredDeposit(*row)


@dataclass(frozen=True, slots=True)
class TermsAccepted:
    """Who has ticked the box of which text."""

    terms_version: str
    accepted_by: str


async def order(
    connection: Connection, account_id: int, deposit_id: UUID, consent: TermsAccepted, provider: str
) -> StoredDeposit | None:
    """The last step (M38, M39): from here on the provider is spoken to, by whoever has the lease,
    or by whoever finds it over. None if it is not the step to make now."""
    row = await connection.fetchrow(
        _ORDER, account_id, deposit_id, consent.terms_version, consent.accepted_by, provider
    )
    return None if row is None else StoredDeposit(*row)
