"""The only SQL: one file a concern; the connection comes first, callers open transactions.

Whoever locks more than one row takes them in this order, so that nobody waits in a circle:

1. the limiter's fence, or idempotency keys (advisory; keys are never waited for),
2. receipts that are tried again, lines that have parked messages,
3. rows of work, in the order of their messages' ids, or those nobody holds (SKIP LOCKED),
4. messages with their segments, in the order of ids,
5. wallets, in the order of their ids,
6. the day's usage, under the wallet's lock,
7. heads of event logs, in the order of accounts; last, for they are held until the commit.

A row that nobody else can know yet may be inserted at any time.
"""
