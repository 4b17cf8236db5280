"""Every habit of real carriers that the simulator knows, and several at once: the books agree,
nothing is sent twice, and every doubt ends."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from services.simulator import personalities, simulator
from services.simulator.options import Options
from tests import fleet
from tests.chaos import arena, books, database, faces, load, scenario
from tests.chaos.arena import Arena

VARIABLE = "SLUICE_TEST_PERSONALITY_MESSAGES"
"""How many messages each personality gets, alone and with others; unless set, a few get a few."""
MESSAGE_COUNT = int(os.environ.get(VARIABLE, "150"))
SHORT = (
    "receipts_first,duplicate_receipts,contradicting_receipts,fake_receipts,lost_answers,padded_ids",
    "throttling,odd_receipts,inbound",
)
LONG = (
    *personalities.PERSONALITIES,
    "slow,cuts,wrong_sequences,reused_ids",
    "poison,outage,bind_refusals,fake_receipts,hex_ids",
)
OF_VENDORS = (
    "receipts_first,duplicate_receipts,contradicting_receipts,lost_answers",
    "throttling,cuts,outage,poison,fake_receipts,inbound",
)
NOT_OVER_HTTP = {
    *("bind_refusals", "wrong_sequences", "odd_receipts"),
    *("hex_ids", "decimal_ids", "padded_ids", "upper_ids"),
}
"""Of the last four an HTTP carrier's settings know nothing."""
CASES = [
    *(("smpp", profile) for profile in (*SHORT, *LONG)),
    *(("http", profile) for profile in LONG if not NOT_OVER_HTTP & set(profile.split(","))),
    *((vendor, profile) for vendor in faces.VENDORS for profile in OF_VENDORS),
]
if VARIABLE not in os.environ:
    CASES = [("smpp", SHORT[0]), ("smpp", SHORT[1])]
PER_SECOND = 150.0
BATCH_COUNT = 10
VALID_SECONDS = 10
"""Of messages that some phones never take."""
QUIET_SECONDS = 1.0
DOUBT_SECONDS = 10.0
"""How long nothing more may become known of submits that nothing is known of."""
LATE_SECONDS = 5.0
"""How long no receipt may correct another any more: one whose segment was not found at once, as of
a submit whose answer is lost, is tried again 3.2 s later."""
PATIENCE_SECONDS = 120.0
HOURS_72 = 72 * 3600

ANSWERS_FOR_OTHERS = {"wrong_sequences"}
"""Whose receipts may name an id that an answer gave to another submit."""
LOSES_SUBMITS = {"cuts", "outage"}
SAYS_OTHERWISE = {"contradicting_receipts"}


@dataclass(frozen=True, slots=True)
class Rest:
    """How the messages stood when all had become quiet, and how they ended."""

    quiet: Counter[str]
    ended: Counter[str]


@pytest.mark.parametrize(("face", "profile"), CASES)
async def test_books_agree_whatever_the_carrier_is_like(
    battered: Arena, tmp_path: Path, face: str, profile: str
) -> None:
    # Given a carrier of that personality.
    names = set(profile.split(","))
    (place,) = {faces.WANTS[name] for name in names if name in faces.WANTS} or {faces.PLACES[face]}
    number = CASES.index((face, profile))
    account, sender = f"Personality {number}", f"Person{number}"
    began = time.monotonic()
    async with _carrier(battered, profile, tmp_path, place) as carrier:
        described = _described(battered, place, carrier.smpp_port, carrier.http_port)
        battered.apply(fleet.account(account, sender=sender) + described)
        # When messages of one to three parts are sent, and all has come to rest.
        valid_seconds = VALID_SECONDS if "poison" in names else None
        client = await _send(battered, account, sender, place.prefix, valid_seconds, carrier)
        rest = await _rest(battered, account)
        entries = _entries(tmp_path) + battered.fleet.journal()
        waiting_count = carrier.carrier.outbox.waiting_count
        counts = carrier.carrier.counters.total()
    stored = await database.book(battered.servers.database_url, account)
    journal = _by_part(arena.submits(entries, [sender]), stored)
    verdict = books.compare(client.book, stored, journal, {})
    print(
        f"\n{face} {profile}: {verdict}; at rest {dict(rest.quiet)}, in the end "
        f"{dict(rest.ended)}; {counts.throttled} throttled, {counts.receipts_sent} receipts, "
        f"{counts.inbound_sent} inbound, {counts.accepted} taken here; "
        f"{time.monotonic() - began:.1f} s"
    )
    # Then the books agree, and what the carrier took whole is delivered, whatever it said besides.
    assert verdict.faults == {}
    assert verdict.acknowledged_count == len(stored) == len(client.book) >= MESSAGE_COUNT
    assert not client.strange
    assert _wrong_ends(stored, journal, names) == []
    assert waiting_count == 0
    # What waits for a carrier that is unwell may leave by the next route; then it gets its share.
    assert counts.accepted
    # And doubts end by what the carrier says, except where it never got the submit.
    if not names & (LOSES_SUBMITS | ANSWERS_FOR_OTHERS):
        assert not rest.quiet["in_doubt"] + rest.quiet["submitted"]
    if not names & SAYS_OTHERWISE:
        assert "undelivered" not in await _told(battered, account)
    assert await battered.audit_ok()


@asynccontextmanager
async def _carrier(
    stage: Arena, profile: str, folder: Path, place: faces.Place
) -> AsyncIterator[simulator.Simulator]:
    """A carrier of its own, with all the time in the world until receipts are overdue."""
    random = scenario.seeded(f"{place.face} {profile}")
    dlr_port = stage.fleet.ports["dlr"]
    inbound_url = place.inbound_url(dlr_port)
    wanted = Options(
        profile=profile,
        system_id="",
        password=faces.PASSWORD,
        vendor_key=faces.SECRET,
        journal_path=str(folder / "journal.jsonl"),
        receipt_retry_ms=200,
        callback_url=f"http://127.0.0.1:{dlr_port}/carriers/{place.carrier}/receipts",
        inbound_url=inbound_url,
        vendor_inbound_url=inbound_url,
        callback_secret=faces.SECRET,
        seed=random.randrange(10**6),
    )
    running = await simulator.serve(wanted)
    try:
        yield running
        # A carrier is never deleted: this one moves, so that no dispatcher waits for it for ever.
        ports = stage.fleet.ports
        stage.apply(_described(stage, place, ports["smpp"], ports["simulator"]))
    finally:
        await running.close()
        await _end_doubts_after(stage, HOURS_72)


def _described(stage: Arena, place: faces.Place, smpp_port: int, http_port: int) -> str:
    port = smpp_port if place.face == "smpp" else http_port
    return place.described(port, stage.fleet.ports["dlr"])


async def _send(
    stage: Arena,
    account: str,
    sender: str,
    prefix: str,
    valid_seconds: int | None,
    carrier: simulator.Simulator,
) -> load.Client:
    """All messages, at an even pace, and more of them as long as the carrier has taken none: it may
    let nobody in at first. Returns when all are answered."""
    url, token = stage.fleet.environment["SLUICE_API_URL"], stage.fleet.token(account)
    due = time.monotonic()
    late = due + PATIENCE_SECONDS
    async with load.Client(url, token, scenario.seeded(account), {sender: 1}, 0) as client:
        while len(client.book) < MESSAGE_COUNT or (
            not carrier.carrier.counters.total().accepted and time.monotonic() < late
        ):
            wishes = [client.wish() for _ in range(BATCH_COUNT)]
            for wish in wishes:
                wish.recipient = f"{prefix}{wish.key.removeprefix('key-'):0>5}55"
                wish.valid_seconds = valid_seconds
            client.ask(wishes)
            due += BATCH_COUNT / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await client.answered()
    return client


async def _rest(stage: Arena, account: str) -> Rest:
    """Wait until nothing happens any more; then let receipts be overdue, and wait for that."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    seen, since = Counter[str](), time.monotonic()
    while seen["queued"] or time.monotonic() - since < _patience_seconds(seen):
        assert time.monotonic() < deadline, f"never quiet: {seen}"
        await asyncio.sleep(0.2)
        now = Counter(await database.statuses(stage.servers.database_url, account))
        if now != seen:
            seen, since = now, time.monotonic()
    await _end_doubts_after(stage, 1)
    ended = seen
    while ended["in_doubt"] or ended["submitted"]:
        assert time.monotonic() < deadline, f"doubts do not end: {ended}"
        await asyncio.sleep(0.2)
        ended = Counter(await database.statuses(stage.servers.database_url, account))
    return Rest(seen, ended)


def _patience_seconds(statuses: Counter[str]) -> float:
    if statuses["in_doubt"] + statuses["submitted"]:
        return DOUBT_SECONDS
    return LATE_SECONDS if statuses["undelivered"] else QUIET_SECONDS


async def _end_doubts_after(stage: Arena, seconds: int) -> None:
    async with database.connected(stage.servers.database_url) as connection:
        await connection.execute("UPDATE platform SET receipt_deadline_seconds = $1", seconds)


async def _told(stage: Arena, account: str) -> set[str]:
    """All that the account was ever told of its messages' statuses."""
    async with database.connected(stage.servers.database_url) as connection:
        rows = await connection.fetch(
            "SELECT DISTINCT e.status FROM accounts a JOIN all_events e USING (account_id) "
            "WHERE a.name = $1",
            account,
        )
    return {row["status"] for row in rows}


def _wrong_ends(
    stored: list[books.Stored], journal: list[books.Submit], names: set[str]
) -> list[str]:
    """Segments that did not end as the carrier, which delivers all it takes, has them end."""
    taken = {(submit.recipient, submit.number) for submit in journal}
    allowed = {"delivered", "unknown"} if names & ANSWERS_FOR_OTHERS else {"delivered"}
    return [
        f"{message.recipient[-8:]}/{number}: {part.state}"
        for message in stored
        for number, part in message.parts.items()
        if ((message.recipient, number) in taken) != (part.state in allowed)
        and not (part.state == "unknown" and names & ANSWERS_FOR_OTHERS)
    ]


def _by_part(journal: list[books.Submit], stored: list[books.Stored]) -> list[books.Submit]:
    """The journal with a line for each part, also where a carrier took a long text as one."""
    counts = {message.recipient: len(message.parts) for message in stored}
    return [
        each
        for submit in journal
        for each in (
            [submit]
            if submit.total > 1
            else [
                replace(submit, number=number, total=total)
                for total in [counts.get(submit.recipient, 1)]
                for number in range(1, total + 1)
            ]
        )
    ]


def _entries(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
