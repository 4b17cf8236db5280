"""What must hold of money, messages, work and events: for each, a query for what breaks it."""

# ruff: noqa: S608 - what is put into the queries are constants of our own

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.db import deposit_checks, invoices, segments, spending, work_states, workers
from shared.ledger import refunds
from shared.ledger.transfers import ROADS, Book, Kind
from shared.rules import event_types
from shared.sms import states

GRACE_SECONDS = 60
"""How late the sweepers may be."""
SUBMITTING_SECONDS = 600
"""Longer than any carrier's response timer."""
SWEEP_SECONDS = 3600
"""How late the sweeper of overdue receipts may be."""


@dataclass(frozen=True, slots=True)
class Check:
    """`sql` finds the rows that break the rule; `table` is what it looks through. A warning is
    shown and breaks nothing."""

    name: str
    proves: str
    table: str
    sql: str
    warns_only: bool = False


_KEPT = """(
    SELECT least_id(done_until + interval '1 hour') FROM sweeps WHERE name = 'retention')"""
"""From this id on nothing has been taken away for its age: clocks may differ by less than that."""


def _words(values: Sequence[str] | frozenset[str]) -> str:
    """Words of our own as an SQL list."""
    return ", ".join(f"'{value}'" for value in sorted(values))


_WAITING = _words(frozenset(states.WAITING))
_PAIRS = ", ".join(
    f"('{work}', '{state}')"
    for work, standing in work_states.SEGMENTS.items()
    for state in sorted(standing)
)
_UNSENT = _words(refunds.ENDED_UNSENT)
_ROADS = ", ".join(
    f"('{kind}', '{source}', '{target}')" for kind, (source, target) in ROADS.items()
)

_WALLETS = f"""
SELECT w.wallet_id, w.account_id, w.balance_micro, coalesce(m.net_micro, 0) AS transfers_micro
FROM wallets w
LEFT JOIN (
    SELECT wallet_id, sum(amount_micro)::bigint AS net_micro
    FROM (SELECT to_wallet_id AS wallet_id, amount_micro FROM transfers
          UNION ALL SELECT from_wallet_id, -amount_micro FROM transfers) t
    GROUP BY wallet_id
) m USING (wallet_id)
WHERE w.balance_micro < 0
   OR w.balance_micro <> CASE WHEN w.book = '{Book.CUSTOMER}' THEN coalesce(m.net_micro, 0)
                         ELSE 0 END"""

_DIRECTIONS = f"""
SELECT t.transfer_id, t.kind, f.book AS from_book, d.book AS to_book
FROM transfers t
LEFT JOIN wallets f ON f.wallet_id = t.from_wallet_id
LEFT JOIN wallets d ON d.wallet_id = t.to_wallet_id
WHERE t.amount_micro <= 0 OR f.currency IS DISTINCT FROM d.currency
   OR (t.kind, f.book, d.book) IN ({_ROADS}) IS NOT TRUE"""

_DEBITS = f"""
SELECT coalesce(s.message_id, t.message_id) AS message_id, coalesce(s.part, t.part) AS part,
       CASE WHEN t.debit_count IS NULL THEN 'no debit' WHEN s.message_id IS NULL THEN 'no segment'
            WHEN t.debit_count > 1 THEN 'debited twice' ELSE 'other amount or wallet' END AS fault
FROM (SELECT p.message_id, p.part, m.segment_price_micro, m.wallet_id
      FROM parts p JOIN messages m USING (message_id)) s
FULL JOIN (
    SELECT message_id, part, count(*) AS debit_count, min(amount_micro) AS amount_micro,
           min(from_wallet_id) AS wallet_id
    FROM transfers WHERE kind = '{Kind.DEBIT}' GROUP BY message_id, part
) t USING (message_id, part)
WHERE coalesce(s.message_id, t.message_id) >= {_KEPT}
  AND (t.debit_count IS DISTINCT FROM 1 OR s.segment_price_micro IS DISTINCT FROM t.amount_micro
       OR s.wallet_id IS DISTINCT FROM t.wallet_id)"""

# Evidence that came after a refund changes the status, never the money: then the segment may stand
# anywhere a carrier's word could bring it, but was accepted later than it was refunded.
_REFUNDS = f"""
SELECT r.message_id, r.part, r.refund_count, s.state, s.accepted_at, r.created_at AS refunded_at
FROM (
    SELECT message_id, part, count(*) AS refund_count, min(amount_micro) AS amount_micro,
           min(from_wallet_id) AS from_wallet_id, min(to_wallet_id) AS to_wallet_id,
           min(created_at) AS created_at
    FROM transfers WHERE kind = '{Kind.REFUND}' GROUP BY message_id, part
) r
LEFT JOIN transfers d ON d.message_id = r.message_id AND d.part = r.part AND d.kind = '{Kind.DEBIT}'
LEFT JOIN segments s ON s.message_id = r.message_id AND s.part = r.part
WHERE r.refund_count > 1 OR r.amount_micro IS DISTINCT FROM d.amount_micro
   OR r.to_wallet_id IS DISTINCT FROM d.from_wallet_id
   OR r.from_wallet_id IS DISTINCT FROM d.to_wallet_id
   OR (r.message_id >= {_KEPT}
       AND ((s.accepted_at IS NULL AND s.state IN ({_UNSENT})) OR s.accepted_at > r.created_at)
           IS NOT TRUE)"""

_UNREFUNDED = f"""
SELECT s.message_id, s.part, s.state FROM segments s
WHERE s.accepted_at IS NULL AND s.state IN ({_UNSENT})
  AND NOT EXISTS (SELECT FROM transfers t WHERE t.message_id = s.message_id AND t.part = s.part
                  AND t.kind = '{Kind.REFUND}')"""

_DAILY_LIMITS = """
SELECT w.wallet_id, w.account_id, w.daily_limit, a.daily_limit AS account_daily_limit
FROM wallets w JOIN accounts a USING (account_id)
WHERE w.daily_limit IS DISTINCT FROM CASE WHEN a.currency = w.currency THEN a.daily_limit END"""

_OWNERS = """
SELECT m.message_id, m.account_id, m.line_id, m.carrier_id, m.wallet_id FROM messages m
LEFT JOIN lines l ON l.line_id = m.line_id AND l.account_id = m.account_id
LEFT JOIN accounts a ON a.account_id = m.account_id
LEFT JOIN wallets w ON w.wallet_id = m.wallet_id AND w.account_id = a.payer_account_id
                   AND w.currency = m.currency
LEFT JOIN carriers c ON c.carrier_id = m.carrier_id
WHERE l.line_id IS NULL OR w.wallet_id IS NULL OR c.carrier_id IS NULL"""

_PARTS = """
SELECT s.message_id, s.part, m.segment_count FROM segments s
LEFT JOIN messages m USING (message_id)
WHERE (s.part BETWEEN 1 AND m.segment_count) IS NOT TRUE"""

# A claim deletes the row and takes every waiting part with it; parts that go back to the queue get
# a row again in the same transaction. So parts wait exactly as long as there is a row.
_WORK = f"""
SELECT coalesce(w.message_id, s.message_id) AS message_id, w.state AS work_state,
       w.segment_count, s.waiting_count, s.states
FROM work w
FULL JOIN (SELECT message_id, count(*) AS waiting_count, string_agg(DISTINCT state, ',') AS states
           FROM parts WHERE {segments.IS_WAITING} GROUP BY message_id) s USING (message_id)
WHERE w.segment_count IS DISTINCT FROM s.waiting_count
   OR (w.state, s.states) NOT IN ({_PAIRS})"""

_OVERDUE_WORK = f"""
SELECT message_id, line_id, state, ready_at, expires_at FROM work
WHERE expires_at < now() - interval '{GRACE_SECONDS} seconds'
   OR (state = 'scheduled' AND ready_at < now() - interval '{GRACE_SECONDS} seconds')"""

# After a restart of PostgreSQL nobody could be heard, so every worker gets the same time again.
_SUBMITTING = f"""
SELECT u.message_id, u.part, u.worker_id, u.submitted_at, s.state FROM submits u
LEFT JOIN messages m USING (message_id)
LEFT JOIN segments s USING (message_id, part)
LEFT JOIN workers w ON w.worker_id = u.worker_id
WHERE (u.part BETWEEN 1 AND m.segment_count) IS NOT TRUE
    OR s.state NOT IN ({_WAITING}, 'submitting')
    OR u.submitted_at < now() - interval '{SUBMITTING_SECONDS} seconds'
    OR greatest(w.seen_at, u.submitted_at, pg_postmaster_start_time())
       < now() - interval '{GRACE_SECONDS + workers.SILENCE_SECONDS} seconds'"""

_NO_RECEIPT = f"""
SELECT message_id, part, state, submitted_at FROM segments
WHERE state IN ('submitted', 'in_doubt')
  AND (submitted_at < now() - (SELECT receipt_deadline())
                          - interval '{SWEEP_SECONDS} seconds') IS NOT FALSE"""

_SUB_ACCOUNTS = """
SELECT a.account_id, a.name, a.parent_account_id, w.wallet_id
FROM accounts a
JOIN accounts p ON p.account_id = a.parent_account_id
LEFT JOIN wallets w ON w.account_id = a.account_id
WHERE p.parent_account_id IS NOT NULL OR w.wallet_id IS NOT NULL OR p.currency <> a.currency"""

# A line whose parked messages have expired keeps its row until its time comes.
_PARKED_LINES = f"""
SELECT coalesce(p.line_id, w.line_id) AS line_id, p.ready_at, coalesce(w.parked_count, 0) AS parked
FROM parked_lines p
FULL JOIN (SELECT line_id, count(*) AS parked_count FROM work WHERE state = 'parked'
           GROUP BY line_id) w USING (line_id)
WHERE p.line_id IS NULL
   OR (w.line_id IS NULL AND p.ready_at < now() - interval '{GRACE_SECONDS} seconds')"""

# What follows what: an account's rows all together, then page after page. Of an account older than
# the retention, the first events may be gone for their age.
_NUMBERS = """
SELECT coalesce(a.account_id, h.account_id, e.account_id) AS account_id, h.last_sequence,
       e.event_count, e.least, e.greatest, e.is_broken
FROM accounts a
FULL JOIN event_heads h USING (account_id)
FULL JOIN (
    SELECT account_id, sum(event_count) AS event_count, min(least) AS least,
           max(greatest) AS greatest,
           bool_or(is_uneven OR event_count <> greatest - least + 1 OR least <> before + 1)
               AS is_broken
    FROM (
        SELECT *, lag(greatest) OVER (PARTITION BY account_id ORDER BY is_page, greatest) AS before
        FROM (
            SELECT account_id, false AS is_page, count(*) AS event_count, min(sequence) AS least,
                   max(sequence) AS greatest, false AS is_uneven
            FROM events GROUP BY account_id
            UNION ALL
            SELECT account_id, true, cardinality(message_ids),
                   last_sequence - cardinality(message_ids) + 1, last_sequence,
                   NOT cardinality(message_ids) = ALL (ARRAY[
                       cardinality(statuses), cardinality(reasons), cardinality(refs),
                       coalesce(cardinality(happened_at), cardinality(message_ids))])
            FROM event_pages
        ) span
    ) follower GROUP BY account_id
) e USING (account_id)
CROSS JOIN (SELECT done_until FROM sweeps WHERE name = 'retention') gone
WHERE a.account_id IS NULL OR h.last_sequence IS NULL
   OR h.last_sequence <> e.greatest OR e.is_broken
   OR (a.created_at > gone.done_until AND h.last_sequence <> coalesce(e.event_count, 0))"""

_LAST_EVENTS = f"""
SELECT coalesce(m.message_id, e.message_id) AS message_id, m.status, e.status AS last_event
FROM messages m
FULL JOIN (SELECT DISTINCT ON (message_id) message_id, account_id, status
           FROM all_events WHERE status NOT LIKE '%.%'
           ORDER BY message_id, sequence DESC NULLS FIRST, note_id DESC) e USING (message_id)
WHERE coalesce(m.message_id, e.message_id) >= {_KEPT}
  AND (m.status IS DISTINCT FROM coalesce(
           e.status, CASE WHEN m.send_at IS NULL THEN 'queued' ELSE 'scheduled' END)
       OR e.account_id <> m.account_id)"""

_INBOUND_EVENTS = f"""
SELECT coalesce(i.inbound_id, e.message_id) AS inbound_id, i.account_id,
       e.told_accounts::text
FROM inbound i
FULL JOIN (SELECT message_id, array_agg(account_id) AS told_accounts
           FROM all_events WHERE status = '{event_types.INBOUND_RECEIVED}' GROUP BY message_id) e
    ON e.message_id = i.inbound_id
WHERE coalesce(i.inbound_id, e.message_id) >= {_KEPT}
  AND coalesce(e.told_accounts, '{{}}') <> array_remove(ARRAY[i.account_id], NULL)"""

_LINE_USAGE = """
SELECT l.line_id, u.hour_count, l.hour_limit, u.day_count, l.day_limit, u.month_count, l.month_limit
FROM lines l
JOIN (
    SELECT scope,
           sum(segment_count) FILTER (WHERE age < 60) AS hour_count,
           sum(segment_count) FILTER (WHERE age < 1440) AS day_count,
           sum(segment_count) FILTER (WHERE age < 44640) AS month_count
    FROM (SELECT scope, segment_count,
                 floor(extract(epoch FROM now()) / 60)::bigint - minute AS age
          FROM limit_usage WHERE scope LIKE 'line:%') t
    GROUP BY scope
) u ON u.scope = 'line:' || l.line_id
WHERE u.hour_count > l.hour_limit OR u.day_count > l.day_limit OR u.month_count > l.month_limit"""

_REFUNDED_COUNTS = f"""
SELECT coalesce(m.message_id, t.message_id) AS message_id, m.refunded_segment_count,
       coalesce(t.refund_count, 0) AS refund_count
FROM (SELECT message_id, refunded_segment_count, is_counted FROM messages) m
FULL JOIN (SELECT message_id, count(*) AS refund_count FROM transfers
           WHERE kind = '{Kind.REFUND}' GROUP BY message_id) t USING (message_id)
WHERE m.is_counted AND m.refunded_segment_count <> coalesce(t.refund_count, 0)
  AND NOT EXISTS (SELECT FROM statistics_filling)"""

# Of days of which nothing can have been taken away for its age. Reasons and codes are left out:
# codes beyond a number are counted together.
_STATISTICS = """
SELECT coalesce(c.account_id, s.account_id) AS account_id, coalesce(c.day, s.day) AS day,
       coalesce(c.country, s.country) AS country, coalesce(c.class, s.class) AS class,
       coalesce(c.currency, s.currency) AS currency, coalesce(c.status, s.status) AS status,
       c.message_count AS message_count, s.message_count AS told_message_count,
       c.segment_count AS segment_count, s.segment_count AS told_segment_count,
       c.cost_micro AS cost_micro, s.cost_micro AS told_cost_micro
FROM (
    SELECT account_id, (created_at AT TIME ZONE 'UTC')::date AS day, country, class, currency,
           status, count(*) AS message_count, sum(segment_count) AS segment_count,
           sum((segment_count - refunded_segment_count) * segment_price_micro) AS cost_micro
    FROM messages WHERE is_counted GROUP BY 1, 2, 3, 4, 5, 6
) c
FULL JOIN (
    SELECT account_id, day, country, class, currency, status, sum(message_count) AS message_count,
           sum(segment_count) AS segment_count, sum(cost_micro) AS cost_micro
    FROM (
        SELECT account_id, day, country, class, currency, status, message_count, segment_count,
               cost_micro
        FROM statistics
        UNION ALL
        SELECT e.account_id, e.day, e.country, e.class, e.currency, e.status, e.message_count,
               e.segment_count, e.cost_micro
        FROM statistics_pages p CROSS JOIN LATERAL unnest(p.entries) e
    ) told GROUP BY 1, 2, 3, 4, 5, 6
    HAVING sum(message_count) <> 0 OR sum(segment_count) <> 0 OR sum(cost_micro) <> 0
) s USING (account_id, day, country, class, currency, status)
WHERE coalesce(c.day, s.day) > greatest(statistics_begin(), (
          SELECT (done_until AT TIME ZONE 'UTC')::date FROM sweeps WHERE name = 'retention'))
  AND (c.message_count, c.segment_count, c.cost_micro)
      IS DISTINCT FROM (s.message_count, s.segment_count, s.cost_micro)"""

CHECKS = (
    Check("wallets", "balances are the sums of their transfers, none below zero", "wallets",
          _WALLETS),
    Check("transfers", "money moves between the right books of one currency", "transfers",
          _DIRECTIONS),
    Check("debits", "each segment was debited once, at its price", "parts", _DEBITS),
    Check("refunds", "refunds equal their debit, once, for what no carrier took", "transfers",
          _REFUNDS),
    Check("unrefunded", "what ended unsent was refunded", "segments", _UNREFUNDED),
    Check("refunded_counts", "messages say how many of their segments were refunded", "messages",
          _REFUNDED_COUNTS),
    Check("statistics", "statistics are what counting anew gives", "messages", _STATISTICS),
    Check("owners", "messages have a line, wallet and carrier that fit", "messages", _OWNERS),
    Check("daily_limits", "the wallet that pays, and no other, has its account's limit of a day",
          "wallets", _DAILY_LIMITS),
    Check("sub_accounts", "sub-accounts are of main accounts, and have no money", "accounts",
          _SUB_ACCOUNTS),
    Check("parts", "what is written of parts is of parts that a message has", "segments", _PARTS),
    Check("work", "what waits has its row of work, nothing else has", "work", _WORK),
    Check("overdue_work", "nothing waits past its time", "work", _OVERDUE_WORK),
    Check("submitting", "submits end, or their worker lives", "submits", _SUBMITTING),
    Check("no_receipt", "without a receipt, segments become unknown in time", "segments",
          _NO_RECEIPT),
    Check("parked_lines", "lines with parked messages are woken, others are not", "parked_lines",
          _PARKED_LINES),
    Check("event_numbers", "events of an account are numbered without gaps", "all_events",
          _NUMBERS),
    Check("last_events", "the last event of a message is its status", "messages", _LAST_EVENTS),
    Check("inbound_events", "accounts are told once of each of their inbound messages", "inbound",
          _INBOUND_EVENTS),
    Check("deposits", "each credited deposit has its one transfer, and no other deposit has one",
          "deposits", deposit_checks.CREDITED),
    Check("deposits_held", "what cards hold is decided within 48 hours", "deposits",
          deposit_checks.HELD),
    Check("payment_events", "events are about a deposit; what was charged is credited",
          "payment_events", deposit_checks.EVENTS),
    Check("currencies", "an account's currency is that of its last deposit", "accounts",
          deposit_checks.CURRENCIES),
    Check("disputes", "no payer's bank takes money back", "payment_disputes",
          deposit_checks.DISPUTES, warns_only=True),
    Check("invoice_numbers", "a year's invoices are numbered from 1 on, without gaps", "invoices",
          invoices.WITH_GAPS),
    Check("invoices", "each credit of a deposit has one invoice, of its amount", "invoices",
          invoices.UNPAID_OR_MISSING),
    Check("spending", "what was spent in all is what was spent by country", "spending",
          spending.DISAGREEING),
    Check("line_usage", "lines are within their limits (unless these were lowered)", "limit_usage",
          _LINE_USAGE, warns_only=True),
)  # fmt: skip

STATUSES = Check("statuses", "a message's status follows from its segments", "messages", "")
"""Judged by `states.status_of` over the combinations that occur."""

COMBINATIONS = """
SELECT m.status, s.states, count(*) AS message_count
FROM messages m
JOIN (SELECT message_id, array_agg(DISTINCT state ORDER BY state) AS states
      FROM parts GROUP BY message_id) s USING (message_id)
GROUP BY m.status, s.states"""

OF_COMBINATION = """
SELECT m.message_id, m.status, s.states
FROM messages m
JOIN (SELECT message_id, array_agg(DISTINCT state ORDER BY state) AS states
      FROM parts GROUP BY message_id) s USING (message_id)
WHERE m.status = $1 AND s.states = $2 LIMIT $3"""
