"""`sluice token`: bearer tokens, each shown once."""

from __future__ import annotations

import json

import asyncpg

from services.commands import database, exits
from shared.db import accounts, tokens
from shared.runtime import settings

COUNT_MAX = 10
"""Tokens an account may hold, so that each can be known by its name."""
NAME_LENGTH_MAX = 64


class Key(settings.Variables, frozen=True, kw_only=True):
    """What a command reads that makes tokens."""

    secret_key: settings.SecretKey


async def create(account: str, name: str, *, as_json: bool) -> int:
    """Make a token, store its keyed hash, print the token."""
    if not (name.isprintable() and name.strip() == name and 1 <= len(name) <= NAME_LENGTH_MAX):
        raise exits.Refusal(
            exits.BAD_INPUT, f"a token's name is 1 to {NAME_LENGTH_MAX} printable characters"
        )
    secret_key = settings.load(Key).secret_key
    token = tokens.make()
    async with database.connected() as connection, connection.transaction():
        count = await accounts.lock_token_count(connection, account)
        if count is None:
            raise exits.Refusal(exits.BAD_INPUT, f"there is no account {account!r}")
        if count >= COUNT_MAX:
            raise exits.Refusal(exits.FAILED, f"account {account!r} already has {count} tokens")
        try:
            await tokens.insert(connection, account, name, tokens.digest(token, secret_key))
        except asyncpg.UniqueViolationError:
            raise exits.Refusal(
                exits.FAILED, f"account {account!r} already has a token named {name!r}"
            ) from None
    if as_json:
        print(json.dumps({"account": account, "name": name, "token": token}))
    else:
        print(token)
    return exits.OK
