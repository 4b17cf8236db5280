"""`sluice carrier probe`: one message through a carrier, followed to its end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import asyncpg
import msgspec
from cyclopts import Parameter

from services.commands import database, message
from services.commands.arguments import Json
from services.commands.tokens import Key
from shared.access import keys, seals
from shared.db import configuration, events, messages, probes, traces
from shared.db.connection import Connection
from shared.rules.compose import Draft, Wish, compose
from shared.rules.refusals import Refusal
from shared.rules.routes import ANYWHERE
from shared.rules.snapshot import Account, Configuration
from shared.runtime import exits, ids, logs, settings
from shared.shapes import message_trace
from shared.sms import states

POLL_SECONDS: Final = 0.3
VALID_SECONDS: Final = 600
"""Whatever becomes of the probe, after this nothing of it is sent any more."""
_FINAL: Final = frozenset(str(state) for state in states.FINAL)
From = Annotated[str | None, Parameter(name="--from")]


async def run(
    name: str,
    /,
    *,
    to: str,
    account: str | None = None,
    sender: From = None,
    text: str | None = None,
    timeout: float = 60.0,
    as_json: Json = False,
) -> int:
    """Send one test message through a carrier, and follow it to its end.

    It is an ordinary message of an account, which pays for it: rules, limits and prices apply, only
    the routes do not. An ingest and a dispatcher must be running. Exit status 1: it was refused or
    not delivered, or by another carrier, for this one was not well; or nothing final was heard in
    time.

    Example: sluice carrier probe acme --to +33612345678 --account demo

    Parameters
    ----------
    name
        The carrier's name.
    to
        The phone, in E.164: +33612345678.
    account
        Whose message it is; may be left out where there is one account only.
    sender
        From which of its lines; without it, from its default line.
    text
        What it says; without it, a sentence with the time.
    timeout
        Seconds to wait for its end; at most 600.
    as_json
        Print the message's trace, as `sluice message trace --json` does.
    """
    now = datetime.now(UTC)
    said = f"Test of the carrier {name} at {now:%H:%M:%S} UTC" if text is None else text
    wish = Wish(to, said, sender, valid_seconds=VALID_SECONDS, reference="probe")
    async with database.connected() as connection:
        current = await configuration.load(connection)
        payer = _account(current, account)
        draft = compose(only_by(current, name), payer, wish, ids.uuid7(), now)
        message_id = await _accepted(connection, draft)
        if not as_json:
            print(
                f"message {message_id}, for at most {min(timeout, VALID_SECONDS):.0f} s", flush=True
            )
        status = await _end(connection, payer, message_id, min(timeout, VALID_SECONDS))
        await events.number(connection)
        stored = await traces.read(connection, payer.account_id, message_id)
    if stored is None:
        raise exits.NotDone(exits.FAILED, f"message {message_id} is gone")
    shown = message_trace.shown(stored, logs.mask)
    ways = [entry.carrier for entry in shown.timeline if entry.what == "rerouted"]
    other = str(ways[-1]) if ways and ways[-1] != name else None
    if as_json:
        print(msgspec.json.encode(shown).decode())
    else:
        message.print_trace(shown, payer.name)
        print(_verdict(status, timeout) if other is None else _moved(status, other))
    is_well = status == states.MessageStatus.DELIVERED and other is None
    return exits.OK if is_well else exits.FAILED


def only_by(current: Configuration, name: str) -> Configuration:
    """The configuration with one route only, to this carrier, however it stands. Raises
    NotDone."""
    for carrier in current.carriers.values():
        if carrier.name == name:
            only = {ANYWHERE: (carrier.carrier_id,)}
            return replace(
                current, routes=only, route_tables={}, has_plain_routes=True, standings={}
            )
    raise exits.NotDone(exits.BAD_INPUT, f"there is no carrier {name!r}")


def _account(current: Configuration, name: str | None) -> Account:
    found = [each for each in current.accounts.values() if name in (None, each.name)]
    if len(found) == 1:
        return found[0]
    if name is not None:
        raise exits.NotDone(exits.BAD_INPUT, f"there is no account {name!r}")
    raise exits.NotDone(exits.BAD_INPUT, "say whose message it is: --account NAME")


async def _accepted(connection: Connection, draft: Draft | Refusal) -> UUID:
    """The message's id, once it is stored. Raises NotDone with the reason of a refusal."""
    if isinstance(draft, Draft):
        sealing = None
        if not draft.store_body:
            sealing = seals.Seals(keys.Keys.read(settings.load(Key).secret_key))
        try:
            async with connection.transaction():
                draft = await probes.accept(connection, draft, sealing)
        except asyncpg.CheckViolationError:
            raise exits.NotDone(
                exits.FAILED, "refused: the balance does not cover this message"
            ) from None
    if isinstance(draft, Refusal):
        raise exits.NotDone(exits.FAILED, f"refused: {draft.code}: {draft.detail}")
    return draft.message_id


async def _end(
    connection: Connection, account: Account, message_id: UUID, timeout_seconds: float
) -> str:
    """The last status within that time."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = await messages.get(connection, account.account_id, message_id)
        status = "" if found is None else found.status
        if status in _FINAL or time.monotonic() >= deadline:
            return status
        await asyncio.sleep(POLL_SECONDS)


def _moved(status: str, other: str) -> str:
    return f"{status}, but by {other}: the carrier was sick, down, or did not serve the number"


def _verdict(status: str, timeout_seconds: float) -> str:
    if status == states.MessageStatus.DELIVERED:
        return "delivered: the carrier works"
    if status in _FINAL:
        return f"{status}: what the carrier said stands above"
    if status == states.MessageStatus.SUBMITTED:
        return f"the carrier took it, and no receipt came within {timeout_seconds:.0f} s"
    waits = "is a dispatcher running, and bound (/health/ready)? `sluice carrier check` tells more"
    return f"still {status} after {timeout_seconds:.0f} s: {waits}"
