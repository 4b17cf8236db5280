"""The only SQL: one file a concern; the connection comes first, callers open transactions.

Whoever locks more than one row takes them in this order, so that nobody waits in a circle:

1. the limiter's fence and then that of opt-outs, or idempotency keys (advisory; keys are never
   waited for),
2. receipts that are tried again, lines that have parked messages,
3. rows of work, in the order of their messages' ids, or those nobody holds (SKIP LOCKED),
4. messages of several parts, in the order of ids,
5. submits; then segments, each with its message, in the order of ids,
6. heads of event logs, in the order of accounts, for they are held until the commit: while
   processes of before 0046 live; then only whoever numbers events locks them, having taken that
   turn (advisory), and nothing else but as below,
7. wallets, in the order of their ids; whoever accepts has no lock from 1 to 6 but a key's,
8. the day's usage that is over, then what was spent, under the wallet's lock,
9. the legal entity whose next invoice number is taken, held until the commit, and that number.

Whoever changes opt-outs takes their turn first (advisory), and alone; to make one, then the fence
of opt-outs; then opt-outs, then event logs (6).

Whoever changes consents takes their turn (advisory), and nothing else; whoever accepts what asks
for one shares it, after the keys and before all rows.

Whoever adds up what was spent takes pages that nobody holds, one caller at a time (SKIP LOCKED),
then 8, in the order of wallets and countries, as those who accept.

Whoever settles a deposit locks it first, alone, then its account, then 6 and all its wallets (7),
the configuration's version, and last the legal entity. Whoever applies a file locks the accounts
that it is about, in the order of their ids, and all their wallets (7), before it writes anything.

Whoever sets an account's caps takes their turn (advisory); then caps, then its wallets (7), which
are told that somebody watches them. Whoever asks for support takes that turn (advisory) alone.

Webhooks are locked one at a time, with what hangs on them. Whoever makes one locks its account,
then takes the turn of those who number events.

Whoever makes a line of a name that an account uses for the first time locks the account, and then
the configuration's version.

Whoever configures a line locks it, what is called back about it, how far that has come, and then
the configuration's version.

Whoever keeps what phones send takes fingerprints in their order, then parts that wait, in the order
of their keys; for words of phones, the turn and the fence of opt-outs; then heads of inbound
messages, then those of event logs (6), both in the order of accounts; then opt-outs.

Whoever makes tokens, users or sub-accounts of an account, or changes or removes users, locks the
account's row first, so that two of them see each other; then what they change, and nothing of 1 to
8. Who signs in takes the attempts of a user and of an address in their order, in a transaction of
their own.

Whoever orders an export takes its account's turn (advisory), and nothing else; whoever counts what
was stored before there were statistics takes messages that nobody holds (SKIP LOCKED).

A row that nobody else can know yet may be inserted at any time.
"""
