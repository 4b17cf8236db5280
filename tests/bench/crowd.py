"""Accounts' tokens and lines by the thousand, entered faster than the command could."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from shared.access import keys, tokens
from tests import fleet
from tests.bench import workload

_CONNECT_SECONDS = 10.0
_TOKEN_NAME = "bench"
_LIMIT = 10_000_000

_TOKENS = """
INSERT INTO tokens (account_id, name, token_hash)
SELECT a.account_id, $1, t.token_hash
FROM unnest($2::text[], $3::bytea[]) AS t (name, token_hash) JOIN accounts a USING (name)"""

_LINES = """
INSERT INTO lines
    (account_id, sender, kind, country, is_default, hour_limit, day_limit, month_limit)
SELECT a.account_id, s.sender, 'alphanumeric', 'FR', false, $1, $1, $1
FROM accounts a, unnest($2::text[]) AS s (sender)"""

_TELL = "UPDATE configuration_version SET version = version + 1"


async def enter(
    sluice: fleet.Fleet, database_url: str, accounts: Sequence[str], line_count: int
) -> list[str]:
    """Give each account a token and so many lines more; returns the tokens in turn."""
    secret = keys.Keys.read(sluice.environment["SLUICE_SECRET_KEY"])
    made = [tokens.make(secret) for _ in accounts]
    hashed = [tokens.hashes(token, secret)[0] for token in made]
    senders = [workload.sender(number) for number in range(line_count)]
    database = await asyncpg.connect(database_url, timeout=_CONNECT_SECONDS)
    try:
        async with database.transaction():
            await database.execute(_TOKENS, _TOKEN_NAME, accounts, hashed)
            await database.execute(_LINES, _LIMIT, senders)
            await database.execute(_TELL)
    finally:
        await database.close(timeout=_CONNECT_SECONDS)
    return made
