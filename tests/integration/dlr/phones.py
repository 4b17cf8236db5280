"""Phones that send to lines, and the accounts whose lines they are."""

from __future__ import annotations

import asyncpg

from services.dispatcher.inbound import InboundDesk
from shared.db import apply, inbound, ledger, messages, pool
from shared.rules.compose import Draft
from shared.sms import segmentation
from shared.sms.inbound import Alphabet, InboundPart
from tests.drafts import draft
from tests.keys import SEALS

OWN_LINE = "+33700000001"
SHARED_LINE = "36180"
PHONE = "+33612345678"
OTHER_PHONE = "+33612345679"
ALICE, BOB = 1, 2

_ROWS: tuple[apply.Row, ...] = (
    apply.Account("alice", "EUR", 1_000_000, 60),
    apply.Account("bob", "EUR", 1_000_000, 60),
    apply.Carrier("practice", "smpp", 0, {}),
    apply.Line("alice", OWN_LINE, "mobile", "FR", True, 1000, 1000, 10_000),
    apply.Line("alice", SHARED_LINE, "short_code", "FR", False, 1000, 1000, 10_000),
    apply.Line("bob", SHARED_LINE, "short_code", "FR", True, 1000, 1000, 10_000),
    apply.Credit("alice", "EUR", 100_000_000),
    apply.Credit("bob", "EUR", 100_000_000),
)


async def settle(owner: asyncpg.Connection) -> None:
    """Let accounts, lines and a carrier be there."""
    for row in _ROWS:
        async with owner.transaction():
            await apply.put(owner, row, None)


async def sent(database: asyncpg.Pool, account_id: int, sender: str, recipient: str) -> Draft:
    """A message of the account to a phone, stored as ingest does."""
    async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened, opened.transaction():
        purse = (await ledger.lock_purses(opened, [account_id]))[account_id]
        stored = draft(
            purse.wallet_id,
            purse.revenue_wallet_id,
            45_300,
            account_id=account_id,
            sender=sender,
            recipient=recipient,
        )
        await messages.insert(opened, [stored])
    return stored


def parts(
    text: str, reference: int, sender: str = PHONE, recipient: str = OWN_LINE
) -> list[InboundPart]:
    """A phone's message as its carrier delivers it."""
    return [
        InboundPart(
            sender,
            recipient,
            Alphabet(part.encoding),
            part.udh,
            part.payload,
            segmentation.parse_udh(part.udh),
        )
        for part in segmentation.split(text, reference)
    ]


async def deliver(database: asyncpg.Pool, *delivered: InboundPart) -> None:
    """Hand them to a dispatcher's desk, all at once, and wait until they are stored."""
    desk = InboundDesk(database, SEALS)
    sink = desk.sink(1)
    for storing in [sink(part, lambda: True) for part in delivered]:
        await storing


async def received(database: asyncpg.Pool, account_id: int = ALICE) -> list[inbound.StoredInbound]:
    """All that an account has received, in its order."""
    async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
        return await inbound.after(opened, account_id, 0, 100_000)


async def of_nobody(database: asyncpg.Pool) -> list[inbound.StoredInbound]:
    """All that matched no account."""
    async with database.acquire(timeout=pool.ACQUIRE_SECONDS) as opened:
        return await inbound.of_nobody(opened, 100_000)
