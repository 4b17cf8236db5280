"""`sluice deposit`: what cards hold, an operator's word about them, and disputes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import cyclopts
import rich.console
import rich.table
from cyclopts import Parameter, validators

from services.commands import database
from services.commands.arguments import Json
from shared.db import deposits, payment_events, settlements
from shared.ledger import money
from shared.ledger.deposits import HoldDecision
from shared.runtime import exits

SHOWN_COUNT_MAX = 1_000
REASON_LENGTH_MAX = 200

DepositLimit = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=SHOWN_COUNT_MAX))]

app = cyclopts.App(name="deposit", help="Deposits by card: what is held, judged, disputed.")


@app.command(name="list")
async def show(*, limit: DepositLimit = 50, as_json: Json = False) -> int:
    """List deposits that were ordered and have not ended, the oldest first.

    Example: sluice deposit list --limit 100 --json

    Parameters
    ----------
    limit
        How many to show at most.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        found = await deposits.unended(connection, limit)
    if as_json:
        print(json.dumps([_as_data(each) for each in found], default=str))
        return exits.OK
    table = rich.table.Table(
        "deposit", "account", "state", "amount", "ordered", "validated by", box=None
    )
    for each in found:
        table.add_row(
            str(each.deposit_id),
            str(each.account_id),
            each.state,
            f"{money.format_amount(each.held_micro or each.amount_micro)} {each.currency}",
            "" if each.ordered_at is None else each.ordered_at.isoformat(timespec="seconds"),
            "" if each.validate_by is None else each.validate_by.isoformat(timespec="seconds"),
        )
    rich.console.Console(highlight=False).print(table)
    return exits.OK


def _as_data(each: deposits.StoredDeposit) -> dict[str, object]:
    """Without the page on which the card is entered: it is the payer's."""
    return {name: value for name, value in asdict(each).items() if name != "checkout_url"}


@app.command
async def approve(deposit: UUID, /) -> int:
    """Take a card that is being validated for good: it is charged, and its amount credited.

    Example: sluice deposit approve 01a21838-357a-7000-950b-228c0698f9e6

    Parameters
    ----------
    deposit
        The deposit's id.
    """
    await _judge(deposit, HoldDecision.CAPTURE, "")
    print("approved: it is charged and credited within seconds")
    return exits.OK


@app.command
async def refuse(deposit: UUID, /, *, reason: str) -> int:
    """Refuse a card that is being validated: what is held is let go of, nothing is charged.

    Example: sluice deposit refuse 01a21838-357a-7000-950b-228c0698f9e6 --reason "stolen card"

    Parameters
    ----------
    deposit
        The deposit's id.
    reason
        Why; the account reads it.
    """
    if not reason.strip() or len(reason) > REASON_LENGTH_MAX:
        raise exits.NotDone(
            exits.BAD_INPUT, f"--reason: say why, in at most {REASON_LENGTH_MAX} characters"
        )
    await _judge(deposit, HoldDecision.CANCEL, reason)
    print("refused: what is held is let go of within seconds")
    return exits.OK


async def _judge(deposit: UUID, decision: HoldDecision, reason: str) -> None:
    async with database.connected() as connection:
        if not await settlements.judge_card(connection, deposit, decision, reason):
            raise exits.NotDone(
                exits.BAD_INPUT, "no such deposit waits for its card: see sluice deposit list"
            )


@app.command
async def disputes(*, limit: DepositLimit = 50, as_json: Json = False) -> int:
    """List what payers' banks have taken back, what is not over first. Wallets are left alone.

    Example: sluice deposit disputes

    Parameters
    ----------
    limit
        How many to show at most.
    as_json
        Print JSON, for programs.
    """
    async with database.connected() as connection:
        found = await payment_events.disputes(connection, limit)
    if as_json:
        print(json.dumps([asdict(each) for each in found], default=str))
        return exits.OK
    table = rich.table.Table("dispute", "deposit", "amount", "why", "status", box=None)
    for each in found:
        amount = f"{money.format_amount(each.amount_micro)} {each.currency}"
        table.add_row(each.dispute_id, str(each.deposit_id), amount, each.reason, each.status)
    rich.console.Console(highlight=False).print(table)
    return exits.OK
