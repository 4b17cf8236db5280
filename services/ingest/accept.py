"""THE use case of ingest: many requests, one transaction; 202 means stored and paid for (law 2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec
import structlog

from services.ingest import metrics, watching
from services.ingest.patience import Patience
from services.ingest.relay import Relay
from services.ingest.till import Fate, Till
from shared.access.seals import Seals
from shared.db import (
    concatenations,
    connection,
    facts,
    idempotency,
    ledger,
    messages,
    opt_outs,
    sealed_texts,
)
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules.compose import Draft, settle
from shared.rules.refusals import Refusal
from shared.rules.verdicts import Facts
from shared.runtime import batching

_log = structlog.get_logger()

REQUEST_COUNT_MAX = 500
"""Single requests in one transaction."""
BATCH_COUNT_MAX = 4
"""Batch requests, of up to 1,000 messages each, in one transaction."""
PACE_SECONDS = 0.02
"""Between two transactions of single requests, while others keep coming: those go together, for a
transaction costs as much as some twenty messages to begin with. One that comes after a while waits
for nobody."""
SLOW_PACE_SECONDS = 0.06
"""At most, where the transactions would else take more than half of the time."""
QUIET_SECONDS = 0.004
"""When nothing has come for so long, as from producers who all wait for their answers, nobody is
waited for; nor when as many have come as were answered last, who are likely to be the same. On a
busy machine who was answered takes some milliseconds to come again."""
CAREFUL_SECONDS = 1.0
"""For so long after a message was refused for its price, its day, its phone or what is on record
of it, each is looked at before it is stored: who sends on without money does not make others'
transactions run twice."""
FEW_COUNT = BATCH_COUNT_MAX
"""So few answers take no time."""
WAITING_COUNT_MAX = 5_000
ACCEPT_SECONDS = 15.0


class KeyStillRunning(Exception):
    """Another request with this idempotency key has not been answered yet."""


class KeyUsedOtherwise(Exception):
    """This idempotency key was used with another payload."""


class Unavailable(Exception):
    """Nothing was decided; the same request may be made again after a while."""

    def __init__(self, retry_after_seconds: int = 1) -> None:
        super().__init__(f"try again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What the producer reads."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        """Without the body."""
        return f"Answer({self.status})"


class Intake(msgspec.Struct, frozen=True):
    """One request to store: its messages, the producer's key, and how to answer.

    Without a message it may still have an answer under its key. `answer(fates, balance_micro,
    currency)` is pure and called inside the transaction, so that what is stored under the key is
    what is sent; `fates` are those of `drafts`, in their order. `fingerprints` tell the request
    from another under the same key: the first is stored, any is recognised. `key_seconds`: for how
    long; None: as long as any key.
    """

    account_id: int
    drafts: tuple[Draft, ...]
    key: str | None
    fingerprints: tuple[bytes, ...]
    answer: Callable[[Sequence[Fate], int, str], Answer]
    key_seconds: int | None = None


class Acceptor:
    """Gathers concurrent requests into shared transactions; a request alone does not wait.

    Transactions of one account take turns at its wallet. So single requests have one transaction at
    a time, and gather meanwhile, before they are composed (`gather`); of batches one is encoded
    while another is stored.
    """

    def __init__(self, pool: asyncpg.Pool, relay: Relay, seals: Seals) -> None:
        self._pool = pool
        self._relay = relay
        self._seals = seals
        self._patience = Patience(ACCEPT_SECONDS)
        self._running_keys: set[idempotency.Key] = set()
        self._careful_until = 0.0
        self._singles = batching.Batcher[Intake, Answer](
            self._accept,
            size=REQUEST_COUNT_MAX,
            waiting=WAITING_COUNT_MAX,
        )
        self._turnstile = batching.Turnstile(
            self._singles,
            size=REQUEST_COUNT_MAX,
            waiting=WAITING_COUNT_MAX,
            cadence=batching.Cadence(PACE_SECONDS, QUIET_SECONDS, SLOW_PACE_SECONDS),
            patience_seconds=SLOW_PACE_SECONDS,
        )
        self._batches = batching.Batcher[Intake, Answer](
            self._accept, size=BATCH_COUNT_MAX, concurrency=2, waiting=WAITING_COUNT_MAX
        )

    async def gather(self) -> None:
        """Wait for those who go into one transaction with a single request, before it is composed:
        a moment, and no longer while the database is slow. Raises Unavailable."""
        try:
            await self._turnstile.enter()
        except batching.Overloaded:
            raise Unavailable from None

    async def accept(self, intake: Intake) -> Answer:
        """Store and debit, or refuse. Raises KeyStillRunning, KeyUsedOtherwise, Unavailable."""
        if self._relay.backlog_full:
            raise Unavailable(30)
        key = None if intake.key is None else (intake.account_id, intake.key)
        if key in self._running_keys:
            raise KeyStillRunning
        if key is not None:
            self._running_keys.add(key)
        try:
            batcher = self._singles if len(intake.drafts) <= 1 else self._batches
            return await self._patience.ends(batcher.add(intake))
        except batching.Overloaded:
            raise Unavailable from None
        except connection.TRANSIENT as error:
            _log.warning("accept_failed", error=type(error).__name__)
            raise Unavailable from error
        finally:
            if key is not None:
                self._running_keys.discard(key)

    async def drain(self) -> None:
        """Finish what was taken in."""
        await self._turnstile.drain()
        await self._singles.drain()
        await self._batches.drain()

    async def _accept(self, intakes: Sequence[Intake]) -> list[Answer | BaseException]:
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as opened:
            try:
                if time.monotonic() < self._careful_until:
                    raise _NotForAll
                async with opened.transaction():
                    results, stored = await _store_all(opened, self._seals, intakes)
            except (_NotForAll, asyncpg.CheckViolationError):
                async with opened.transaction():
                    results, stored = await _store_some(opened, self._seals, intakes)
                if len(stored) < sum(len(intake.drafts) for intake in intakes):
                    self._careful_until = time.monotonic() + CAREFUL_SECONDS
        metrics.ACCEPTED.inc(len(stored))
        if len(intakes) > FEW_COUNT:
            await self._relay.publish_ahead(stored)
        else:
            self._relay.publish_soon(stored)
        return results


_Results = tuple[list[Answer | BaseException], Sequence[Draft]]
"""What each intake is told, and what was stored."""


class _NotForAll(Exception):
    """Not everything can be stored: each message must be looked at on its own."""


async def _store_all(
    opened: connection.Connection, seals: Seals, intakes: Sequence[Intake]
) -> _Results:
    """The transaction, in the hope that everything can be paid for: the wallets, for which all that
    an account sends at once must wait, are touched last. Raises _NotForAll."""
    results = await _known_answers(opened, intakes)
    asking = [intake for intake, result in zip(intakes, results, strict=True) if result is None]
    if not all(intake.drafts for intake in asking):
        raise _NotForAll
    composed = [draft for intake in asking for draft in intake.drafts]
    known = await facts.of_drafts(opened, composed)
    drafts = _all_settled(composed, known) if known else composed
    left, some_unwanted = await messages.insert(opened, drafts)
    if some_unwanted:
        raise _NotForAll
    if {draft.account_id for draft in drafts} > left.keys():
        raise _NotForAll
    used = await _used_today(opened, left)
    watchers = await watching.watchers(opened, left.values(), drafts, counted=True)
    till = Till(left, used, known, watchers=watchers)
    till.put_back(drafts)
    answers = _decide(intakes, results, till)
    if len(till.accepted) < len(drafts):
        raise _NotForAll
    await _finish(opened, seals, drafts, answers)
    return [_certain(result) for result in results], drafts


async def _store_some(
    opened: connection.Connection, seals: Seals, intakes: Sequence[Intake]
) -> _Results:
    """The transaction: who may run, who can pay for whom, store them all, remember the answers."""
    results = await _known_answers(opened, intakes)
    accounts = sorted(
        {i.account_id for i, result in zip(intakes, results, strict=True) if result is None}
    )
    drafts = [
        draft
        for intake, result in zip(intakes, results, strict=True)
        if result is None
        for draft in intake.drafts
    ]
    till = await _fill_till(opened, drafts, accounts)
    answers = _decide(intakes, results, till)
    await messages.insert(opened, till.accepted)
    await _finish(opened, seals, till.accepted, answers)
    return [_certain(result) for result in results], till.accepted


async def _used_today(
    opened: connection.Connection, purses: Mapping[int, ledger.Purse]
) -> dict[int, int]:
    """What those who pay have used of their limits of a day."""
    used: dict[int, int] = {}
    unknown: set[int] = set()
    for purse in purses.values():
        if purse.used_today is None:
            unknown.add(purse.payer_account_id)
        else:
            used[purse.payer_account_id] = purse.used_today
    if unknown:
        used |= await ledger.used_today(opened, sorted(unknown))
    return used


async def _fill_till(
    opened: connection.Connection, drafts: Sequence[Draft], account_ids: Sequence[int]
) -> Till:
    """What is on record of the drafts and of their phones, and the purses of these accounts, which
    are locked from now on."""
    known = await facts.of_drafts(opened, drafts)
    phones = [opt_outs.PhoneOfAccount(draft.account_id, draft.recipient) for draft in drafts]
    unwanted = await opt_outs.in_force(opened, phones)
    purses = await ledger.lock_purses(opened, account_ids)
    watchers = await watching.watchers(opened, purses.values(), drafts)
    used = await _used_today(opened, purses)
    return Till(purses, used, known, unwanted, watchers)


async def foresee(opened: connection.Connection, draft: Draft) -> Fate:
    """Within a transaction of the caller: what would become of the draft now. Nothing is stored,
    and later it may be otherwise."""
    return (await _fill_till(opened, [draft], [draft.account_id])).take(draft)


def _all_settled(drafts: Sequence[Draft], known: Mapping[UUID, Facts]) -> list[Draft]:
    """The drafts, each with its verdict. Raises _NotForAll if one is refused."""
    settled = []
    for draft in drafts:
        fate = draft if draft.case is None else settle(draft, known[draft.message_id])
        if isinstance(fate, Refusal):
            raise _NotForAll
        settled.append(fate)
    return settled


async def accept_answers(
    opened: connection.Connection, seals: Seals, drafts: Sequence[Draft]
) -> Sequence[Draft]:
    """Within a transaction of the caller: store what phones are answered, as far as it can be paid
    for, also to those that have opted out. Those that were stored, for the relay."""
    accounts = sorted({draft.account_id for draft in drafts})
    purses = await ledger.lock_purses(opened, accounts)
    watchers = await watching.watchers(opened, purses.values(), drafts)
    used = await _used_today(opened, purses)
    till = Till(purses, used, watchers=watchers)
    for draft in drafts:
        till.take(draft)
    await messages.insert(opened, till.accepted)
    await _finish(opened, seals, till.accepted, [])
    metrics.ACCEPTED.inc(len(till.accepted))
    return till.accepted


_KeptAnswer = tuple[idempotency.Key, idempotency.StoredAnswer]


def _decide(
    intakes: Sequence[Intake], results: list[Answer | BaseException | None], till: Till
) -> list[_KeptAnswer]:
    """Fill in the results that are missing; what is to be remembered of them."""
    answers: list[_KeptAnswer] = []
    for place, intake in enumerate(intakes):
        if results[place] is not None:
            continue
        fates = [till.take(draft) for draft in intake.drafts]
        answer = results[place] = intake.answer(fates, *till.balance(intake.account_id))
        if intake.key is not None and any(isinstance(fate, Draft) for fate in fates):
            stored = idempotency.StoredAnswer(
                intake.fingerprints[0], answer.status, answer.body, intake.key_seconds
            )
            answers.append(((intake.account_id, intake.key), stored))
    return answers


async def _finish(
    opened: connection.Connection,
    seals: Seals,
    stored: Sequence[Draft],
    answers: Sequence[_KeptAnswer],
) -> None:
    texts = {each.message_id: each.body for each in stored if not each.store_body}
    await sealed_texts.keep_of_messages(opened, seals, texts)
    long = [each.message_id for each in stored if each.segment_count > 1]
    await concatenations.number(opened, long)
    await idempotency.insert(opened, answers)


async def _known_answers(
    opened: connection.Connection, intakes: Sequence[Intake]
) -> list[Answer | BaseException | None]:
    """For each intake: its stored answer, why it may not run, or None: it is to be decided now."""
    results: list[Answer | BaseException | None] = [None] * len(intakes)
    places = [place for place, intake in enumerate(intakes) if intake.key is not None]
    if not places:
        return results
    keys = [(intakes[place].account_id, intakes[place].key or "") for place in places]
    locked = await idempotency.lock(opened, keys)
    found = await idempotency.find(opened, keys)
    for place, key, is_locked in zip(places, keys, locked, strict=True):
        stored = found.get(key)
        if not is_locked:
            results[place] = KeyStillRunning()
        elif stored is not None:
            same = stored.fingerprint in intakes[place].fingerprints
            results[place] = (
                Answer(stored.http_status, stored.answer) if same else KeyUsedOtherwise()
            )
    return results


def _certain(result: Answer | BaseException | None) -> Answer | BaseException:
    if result is None:
        raise AssertionError("every intake is decided")
    return result
