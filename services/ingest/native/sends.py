"""POST: messages to send, one or many, and texts to measure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import UNSET
from msgspec.structs import replace

from services.ingest.accept import Answer, Intake
from services.ingest.departures import DepartureForecasts
from services.ingest.native import answers, refusals, requests
from services.ingest.native.requests import PreviewBody, SendBody
from services.ingest.till import Fate
from services.ingest.web import bodies, counts, faults, intakes
from services.ingest.web.entrance import Visit
from shared.db import facts, ledger
from shared.rules.compose import Draft, compose, measure, settle
from shared.rules.refusals import Code, Refusal, Subject
from shared.rules.snapshot import Account
from shared.runtime import ids
from shared.sms import sender_id
from shared.web import problems
from shared.web.problems import Problem

BALANCE_SECONDS = 5.0
TURN_COUNT = 100

_Answering = Callable[[Sequence[Fate], int, str], Answer]


class _Item(msgspec.Struct, frozen=True, gc=False):
    """One message of a request: as written, as read unless that failed, and what it may become."""

    raw: bytes
    body: SendBody | None
    draft: Draft | Problem
    departs_at: datetime

    def __repr__(self) -> str:
        return f"_Item({self.draft!r})"

    @property
    def dry_run(self) -> bool:
        return self.body is not None and self.body.dry_run is True

    @property
    def canonical(self) -> bytes:
        return self.raw if self.body is None else faults.canonical(self.body)


def _read_item(visit: Visit, raw: bytes, message_id: UUID, now: datetime) -> _Item:
    body = requests.decode(requests.send_decoder, raw)
    if isinstance(body, Problem):
        return _Item(raw, None, body, now)
    return _Item(raw, body, _compose(visit, body, message_id, now), now)


async def _read_items(visit: Visit, messages: Sequence[msgspec.Raw]) -> list[_Item]:
    now = datetime.now(UTC)
    items: list[_Item] = []
    # Its ids follow one another, also where several batches are composed in turns: rows that come
    # in the order of their keys leave no page of an index half empty.
    message_ids = [ids.uuid7() for _ in messages]
    for message, message_id in zip(messages, message_ids, strict=True):
        items.append(_read_item(visit, bytes(message), message_id, now))
        if len(items) % TURN_COUNT == 0:
            # A thousand messages take some ten milliseconds; others need not wait for all of them.
            await asyncio.sleep(0)
    return await _forecast(visit, items, now)


async def _forecast(visit: Visit, items: Sequence[_Item], now: datetime) -> list[_Item]:
    """The items with the time they are to leave at, one after the other; who would leave too late
    is refused."""
    departures = visit.context.departures
    await departures.learn(item.draft for item in items if isinstance(item.draft, Draft))
    return [_with_departure(departures, item, now) for item in items]


def _with_departure(departures: DepartureForecasts, item: _Item, now: datetime) -> _Item:
    draft = item.draft
    if not isinstance(draft, Draft):
        return item
    departs_at = departures.admit(draft, now, counts=not item.dry_run)
    if isinstance(departs_at, Refusal):
        return replace(item, draft=refusals.problem_of(departs_at))
    return replace(item, departs_at=departs_at)


def _compose(visit: Visit, body: SendBody, message_id: UUID, now: datetime) -> Draft | Problem:
    wish = requests.wish_of(body, now)
    if isinstance(wish, Problem):
        return wish
    draft = compose(visit.context.watch.current, visit.account, wish, message_id, now)
    return _problem_or_draft(draft)


async def _settled(visit: Visit, drafts: Sequence[Draft | Problem]) -> list[Draft | Problem]:
    """Drafts that are not going to be stored, with their verdicts by what is on record now."""
    asking = [each for each in drafts if not isinstance(each, Problem) and each.case is not None]
    if not asking:
        return [*drafts]
    async with visit.transaction() as opened:
        known = await facts.of_drafts(opened, asking)
    return [
        each
        if isinstance(each, Problem) or each.case is None
        else _problem_or_draft(settle(each, known[each.message_id]))
        for each in drafts
    ]


def _problem_or_draft(fate: Draft | Refusal) -> Draft | Problem:
    return refusals.problem_of(fate) if isinstance(fate, Refusal) else fate


async def _with_dry_runs_settled(visit: Visit, items: Sequence[_Item]) -> Sequence[_Item]:
    places = [place for place, item in enumerate(items) if item.dry_run]
    if not places:
        return items
    settled = await _settled(visit, [items[place].draft for place in places])
    changed = list(items)
    for place, draft in zip(places, settled, strict=True):
        changed[place] = msgspec.structs.replace(items[place], draft=draft)
    return changed


async def send(visit: Visit) -> web.Response:
    """One message: 202 once it is stored and paid for, 200 for a dry run."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    key = bodies.idempotency_key(visit.request)
    await intakes.gather(visit)
    return await _in_todays_currency(visit, partial(_send, raw, key))


async def _in_todays_currency(
    visit: Visit, attempt: Callable[[Visit], Awaitable[web.Response]]
) -> web.Response:
    """The answer; once more where a deposit has just changed the account's currency (M41), of which
    this process had not heard: then nothing was stored."""
    response = await attempt(visit)
    if response.status != 409 or not _is_of_another_currency(response):
        return response
    await visit.context.watch.refresh()
    account = visit.context.watch.current.accounts.get(visit.account_id, visit.account)
    return await attempt(replace(visit, account=account))


def _is_of_another_currency(response: web.Response) -> bool:
    body = response.body
    return isinstance(body, bytes) and f'"{Code.CURRENCY_CHANGED}"'.encode() in body


async def _send(raw: bytes, key: str | None, visit: Visit) -> web.Response:
    now = datetime.now(UTC)
    settled = await _with_dry_runs_settled(visit, [_read_item(visit, raw, ids.uuid7(), now)])
    (item,) = await _forecast(visit, settled, now)
    if not isinstance(item.draft, Problem):
        if item.dry_run:
            return answers.response(answers.dry_run(item.draft, item.departs_at))
        return await _accept(
            visit, [item], key, partial(_answer_single, visit.account, item.departs_at)
        )
    if key is None or item.body is None or item.dry_run:
        return problems.response(item.draft)
    # What is refused now may have been accepted under its key before; only accept can tell.
    refused = _answer_refused(item.draft)
    return await _accept(visit, [item], key, lambda _fates, _balance_micro, _currency: refused)


def _answer_single(
    account: Account,
    departs_at: datetime,
    fates: Sequence[Fate],
    balance_micro: int,
    currency: str,
) -> Answer:
    (fate,) = fates
    if isinstance(fate, Refusal):
        return _answer_refused(refusals.problem_of(fate))
    remaining = answers.remaining(account, balance_micro, currency)
    return Answer(202, answers.encode(answers.accepted(fate, departs_at, remaining)))


def _answer_refused(problem: Problem) -> Answer:
    return Answer(problem.status, problems.encode(problem))


async def send_batch(visit: Visit) -> web.Response:
    """Many messages, each with a fate of its own: 202 with a result for each."""
    raw = await bodies.read(visit.request, bodies.BATCH_SIZE_MAX)
    key = bodies.idempotency_key(visit.request)
    batch = requests.decode(requests.batch_decoder, raw)
    if isinstance(batch, Problem):
        return problems.response(batch)
    return await _in_todays_currency(visit, partial(_send_batch, batch, key))


async def _send_batch(batch: requests.BatchBody, key: str | None, visit: Visit) -> web.Response:
    items = await _with_dry_runs_settled(visit, await _read_items(visit, batch.messages))

    def answer(fates: Sequence[Fate], balance_micro: int, currency: str) -> Answer:
        refused = [each for each in fates if isinstance(each, Refusal)]
        is_none_stored = refused and len(refused) == len(fates)
        if is_none_stored and {each.code for each in refused} == {Code.CURRENCY_CHANGED}:
            return _answer_refused(refusals.problem_of(refused[0]))
        remaining = answers.remaining(visit.account, balance_micro, currency)
        results = list(_results(items, fates))
        return Answer(202, answers.encode(answers.BatchAccepted(results, remaining)))

    if all(item.dry_run for item in items):
        async with asyncio.timeout(BALANCE_SECONDS), visit.context.pool.acquire() as opened:
            purse = await ledger.balance(opened, visit.account_id)
        return answers.response(answer((), *purse).body)
    response = await _accept(visit, items, key, answer)
    if isinstance(response.body, bytes) and response.status < 400:
        counts.note_batch(response.body)
    return response


def _results(items: Sequence[_Item], fates: Sequence[Fate]) -> Iterator[answers.Result]:
    """What became of each message: its own problem, or the fate of its draft."""
    decided = iter(fates)
    for item in items:
        if isinstance(item.draft, Problem):
            yield answers.failed(item.draft)
        elif item.dry_run:
            yield answers.dry_run(item.draft, item.departs_at)
        else:
            fate = next(decided)
            if isinstance(fate, Refusal):
                yield answers.failed(refusals.problem_of(fate))
            else:
                yield answers.accepted(fate, item.departs_at)


async def _accept(
    visit: Visit, items: Sequence[_Item], key: str | None, answer: _Answering
) -> web.Response:
    """Store what is to be stored, and pass on the answer that was stored with it."""
    fingerprints: tuple[bytes, ...] = ()
    if key is not None:
        fingerprints = intakes.fingerprints(
            visit.context.keys, visit.request.path, [item.canonical for item in items]
        )
    drafts = tuple(
        item.draft for item in items if not isinstance(item.draft, Problem) and not item.dry_run
    )
    intake = Intake(visit.account_id, drafts, key, fingerprints, answer)
    answered = await intakes.store(visit, intake)
    if answered.status >= 400:
        return problems.encoded_response(answered.status, answered.body)
    return answers.response(answered.body, answered.status)


async def preview(visit: Visit) -> web.Response:
    """What a text would take, and cost if its recipient is given; nothing is charged."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    body = requests.decode(requests.preview_decoder, raw)
    if isinstance(body, Problem):
        return problems.response(body)
    previewed = _measured(body) if body.to is UNSET else await _priced(visit, body, body.to)
    if isinstance(previewed, Problem):
        return problems.response(previewed)
    return answers.response(previewed)


async def _priced(visit: Visit, body: PreviewBody, to: str) -> answers.Preview | Problem:
    wanted = SendBody(to=to, text=body.text, sender=body.sender, purpose=body.purpose)
    draft = _compose(visit, wanted, ids.uuid7(), datetime.now(UTC))
    if not isinstance(draft, Problem):
        (draft,) = await _settled(visit, [draft])
    return draft if isinstance(draft, Problem) else answers.preview(draft)


def _measured(body: PreviewBody) -> answers.Preview | Problem:
    if body.sender is not UNSET:
        try:
            sender_id.parse(body.sender)
        except sender_id.InvalidSender as error:
            refusal = Refusal(Code.INVALID_SENDER, str(error), Subject.SENDER)
            return refusals.problem_of(refusal)
    if fault := requests.unstorable("text", body.text):
        return fault
    plan = measure(body.text)
    if isinstance(plan, Refusal):
        return refusals.problem_of(plan)
    return answers.Preview(encoding=plan.encoding, segments=plan.segment_count)
