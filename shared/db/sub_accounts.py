"""Sub-accounts: accounts that send at the cost of a main account, with its settings.

What they send, get and know of phones is theirs alone. They have no wallet: their main account's
wallet pays, and its daily limit counts what they send. Their currency is that account's (a foreign
key sees to it).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from shared.db import configuration
from shared.db.connection import Connection

COUNT_MAX = 100
"""Sub-accounts of an account."""
SEPARATOR = "/"
"""Between the main account's name and what the sub-account is called within it: so nobody learns
from a name that is taken which other accounts there are."""
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,39}$"


class SubAccount(NamedTuple):
    """A sub-account and how many tokens it has."""

    account_id: int
    name: str
    created_at: datetime
    token_count: int


class SubNameTaken(Exception):
    """The account has a sub-account of this name."""


class TooManySubAccounts(Exception):
    """The account has COUNT_MAX sub-accounts."""


def is_name(text: str) -> bool:
    """Whether a sub-account may be called so within its main account."""
    return re.fullmatch(NAME_PATTERN.strip("^$"), text) is not None


_LOCK = "SELECT FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE"
_COUNT = "SELECT count(*) FROM accounts WHERE parent_account_id = $1"
_INSERT = """
INSERT INTO accounts (name, currency, parent_account_id)
SELECT name || $3 || $2, currency, account_id FROM accounts
WHERE account_id = $1 AND parent_account_id IS NULL
ON CONFLICT (name) DO NOTHING
RETURNING account_id, name, created_at, 0"""
_OPEN_EVENTS = "INSERT INTO event_heads (account_id) VALUES ($1)"


async def create(connection: Connection, main_account_id: int, name: str) -> SubAccount:
    """Make a sub-account of a main account, within a transaction. Raises SubNameTaken,
    TooManySubAccounts."""
    await connection.execute(_LOCK, main_account_id)
    row = await connection.fetchrow(_INSERT, main_account_id, name, SEPARATOR)
    if row is None:
        raise SubNameTaken
    if await connection.fetchval(_COUNT, main_account_id) > COUNT_MAX:
        raise TooManySubAccounts
    await connection.execute(_OPEN_EVENTS, row["account_id"])
    await configuration.bump(connection)
    return SubAccount(*row)


_LISTED = """
SELECT account_id, name, created_at,
       (SELECT count(*) FROM tokens t WHERE t.account_id = a.account_id
        AND (t.expires_at IS NULL OR t.expires_at > now()))
FROM accounts a WHERE parent_account_id = $1 AND ($2::int IS NULL OR account_id = $2)
ORDER BY account_id"""


async def listed(connection: Connection, main_account_id: int) -> list[SubAccount]:
    """The sub-accounts of an account, the oldest first."""
    rows = await connection.fetch(_LISTED, main_account_id, None)
    return [SubAccount(*row) for row in rows]


async def get(connection: Connection, main_account_id: int, account_id: int) -> SubAccount | None:
    """One of them; another account's is None, like one that never was."""
    row = await connection.fetchrow(_LISTED, main_account_id, account_id)
    return None if row is None else SubAccount(*row)
