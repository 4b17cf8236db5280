"""What becomes of deposits that were ordered: held, decided, charged and credited, or neither.

Whoever changes a deposit locks its row first; whoever credits it locks its account after that, then
the head of the account's log and the wallet, the configuration's version, and the legal entity
last.
"""

# ruff: noqa: S608 - what is put into the queries are constants of our own

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from shared.db import cards, configuration, deposits, events, invoices, ledger
from shared.db.connection import Connection
from shared.db.deposits import BEFORE, COLUMNS, LEASE_SECONDS, StoredDeposit
from shared.db.events import NewEvent
from shared.ledger.deposits import (
    DEPOSIT_REASON,
    MOVES,
    DepositState,
    HoldDecision,
    Payment,
    PaymentCard,
)
from shared.rules import event_types

_SET_CHECKOUT = f"""
UPDATE deposits SET session_id = $2, checkout_url = $3
WHERE deposit_id = $1 AND session_id IS NULL AND state = '{DepositState.ORDERED}'"""


async def set_checkout(connection: Connection, deposit_id: UUID, session_id: str, url: str) -> None:
    """Where the card is entered; the first is kept."""
    await connection.execute(_SET_CHECKOUT, deposit_id, session_id, url)


_TAKE_DUE = f"""
UPDATE deposits SET look_count = look_count + 1,
    look_at = clock_timestamp() + interval '{LEASE_SECONDS} seconds'
WHERE deposit_id = ANY (ARRAY(
    SELECT deposit_id FROM deposits WHERE look_at <= clock_timestamp()
    ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING {COLUMNS}"""
_TAKE = f"""
UPDATE deposits SET look_count = look_count + 1,
    look_at = clock_timestamp() + interval '{LEASE_SECONDS} seconds'
WHERE deposit_id = $1 AND state <> '{DepositState.CREDITED}'
RETURNING {COLUMNS}"""
_LOOK_AGAIN = """
UPDATE deposits SET look_at = CASE WHEN ended_at IS NULL THEN least(
    clock_timestamp() + $2::interval,
    CASE WHEN validate_by > clock_timestamp() THEN validate_by END) END
WHERE deposit_id = $1 AND look_at > clock_timestamp()"""


async def take_due(connection: Connection, limit: int) -> list[StoredDeposit]:
    """Deposits that it is time to look at, under a lease."""
    return [StoredDeposit(*row) for row in await connection.fetch(_TAKE_DUE, limit)]


async def take(connection: Connection, deposit_id: UUID) -> StoredDeposit | None:
    """This deposit under a lease, whether or not it is time; None if it is credited, or none."""
    row = await connection.fetchrow(_TAKE, deposit_id)
    return None if row is None else StoredDeposit(*row)


async def look_again(connection: Connection, deposit_id: UUID, wait: timedelta) -> None:
    """Give up the lease: unless it has ended it is to be looked at after a while, or when the time
    of its card is over; at once, if the provider has told something in the meantime."""
    await connection.execute(_LOOK_AGAIN, deposit_id, wait)


_HOLD = f"""
UPDATE deposits SET state = '{DepositState.PENDING}', pending_at = at,
    validate_by = at + $2::interval, held_micro = $3, payment_id = $4, card_id = $5
FROM (SELECT clock_timestamp() AS at OFFSET 0) t
WHERE deposit_id = $1 AND state IN ({BEFORE[DepositState.PENDING]})
RETURNING account_id"""


async def hold(
    connection: Connection, deposit: StoredDeposit, payment: Payment, validated_in: timedelta
) -> None:
    """The bank holds the amount back, and the card is judged until then (M28 to M30)."""
    card_id = await _card_id(connection, deposit, payment.card)
    account_id = await connection.fetchval(
        _HOLD,
        deposit.deposit_id,
        validated_in,
        payment.amount_micro,
        payment.payment_id,
        card_id,
    )
    if account_id is not None:
        await _tell(connection, deposit, event_types.DEPOSIT_PENDING)


async def _card_id(
    connection: Connection, deposit: StoredDeposit, card: PaymentCard | None
) -> int | None:
    if card is None or deposit.provider is None:
        return None
    return await cards.keep(connection, deposit.account_id, deposit.provider, card)


_DECIDE = f"""
UPDATE deposits SET decision = $2, reason = $3, payment_id = coalesce(payment_id, $4),
    card_id = coalesce(card_id, $5)
WHERE deposit_id = $1 AND decision IS NULL
  AND state IN ('{DepositState.ORDERED}', '{DepositState.PENDING}')"""
_GIVE_UP_CAPTURE = f"""
UPDATE deposits SET decision = '{HoldDecision.CANCEL}', reason = $2
WHERE deposit_id = $1 AND decision = '{HoldDecision.CAPTURE}'
  AND state IN ('{DepositState.ORDERED}', '{DepositState.PENDING}')"""


async def decide(
    connection: Connection,
    deposit: StoredDeposit,
    payment: Payment,
    decision: HoldDecision,
    reason: str = "",
) -> None:
    """Store the intent before the provider is told. The first decision stands."""
    card_id = await _card_id(connection, deposit, payment.card)
    await connection.execute(
        _DECIDE, deposit.deposit_id, decision.value, reason, payment.payment_id, card_id
    )


async def give_up_capture(connection: Connection, deposit_id: UUID, reason: str) -> None:
    """The provider refuses to charge what it holds: it is to let go of it."""
    await connection.execute(_GIVE_UP_CAPTURE, deposit_id, reason)


_JUDGE = f"""
UPDATE deposits SET decision = $2, reason = $3, look_at = clock_timestamp()
WHERE deposit_id = $1 AND decision IS NULL AND state = '{DepositState.PENDING}'"""


async def judge_card(
    connection: Connection, deposit_id: UUID, decision: HoldDecision, reason: str = ""
) -> bool:
    """An operator's word about a card that is being judged; False where nothing waits for one."""
    done = await connection.execute(_JUDGE, deposit_id, decision.value, reason)
    return bool(done == "UPDATE 1")


_END = """
UPDATE deposits SET state = $2, reason = coalesce(nullif(reason, ''), $3),
    ended_at = clock_timestamp(), look_at = NULL
WHERE deposit_id = $1 AND state IN ({before})"""
_FAIL = _END.format(before=BEFORE[DepositState.FAILED])
_EXPIRE = _END.format(before=BEFORE[DepositState.EXPIRED])


async def fail(connection: Connection, deposit: StoredDeposit, reason: str) -> None:
    """Neither a charge nor a credit (M32)."""
    done = await connection.execute(_FAIL, deposit.deposit_id, DepositState.FAILED.value, reason)
    if done == "UPDATE 1":
        await _tell(connection, deposit, event_types.DEPOSIT_FAILED, deposit.reason or reason)


async def expire(connection: Connection, deposit: StoredDeposit, reason: str) -> None:
    """It was given up, or not paid in time; the account is told only of what it has ordered."""
    done = await connection.execute(_EXPIRE, deposit.deposit_id, DepositState.EXPIRED.value, reason)
    if done == "UPDATE 1" and deposit.ordered_at is not None:
        await _tell(connection, deposit, event_types.DEPOSIT_FAILED, deposit.reason or reason)


_CREDIT = f"""
UPDATE deposits SET state = '{DepositState.CREDITED}', credited_micro = $2, transfer_id = $3,
    payment_id = coalesce(payment_id, $4), card_id = coalesce(card_id, $5), reason = '',
    ended_at = clock_timestamp(), look_at = NULL
WHERE deposit_id = $1"""
_SWITCH = """
UPDATE accounts SET currency = $2, currency_deposited_at = clock_timestamp()
WHERE account_id = $1 RETURNING currency"""


async def credit(connection: Connection, deposit_id: UUID, payment: Payment) -> bool:
    """Credit what the provider has charged, once for ever: the wallet, the account's currency
    (M41), the card, the event and the invoice (M40), all in the caller's transaction. False: it was
    done before. Raises NoLegalEntity, NoVatRate of `shared.db.invoices`: then nothing is credited
    until an operator has said who sells, and at which rate."""
    deposit = await deposits.lock(connection, deposit_id)
    if deposit is None or DepositState.CREDITED not in MOVES[DepositState(deposit.state)]:
        return False
    card_id = await _card_id(connection, deposit, payment.card)
    await connection.execute(deposits.TURN, deposit.account_id)
    before = await ledger.holdings(connection, deposit.account_id)
    after = before.with_deposit(deposit.currency, payment.amount_micro)
    await _tell(connection, deposit, event_types.DEPOSIT_CREDITED)
    await ledger.open_wallet(connection, deposit.account_id, deposit.currency)
    await ledger.lock_wallets(connection, [deposit.account_id])
    reason = f"{DEPOSIT_REASON}{deposit_id}"
    credited = await ledger.credit(
        connection, deposit.account_id, deposit.currency, payment.amount_micro, reason
    )
    await connection.execute(
        _CREDIT,
        deposit_id,
        payment.amount_micro,
        credited.transfer_id,
        payment.payment_id,
        card_id,
    )
    if card_id is not None:
        await cards.validate(connection, card_id)
    await connection.execute(_SWITCH, deposit.account_id, after.active)
    if after.active != before.active:
        await configuration.bump(connection)
    # Last, for whoever else would issue waits from here on.
    await invoices.issue(connection, deposit_id)
    return True


async def _tell(
    connection: Connection, deposit: StoredDeposit, kind: str, reason: str = ""
) -> None:
    told = NewEvent(deposit.account_id, kind, deposit.deposit_id, reason)
    await events.append(connection, [told])
