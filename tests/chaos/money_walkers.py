"""Processes that do random things with the money of a few accounts, and are killed while they do.

`python -m tests.chaos.money_walkers DATABASE PROVIDER SEED OPERATIONS PROCESSES` ends when so many
operations were done; it prints them, by kind, and how often a process was killed. It forks rather
than starts its processes, so that a death costs no more than a birth.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg

from services.ingest.settling import FAULTS, Settler
from shared.db import (
    deposits,
    ledger,
    messages,
    payment_events,
    pool,
    segments,
    settlements,
)
from shared.db.deposits import StoredDeposit
from shared.ledger.deposits import HoldDecision
from shared.payments import registry
from shared.payments.contract import ProviderMeans
from shared.runtime import ids
from shared.sms.states import SegmentState
from tests import claims
from tests.drafts import draft

ACCOUNTS = (1, 2, 3, 4, 5, 6)
PRICE_MICRO = 350_000
CARDS = ("mine", "yours", "theirs", "review one", "bounced", "declined")
KILL_SECONDS = (0.1, 1.0)
STEPS = {
    "deposit": 4,
    "switch": 4,
    "event": 14,
    "operator": 4,
    "send": 12,
    "settle": 6,
    "refund": 6,
}
API_KEY = "sk_test_practice"


class Walker:
    """One process. What it does is chance; what it may do is the product's."""

    def __init__(self, database: asyncpg.Pool, provider_url: str, seed: int) -> None:
        self._database = database
        self._provider_url = provider_url
        self._chance = random.Random(seed)
        self._worker = ids.uuid7()
        self._settler: Settler | None = None
        self._client: aiohttp.ClientSession | None = None

    async def walk(self, journal: Path) -> None:
        """Do things until killed; a letter in the journal for each that was done."""
        means = ProviderMeans(API_KEY, ("whsec",), f"{self._provider_url}/payments", "https://x/")
        provider = registry.open_provider("stripe", means)
        self._settler = Settler(
            self._database, provider, timedelta(hours=48), lambda: asyncio.sleep(0)
        )
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        names, weights = list(STEPS), list(STEPS.values())
        with journal.open("ab", buffering=0) as done:
            while True:
                (name,) = self._chance.choices(names, weights)
                try:
                    await getattr(self, name)(self._chance.choice(ACCOUNTS))
                except (*FAULTS, aiohttp.ClientError):
                    # As in production: it is tried again by whoever comes next.
                    pass
                done.write(name[:2].encode())

    async def deposit(self, account_id: int) -> None:
        """In the account's own currency."""
        async with self._database.acquire() as opened:
            held = await ledger.holdings(opened, account_id)
        await self._buy(account_id, held.active)

    async def switch(self, account_id: int) -> None:
        """In another one."""
        await self._buy(account_id, self._chance.choice(("EUR", "GBP", "USD")))

    async def _buy(self, account_id: int, currency: str) -> None:
        assert self._settler is not None
        assert self._client is not None
        deposit_id = ids.uuid7()
        async with self._database.acquire() as opened:
            async with opened.transaction():
                amount_micro = self._chance.randint(100, 2_000) * 10_000
                begun = await deposits.begin(opened, deposit_id, account_id, currency, amount_micro)
            if begun is None:
                return
            await deposits.confirm_details(opened, account_id, deposit_id)
            await deposits.choose_method(opened, account_id, deposit_id, "card")
            accepted = deposits.TermsAccepted("1", "token 1")
            ordered = await deposits.order(opened, account_id, deposit_id, accepted, "stripe")
        if ordered is None:
            return
        await self._settler.open_checkout(ordered)
        async with self._database.acquire() as opened:
            found = await deposits.get(opened, account_id, deposit_id)
        if found is None or found.checkout_url is None:
            return
        card = {"card": self._chance.choice(CARDS)}
        async with self._client.post(found.checkout_url, json=card):
            pass
        if self._chance.random() < 0.7:
            await self._settler.judge_now(deposit_id)

    async def event(self, account_id: int) -> None:
        """The provider tells something of a deposit: again, late, or twice at once."""
        assert self._settler is not None
        deposit = await self._any_deposit(account_id)
        if deposit is None or deposit.provider is None:
            return
        told = payment_events.NewPaymentEvent(
            "stripe",
            f"evt_{deposit.deposit_id}_{self._chance.randrange(4)}",
            "payment_intent.created",
            deposit.deposit_id,
            deposit.payment_id,
            datetime.now(UTC),
            b"",
        )
        async with self._database.acquire() as opened, opened.transaction():
            await payment_events.keep(opened, told)
        at_once = 2 if self._chance.random() < 0.3 else 1
        await asyncio.gather(
            *(self._settler.judge_now(deposit.deposit_id) for _ in range(at_once)),
            return_exceptions=True,
        )

    async def operator(self, account_id: int) -> None:
        """An operator decides about a card."""
        assert self._settler is not None
        deposit = await self._any_deposit(account_id, "pending")
        if deposit is None:
            return
        decision = self._chance.choice((HoldDecision.CAPTURE, HoldDecision.CANCEL))
        async with self._database.acquire() as opened:
            await settlements.judge_card(opened, deposit.deposit_id, decision, "chance")
        await self._settler.judge_now(deposit.deposit_id)

    async def _any_deposit(self, account_id: int, state: str = "") -> StoredDeposit | None:
        async with self._database.acquire() as opened:
            page = await deposits.page(opened, account_id, UUID(int=2**128 - 1), 40)
        fitting = [each for each in page if state in ("", each.state)]
        return self._chance.choice(fitting) if fitting else None

    async def send(self, account_id: int) -> None:
        """A message of up to three segments, as far as the active wallet pays for it."""
        async with self._database.acquire() as opened:
            try:
                async with opened.transaction():
                    purse = (await ledger.lock_purses(opened, [account_id]))[account_id]
                    wanted = draft(
                        purse.wallet_id,
                        purse.revenue_wallet_id,
                        PRICE_MICRO,
                        account_id=account_id,
                        line_id=account_id,
                        currency=purse.currency,
                        segment_count=self._chance.randint(1, 3),
                    )
                    await messages.insert(opened, [wanted])
            except asyncpg.CheckViolationError:
                return

    async def settle(self, account_id: int) -> None:
        """A carrier takes a message."""
        await self._answered(SegmentState.SUBMITTED, accepted=True)

    async def refund(self, account_id: int) -> None:
        """A carrier refuses one: it is given back, in the currency that paid."""
        await self._answered(SegmentState.REJECTED, accepted=False)

    async def _answered(self, state: SegmentState, *, accepted: bool) -> None:
        async with self._database.acquire() as opened, opened.transaction():
            row = await opened.fetchrow(
                "SELECT message_id, segment_count FROM work ORDER BY message_id LIMIT 1"
                " FOR UPDATE SKIP LOCKED"
            )
            if row is None:
                return
            await claims.claim(opened, [row["message_id"]], self._worker)
            await segments.settle(
                opened,
                [
                    segments.Evidence(row["message_id"], part, state, accepted=accepted)
                    for part in range(1, row["segment_count"] + 1)
                ],
            )


async def _live(database_url: str, provider_url: str, seed: int, journal: Path) -> None:
    database = await pool.open_pool(database_url, "walker", 3)
    await Walker(database, provider_url, seed).walk(journal)


def _born(database_url: str, provider_url: str, seed: int, journal: Path) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(_live(database_url, provider_url, seed, journal))
        except BaseException as error:
            print(f"walker ended: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(3)
    return pid


def main() -> int:
    """Fork, kill and fork again until enough was done; then kill all."""
    database_url, provider_url, *numbers = sys.argv[1:6]
    seed, operation_count, process_count = map(int, numbers)
    journal = Path(sys.argv[6])
    chance, killed_count, births = random.Random(seed), 0, 0
    walkers: list[int] = []
    began_at = time.monotonic()
    try:
        while journal.stat().st_size < 2 * operation_count:
            while len(walkers) < process_count:
                births += 1
                walkers.append(
                    _born(database_url, provider_url, seed * 1_000_000 + births, journal)
                )
            time.sleep(chance.uniform(*KILL_SECONDS))
            victim = walkers.pop(chance.randrange(len(walkers)))
            killed_count += _end(victim)
    finally:
        # Also where one has ended by itself: whoever started us waits for all of them.
        for pid in walkers:
            os.kill(pid, signal.SIGKILL)
    killed_count += sum(map(_buried, walkers))
    seconds = time.monotonic() - began_at
    text = journal.read_bytes()
    kinds = Counter(text[place : place + 2].decode() for place in range(0, len(text), 2))
    done = sum(kinds.values())
    print(
        f"{done} operations in {seconds:.0f} s, {killed_count} kills, {dict(sorted(kinds.items()))}"
    )
    return 0


def _end(pid: int) -> int:
    """Kill a walker; raises if it had ended by itself."""
    os.kill(pid, signal.SIGKILL)
    return _buried(pid)


def _buried(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        raise SystemExit("a walker has ended by itself")
    return 1


if __name__ == "__main__":
    sys.exit(main())
