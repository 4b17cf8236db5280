"""What must hold of deposits, transfers and the provider's events: for each, what breaks it."""

# ruff: noqa: S608 - what is put into the queries are constants of our own

from __future__ import annotations

from shared.ledger.deposits import DEPOSIT_REASON, VALIDATION_MAX
from shared.ledger.transfers import Kind

GRACE_SECONDS = 900
"""How late a deposit may be settled: the provider may be away for a while."""

CREDITED = f"""
SELECT coalesce(d.deposit_id::text, t.reason) AS deposit_id, d.state, d.credited_micro,
       t.amount_micro, t.transfer_count
FROM (SELECT * FROM deposits WHERE state = 'credited') d
FULL JOIN (
    SELECT c.reason, count(*) AS transfer_count, min(c.transfer_id) AS transfer_id,
           min(c.amount_micro) AS amount_micro, min(w.account_id) AS account_id,
           min(w.currency) AS currency
    FROM transfers c JOIN wallets w ON w.wallet_id = c.to_wallet_id
    WHERE c.kind = '{Kind.CREDIT}' AND c.reason LIKE '{DEPOSIT_REASON}%' GROUP BY c.reason
) t ON t.reason = '{DEPOSIT_REASON}' || d.deposit_id
WHERE d.deposit_id IS NULL OR t.transfer_count IS DISTINCT FROM 1
   OR (d.transfer_id, d.credited_micro, d.account_id, d.currency)
      IS DISTINCT FROM (t.transfer_id, t.amount_micro, t.account_id, t.currency)"""
"""Each credited deposit has its one transfer, and each transfer for a deposit has its deposit."""

HELD = f"""
SELECT deposit_id, account_id, state, decision, validate_by, look_at, reason FROM deposits
WHERE (state IN ('ordered', 'pending') AND look_at IS NULL)
   OR (state IN ('draft', 'details_confirmed', 'method_chosen')
       AND expires_at < now() - interval '{GRACE_SECONDS} seconds')
   OR (state = 'pending' AND (validate_by > pending_at + interval '{VALIDATION_MAX}'
       OR validate_by < now() - interval '{GRACE_SECONDS} seconds'))
   OR look_at < now() - interval '{GRACE_SECONDS} seconds'"""
"""What is held is looked at, and decided within 48 hours (M29)."""

EVENTS = f"""
SELECT e.provider, e.event_id, e.type, e.deposit_id, d.state FROM payment_events e
LEFT JOIN deposits d ON d.deposit_id = e.deposit_id AND d.provider = e.provider
WHERE d.deposit_id IS NULL
   OR (d.payment_id IS NOT NULL AND e.payment_id IS NOT NULL AND d.payment_id <> e.payment_id)
   OR (e.type = 'payment_intent.succeeded' AND d.state <> 'credited'
       AND e.received_at < now() - interval '{GRACE_SECONDS} seconds')"""
"""Each event is about a deposit and its one payment; what was charged was credited (M31)."""

CURRENCIES = """
SELECT a.account_id, a.currency, last.currency AS deposited_currency
FROM accounts a CROSS JOIN LATERAL (
    SELECT d.currency FROM deposits d WHERE d.account_id = a.account_id AND d.state = 'credited'
    ORDER BY d.transfer_id DESC LIMIT 1
) last
WHERE a.currency <> last.currency OR a.currency_deposited_at IS NULL"""
"""The account's currency is that of the last deposit that was credited (M41)."""

DISPUTES = """
SELECT provider, dispute_id, deposit_id, status, reason FROM payment_disputes WHERE NOT is_over"""
