"""`sluice send`: a file of messages through the API, followed to the end and accounted for."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

import rich.console
import rich.table

from services.commands import api, progress, send_file
from services.commands.arguments import Flag, Json
from shared.ledger import money
from shared.runtime import exits, settings
from shared.sms import states

SENDING_COUNT: Final = 4
"""Batches on the way at once."""
POLL_SECONDS: Final = 0.3
_FINAL: Final = frozenset(str(state) for state in states.FINAL)
_REFUSED_SHOWN: Final = 20


@dataclass(slots=True)
class _Sent:
    """A message that was accepted, and what was last heard of it."""

    segment_count: int
    price_micro: int
    status: str


@dataclass(slots=True)
class _Book:
    """The producer's own account of a job."""

    sent: dict[UUID, _Sent] = field(default_factory=dict)
    refused: list[tuple[int, api.Fault]] = field(default_factory=list)
    currency: str = ""
    seconds: float = 0.0

    def open_ids(self) -> set[UUID]:
        """Accepted messages that have not come to their end."""
        return {key for key, sent in self.sent.items() if sent.status not in _FINAL}


async def run(
    file: Path, /, *, follow: Flag = False, timeout: float = 300.0, as_json: Json = False
) -> int:
    """Send a file of messages through the API, as any producer would.

    CSV with a heading, or JSON lines: to,text and if you like from, reference, class, delivery,
    send_at, valid_for, max_segments, max_price. Needs SLUICE_API_URL and SLUICE_TOKEN. Exit status
    1: an accepted message did not come to its end in time; 2: some were refused.

    Example: sluice send campaign.csv --follow

    Parameters
    ----------
    file
        The file.
    follow
        Wait until every message has come to its end, and show how.
    timeout
        Seconds to wait for that.
    as_json
        Print the result as JSON.
    """
    chosen = settings.load(api.Producer)
    job = send_file.read(file)
    book = _Book()
    began = time.monotonic()
    async with api.connected(chosen.api_url, chosen.token) as way_in:
        with progress.shown(len(job.items), follow=follow) as bar:
            await _send(way_in, job, book, bar)
            book.seconds = time.monotonic() - began
            if follow and book.sent:
                await _follow(way_in, book, bar, timeout)
                book.seconds = time.monotonic() - began
    lost = book.open_ids() if follow else set()
    if as_json:
        print(json.dumps(_as_data(book, lost)))
    else:
        _print(book, lost, timeout)
    if lost:
        return exits.FAILED
    return exits.BAD_INPUT if book.refused else exits.OK


async def _send(way_in: api.Api, job: send_file.Job, book: _Book, bar: progress.Bar) -> None:
    batches = enumerate(send_file.batches(job.items))
    prefix = f"send-{job.digest[:16]}-{time.time_ns():x}"
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDING_COUNT):
                group.create_task(_send_batches(way_in, batches, prefix, book, bar))
    except ExceptionGroup as failed:
        # Not except*: what is raised there comes out wrapped in a group again by some Pythons.
        refusal = failed.exceptions[0]
        if not isinstance(refusal, exits.NotDone):
            raise
        raise exits.NotDone(
            refusal.code, f"{refusal}; {len(book.sent)} messages had been accepted"
        ) from None


async def _send_batches(
    way_in: api.Api,
    batches: Iterator[tuple[int, tuple[send_file.Item, ...]]],
    prefix: str,
    book: _Book,
    bar: progress.Bar,
) -> None:
    """Post batches until there are none left; several of these share the iterator."""
    for number, items in batches:
        results = await way_in.send([item.body for item in items], f"{prefix}-{number}")
        for item, result in zip(items, results, strict=True):
            if result.id is not None:
                price_micro = money.parse_amount(result.price)
                book.sent[result.id] = _Sent(result.segments, price_micro, result.status)
                book.currency = result.currency
            else:
                fault = result.error or api.Fault("dry_run", "the message asks for a dry run")
                book.refused.append((item.line, fault))
        bar.accepted(len(book.sent), len(book.refused))


async def _follow(way_in: api.Api, book: _Book, bar: progress.Bar, timeout_seconds: float) -> None:
    """Read events until every message has ended or the time is over."""
    deadline = time.monotonic() + timeout_seconds
    open_ids = book.open_ids()
    cursor = "0"
    try:
        async with asyncio.timeout(timeout_seconds):
            while open_ids and time.monotonic() < deadline:
                page = await way_in.events(cursor)
                cursor = page.cursor
                _take(book, page.events, open_ids)
                bar.ended(len(book.sent) - len(open_ids))
                if not page.events:
                    await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return


def _take(book: _Book, events: Iterable[api.Event], open_ids: set[UUID]) -> None:
    for event in events:
        if event.message_id is None or (sent := book.sent.get(event.message_id)) is None:
            continue
        sent.status = event.status
        if event.status in _FINAL:
            open_ids.discard(event.message_id)


def _as_data(book: _Book, lost: set[UUID]) -> dict[str, object]:
    return {
        "accepted": len(book.sent),
        "refused": [
            {"line": line, "code": fault.code, "detail": fault.detail, "field": fault.field}
            for line, fault in sorted(book.refused, key=lambda pair: pair[0])
        ],
        "statuses": {
            status: {"messages": count, "segments": segments, "cost": money.format_amount(micro)}
            for status, count, segments, micro in _totals(book)
        },
        "currency": book.currency,
        "seconds": round(book.seconds, 3),
        "messages_per_second": round(len(book.sent) / max(book.seconds, 1e-9), 1),
        "lost": sorted(str(message_id) for message_id in lost),
    }


def _totals(book: _Book) -> list[tuple[str, int, int, int]]:
    """(status, messages, segments, price in micro-units), by status."""
    counts: Counter[str] = Counter()
    segments: Counter[str] = Counter()
    prices: Counter[str] = Counter()
    for sent in book.sent.values():
        counts[sent.status] += 1
        segments[sent.status] += sent.segment_count
        prices[sent.status] += sent.price_micro
    return [(status, counts[status], segments[status], prices[status]) for status in sorted(counts)]


def _print(book: _Book, lost: set[UUID], timeout_seconds: float) -> None:
    console = rich.console.Console(highlight=False)
    table = rich.table.Table("status", box=None, show_footer=False)
    for heading in ("messages", "segments", f"cost {book.currency}".rstrip()):
        table.add_column(heading, justify="right")
    totals = _totals(book)
    for status, count, segments, micro in totals:
        table.add_row(status, f"{count:,}", f"{segments:,}", money.format_amount(micro))
    _, counts, segment_counts, micros = zip(*totals, strict=True) if totals else ((), (), (), ())
    table.add_row(
        "all", f"{sum(counts):,}", f"{sum(segment_counts):,}", money.format_amount(sum(micros))
    )
    console.print(table)
    rate = len(book.sent) / max(book.seconds, 1e-9)
    console.print(f"{len(book.sent):,} messages in {book.seconds:.1f} s: {rate:,.0f} messages/s")
    for line, fault in sorted(book.refused, key=lambda pair: pair[0])[:_REFUSED_SHOWN]:
        console.print(f"line {line} was refused: {fault.code}: {fault.detail}", markup=False)
    if len(book.refused) > _REFUSED_SHOWN:
        console.print(f"and {len(book.refused) - _REFUSED_SHOWN:,} more were refused")
    if lost:
        console.print(f"{len(lost):,} messages did not end within {timeout_seconds:.0f} s, such as")
        for message_id in sorted(lost)[:_REFUSED_SHOWN]:
            console.print(f"  {message_id}")
