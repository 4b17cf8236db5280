"""`sluice token`: bearer tokens, each shown once; which there are, and their end."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import cyclopts

from services.commands import database
from services.commands.arguments import Flag, Json
from shared.access import keys, tokens
from shared.access.rights import ALL_SCOPES, AccessScope
from shared.db import accounts
from shared.db import tokens as stored
from shared.db.connection import Connection
from shared.runtime import exits, settings

app = cyclopts.App(name="token", help="Bearer tokens of an account.")

GOOD_FOR_MAX = timedelta(days=tokens.GOOD_DAYS_MAX)

_DURATION = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Key(settings.Variables, frozen=True, kw_only=True):
    """What a command reads that makes tokens, or seals carriers' credentials."""

    secret_key: settings.SecretKey

    def __post_init__(self) -> None:
        keys.Keys.read(self.secret_key)


@app.command
async def create(
    account: str,
    name: str,
    /,
    *,
    scope: str | None = None,
    expires_in: str | None = None,
    as_json: Json = False,
) -> int:
    """Make a token for an account and show it, once.

    Example: sluice token create demo laptop --scope read,send --expires-in 90d --json

    Parameters
    ----------
    account
        The account's name.
    name
        What to know the token by; an account has ten at most.
    scope
        What it may do: read, send, admin, with commas between them. Without it: everything.
    expires_in
        For how long it is good: 30m, 12h, 90d. Without it: until it is revoked.
    as_json
        Print {"account", "name", "id", "scopes", "token"}; by id and token the Aircall-shaped API
        is used.
    """
    if not tokens.is_name(name):
        detail = f"a token's name is 1 to {tokens.NAME_LENGTH_MAX} printable characters"
        raise exits.NotDone(exits.BAD_INPUT, detail)
    good_for = None if expires_in is None else _duration(expires_in)
    scopes = _scopes(scope)
    signing = keys.Keys.read(settings.load(Key).secret_key)
    token = tokens.make(signing, narrow=scopes != ALL_SCOPES)
    token_hash, *_ = tokens.hashes(token, signing)
    new = stored.NewToken(name, token_hash, scopes, good_for)
    async with database.connected() as connection, connection.transaction():
        made = await _create(connection, account, new)
    shown = {"account": account, "name": name, "id": made.token_id, "scopes": made.scopes}
    print(json.dumps(shown | {"token": token}) if as_json else token)
    return exits.OK


def _scopes(words: str | None) -> frozenset[AccessScope]:
    if words is None:
        return ALL_SCOPES
    try:
        return frozenset(AccessScope(word.strip()) for word in words.split(","))
    except ValueError:
        known = ", ".join(AccessScope)
        raise exits.NotDone(
            exits.BAD_INPUT, f"--scope: expected some of {known}, with commas between them"
        ) from None


async def _create(connection: Connection, account: str, new: stored.NewToken) -> stored.Token:
    account_id = await _account_id(connection, account)
    try:
        return await stored.create(connection, account_id, new)
    except stored.NameTaken:
        detail = f"account {account!r} already has a token named {new.name!r}"
        raise exits.NotDone(exits.FAILED, detail) from None
    except stored.TooManyTokens:
        detail = f"account {account!r} already has {stored.COUNT_MAX} tokens"
        raise exits.NotDone(exits.FAILED, detail) from None


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    duration = int(match[1]) * _UNITS[match[2]] if match else timedelta(0)
    if not timedelta(0) < duration <= GOOD_FOR_MAX:
        raise exits.NotDone(
            exits.BAD_INPUT, f"--expires-in: expected 30m, 12h or 90d, at most {GOOD_FOR_MAX.days}d"
        )
    return duration


@app.command(name="list")
async def show_all(account: str, /, *, ended: Flag = False, as_json: Json = False) -> int:
    """List an account's tokens: name, id, scopes, creation, expiry, last use; never the token.

    Example: sluice token list demo --ended

    Parameters
    ----------
    account
        The account's name.
    ended
        Also those that were revoked or have expired.
    as_json
        Print {"tokens": [...]}.
    """
    async with database.connected() as connection:
        account_id = await _account_id(connection, account)
        found = await stored.of_account(connection, account_id)
        if ended:
            found += await stored.ended_of_account(connection, account_id)
    if as_json:
        print(json.dumps({"tokens": [*map(_members, found)]}, default=_moment))
    else:
        for token in found:
            print(_line(token))
    return exits.OK


def _members(token: stored.Token) -> dict[str, object]:
    members = asdict(token)
    return {"id": members.pop("token_id"), **members}


def _line(token: stored.Token) -> str:
    moments = [
        f"id {token.token_id}",
        f"may {'+'.join(token.scopes)}",
        f"created {_moment(token.created_at)}",
        f"expires {_moment(token.expires_at)}" if token.expires_at else "expires never",
        f"last used {_moment(token.last_used_at)}" if token.last_used_at else "never used",
    ]
    if token.ended_at is not None:
        moments.append(f"{token.reason} {_moment(token.ended_at)}")
    return f"{token.name}: {', '.join(moments)}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@app.command
async def revoke(account: str, name: str, /) -> int:
    """End a token: no process serves it after a second. Its name may be used again.

    A second time there is nothing to do; a name that never was is a mistake.

    Example: sluice token revoke demo laptop

    Parameters
    ----------
    account
        The account's name.
    name
        The token's name.
    """
    async with database.connected() as connection, connection.transaction():
        account_id = await _account_id(connection, account)
        revoked = await stored.revoke(connection, account_id, name)
        past = [token.name for token in await stored.ended_of_account(connection, account_id)]
    if not revoked and name not in past:
        raise exits.NotDone(exits.BAD_INPUT, f"account {account!r} has no token named {name!r}")
    print(f"token {name!r} of {account}: {'revoked' if revoked else 'had already ended'}")
    return exits.OK


async def _account_id(connection: Connection, name: str) -> int:
    account = await accounts.find(connection, name)
    if account is None:
        raise exits.NotDone(exits.BAD_INPUT, f"there is no account {name!r}")
    return account.account_id
