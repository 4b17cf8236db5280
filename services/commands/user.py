"""`sluice user`: people who sign in to an account, and the way to its first owner."""

from __future__ import annotations

import json
import re
import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import cyclopts

from services.commands import database
from services.commands.arguments import Flag, Json
from shared.access import passwords
from shared.access.rights import UserRole
from shared.db import accounts, users
from shared.db.connection import Connection
from shared.runtime import exits, ids, settings

app = cyclopts.App(name="user", help="People who sign in to an account.")

_EMAIL = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]+[.][A-Za-z0-9-]+")
_MADE_BYTES = 15


class HashingCost(settings.Variables, frozen=True, kw_only=True):
    """What a command reads that stores passwords."""

    password_memory_kib: settings.PasswordMemory = settings.PASSWORD_MEMORY_KIB
    password_passes: settings.PasswordPasses = settings.PASSWORD_PASSES


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A password, whether it is to be shown, and its hash."""

    password: str
    is_made: bool
    password_hash: str

    def __repr__(self) -> str:
        return "_Chosen(...)"


@app.command
async def add(
    account: str,
    email: str,
    /,
    *,
    role: UserRole = UserRole.VIEWER,
    password_stdin: Flag = False,
    as_json: Json = False,
) -> int:
    """Make a user of an account and show a first password, once.

    An account's first owner is made so; owners make the others through the API.

    Example: sluice user add demo anna@example.com --role owner

    Parameters
    ----------
    account
        The account's name.
    email
        What the user signs in with, beside the account's name and the password.
    role
        owner, developer, billing or viewer: docs/accounts.md tells what each may do.
    password_stdin
        Read the password from standard input, its first line, instead of making one.
    as_json
        Print {"account", "id", "email", "role", "password"}; without the last if it was read.
    """
    email = _address(email)
    chosen = _choose(email, is_read=password_stdin)
    new = users.NewUser(ids.uuid7(), email, role, chosen.password_hash)
    async with database.connected() as connection, connection.transaction():
        account_id = await _account_id(connection, account)
        try:
            made = await users.create(connection, account_id, new)
        except users.EmailTaken:
            detail = f"account {account!r} already has a user with this address"
            raise exits.NotDone(exits.FAILED, detail) from None
        except users.TooManyUsers:
            detail = f"account {account!r} already has {users.COUNT_MAX} users"
            raise exits.NotDone(exits.FAILED, detail) from None
    shown = {"account": account, "id": str(made.user_id), "email": made.email, "role": made.role}
    _show(shown, chosen, as_json=as_json)
    return exits.OK


@app.command
async def password(
    account: str, email: str, /, *, password_stdin: Flag = False, as_json: Json = False
) -> int:
    """Give a user another password and show it, once. All sessions of that user end.

    Example: sluice user password demo anna@example.com

    Parameters
    ----------
    account
        The account's name.
    email
        The user's address.
    password_stdin
        Read the password from standard input, its first line, instead of making one.
    as_json
        Print JSON, for programs.
    """
    email = _address(email)
    chosen = _choose(email, is_read=password_stdin)
    async with database.connected() as connection, connection.transaction():
        account_id = await _account_id(connection, account)
        user = await _find(connection, account_id, account, email)
        await users.change(connection, account_id, user.user_id, password_hash=chosen.password_hash)
    _show({"account": account, "email": email}, chosen, as_json=as_json)
    return exits.OK


@app.command(name="list")
async def show_all(account: str, /, *, as_json: Json = False) -> int:
    """List an account's users: address, role, creation, last sign-in.

    Example: sluice user list demo

    Parameters
    ----------
    account
        The account's name.
    as_json
        Print {"users": [...]}.
    """
    async with database.connected() as connection:
        found = await users.listed(connection, await _account_id(connection, account))
    if as_json:
        print(json.dumps({"users": [user._asdict() for user in found]}, default=_word))
    else:
        for user in found:
            last = user.last_signed_in_at
            told = f"last signed in {_word(last)}" if last else "never signed in"
            print(f"{user.email}: {user.role}, made {_word(user.created_at)}, {told}")
    return exits.OK


@app.command
async def remove(account: str, email: str, /) -> int:
    """Remove a user and end all their sessions: no process serves them after a second.

    Example: sluice user remove demo anna@example.com

    Parameters
    ----------
    account
        The account's name.
    email
        The user's address.
    """
    email = _address(email)
    async with database.connected() as connection, connection.transaction():
        account_id = await _account_id(connection, account)
        user = await _find(connection, account_id, account, email)
        try:
            await users.delete(connection, account_id, user.user_id)
        except users.LastOwner:
            detail = f"account {account!r} would have no owner any more: make another one first"
            raise exits.NotDone(exits.FAILED, detail) from None
    print(f"user {email} of {account}: removed")
    return exits.OK


def _address(given: str) -> str:
    if not _EMAIL.fullmatch(given):
        raise exits.NotDone(exits.BAD_INPUT, "EMAIL: expected an address, such as anna@example.com")
    return given.lower()


def _choose(email: str, *, is_read: bool) -> _Chosen:
    """The password on standard input, or one that is made now."""
    chosen = sys.stdin.readline().rstrip("\r\n") if is_read else secrets.token_urlsafe(_MADE_BYTES)
    if fault := passwords.fault(chosen, email):
        raise exits.NotDone(exits.BAD_INPUT, fault)
    read = settings.load(HashingCost)
    cost = passwords.Cost(read.password_memory_kib, read.password_passes)
    return _Chosen(chosen, not is_read, passwords.make(chosen, cost))


def _show(shown: dict[str, str], chosen: _Chosen, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(shown | ({"password": chosen.password} if chosen.is_made else {})))
    elif chosen.is_made:
        print(chosen.password)
    else:
        print(f"user {shown['email']} of {shown['account']}: done")


async def _find(
    connection: Connection, account_id: int, account: str, email: str
) -> users.StoredUser:
    for user in await users.listed(connection, account_id):
        if user.email == email:
            return user
    raise exits.NotDone(exits.BAD_INPUT, f"account {account!r} has no user with this address")


async def _account_id(connection: Connection, name: str) -> int:
    account = await accounts.find(connection, name)
    if account is None:
        raise exits.NotDone(exits.BAD_INPUT, f"there is no account {name!r}")
    return account.account_id


def _word(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)
