"""From a message's trace alone its charge, its carrier and its end can be told, whatever it met.

SLUICE_TEST_TRACES says how many messages are looked at; their traffic has twice as many.
"""

from __future__ import annotations

import asyncio
import os
import time
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import pytest

from shared.db import events, pool, traces
from shared.ledger import money, refunds
from shared.shapes import message_trace
from shared.sms import states
from shared.sms.states import SegmentState as S
from tests import fleet
from tests.e2e.producer import Producer, producer
from tests.receiver import receiving
from tests.servers import as_services

COUNT = int(os.environ.get("SLUICE_TEST_TRACES", "120"))
BATCH_COUNT = 250
REST_SECONDS = 7.0 + COUNT / 100
ENDED_SECONDS = 30.0
SEED = 7

# How often a hundred messages meet what (see `services.simulator.moods`); the others meet nothing.
MAGIC = {"00002": 4, "00003": 3, "00004": 3, "00005": 6, "00006": 8, "00009": 3, "00010": 2}
SILENT = {"00007": 2, "00011": 2}
"""Answers lost: each keeps a place of the window for as long as an answer is waited for."""
CUT = "00008"
TEXTS = ("One part.", "Two parts. " * 20, "Drei Teile ✅ " * 12)


class Truth(NamedTuple):
    """What the tables say of a message."""

    status: str
    carrier: str
    debited_micro: int
    refunded_parts: list[int]
    refunded_micro: int


async def test_a_trace_tells_all_of_a_message_and_hides_what_it_must(
    platform: fleet.Fleet, shop: Producer, rival: Producer
) -> None:
    async with receiving() as receiver:
        # Given a webhook, and a message that is throttled twice before its carrier takes it
        platform.apply(f'[egress]\nallow = ["127.0.0.1:{receiver.port}"]\n')
        webhook = await _webhook(shop, receiver.url)
        sent = await shop.send("+33612300006", "Nobody else reads this.")
        await shop.until(sent["id"], "delivered")
        await receiver.hears(2, 30)
        # When its producer asks for its trace, as soon as the webhook's tries are written down
        async with asyncio.timeout(10):
            while len(_whats(trace := await _trace(shop, sent["id"]), "webhook")) < 2:
                await asyncio.sleep(0.1)
    # Then it has each attempt, the receipt, the events and what the webhook answered
    assert [each["outcome"] for each in _whats(trace, "answered")] == [
        "throttled",
        "throttled",
        "accepted",
    ]
    assert [each["state"] for each in _whats(trace, "receipt")] == ["delivered"]
    assert [each["state"] for each in _whats(trace, "event")] == ["submitted", "delivered"]
    assert [(each["webhook_id"], each["http_status"]) for each in _whats(trace, "webhook")] == [
        (webhook["id"], 204)
    ] * 2
    assert trace["message"]["to"] == "+33612300006"
    times = [each["at"] for each in trace["timeline"]]
    assert times == sorted(times)
    # And no other account has it, and the operator's terminal shows no number unless it is told to
    status, _ = await rival.get(f"/v1/messages/{sent['id']}/trace")
    assert status == 404
    for options in ((), ("--json",)):
        masked = platform.sluice("message", "trace", sent["id"], *options).stdout
        assert "612300006" not in masked
        assert "throttled" in masked
        shown = platform.sluice("message", "trace", sent["id"], "--numbers", *options).stdout
        assert "612300006" in shown
        assert "Nobody else" not in masked + shown
    gone = platform.sluice("message", "trace", str(UUID(int=0)), check=False)
    assert (gone.returncode, "there is no message" in gone.stderr) == (1, True)


async def _webhook(shop: Producer, url: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            body = {"url": url, "events": ["message.*"]}
            status, answer = await shop.post("/v1/webhooks", body)
            if status == 201:
                return dict(answer)
            await asyncio.sleep(0.05)


async def _trace(shop: Producer, message_id: str) -> dict[str, Any]:
    status, trace = await shop.get(f"/v1/messages/{message_id}/trace")
    assert status == 200, trace
    return dict(trace)


def _whats(trace: dict[str, Any], what: str) -> list[dict[str, Any]]:
    return [entry for entry in trace["timeline"] if entry["what"] == what]


async def test_charge_carrier_and_end_follow_from_the_trace_alone(platform: fleet.Fleet) -> None:
    # Given traffic with refusals, throttling, lost answers, a link that is cut, full lines, waits
    # that last too long, and texts of several parts
    platform.apply(
        fleet.account("traced", credit="10000", sender="Traced")
        + fleet.line("traced", "Full", limits=(max(5, COUNT // 25), 10_000_000, 10_000_000))
    )
    # and doubts that are submitted again within seconds
    platform.stop("dispatcher")
    platform.start("dispatcher", SLUICE_RESUBMIT_SECONDS="2")
    await platform.ready("dispatcher")
    random = Random(SEED)
    async with producer(platform, platform.token("traced")) as client:
        message_ids = await _send_all(client, random)
    database = await pool.open_pool(
        as_services(platform.environment["SLUICE_DATABASE_URL"]), "test", 2
    )
    try:
        await _rest(database)
        # When so many traces are read
        chosen = random.sample(message_ids, COUNT)
        wrong: list[tuple[UUID, object, object]] = []
        met: set[str] = set()
        seconds = []
        for message_id in chosen:
            trace, truth, took = await _read(database, message_id)
            seconds.append(took)
            met |= {entry.get("outcome", entry["what"]) for entry in trace["timeline"]}
            if (derived := _derived(trace)) != truth:
                wrong.append((message_id, derived, truth))
    finally:
        await pool.close_pool(database)
        # It would wait for answers that never come.
        platform.kill("dispatcher")
    # Then what follows from each is what the tables say
    assert wrong == []
    # And they were not of the plain way only
    assert met >= {"rejected", "throttled", "lost", "waited", "ended", "refunded", "receipt"}
    seconds.sort()
    print(
        f"\n{COUNT} traces agree, of {len(message_ids)} messages; read in"
        f" p50 {seconds[COUNT // 2] * 1000:.2f} ms, p99 {seconds[COUNT * 99 // 100] * 1000:.2f} ms"
    )


async def _send_all(client: Producer, random: Random) -> list[UUID]:
    """Twice as many as are looked at; the ids."""
    endings = [ending for ending, share in MAGIC.items() for _ in range(share)]
    endings += [ending for ending, share in SILENT.items() for _ in range(share) if COUNT <= 1_000]
    endings += [""] * (100 - len(endings))
    wishes = []
    for number in range(2 * COUNT):
        ending = random.choice(endings) or f"{20 + number % 90_000:05}"
        wish: dict[str, object] = {
            "to": f"+336{random.randrange(100, 380)}{ending}",
            "text": random.choices(TEXTS, (90, 7, 3))[0],
            "delivery": random.choice(("at_most_once", "at_most_once", "at_least_once")),
        }
        if random.random() < 0.1:
            wish |= {"from": "Full"}
        wishes.append(wish)
    # Those for the full line come first, so that they wait when the others have come to rest.
    wishes.sort(key=lambda wish: "from" not in wish)
    wishes += [{"to": f"+336123{ending}", "text": TEXTS[0]} for ending in (CUT, *SILENT)]
    found: list[UUID] = []
    for place in range(0, len(wishes), BATCH_COUNT):
        batch = {"messages": wishes[place : place + BATCH_COUNT]}
        status, answer = await client.post("/v1/messages/batch", batch)
        assert not [result for result in answer["results"] if "id" not in result], answer
        assert status == 202
        found += [UUID(result["id"]) for result in answer["results"]]
    return found


# What waits behind a full line has waited too long.
_OVERDUE = """
WITH overdue AS (
    UPDATE work w SET expires_at = now() FROM lines l
    WHERE l.line_id = w.line_id AND l.sender = 'Full' AND w.state = 'parked' RETURNING w.message_id
)
UPDATE messages m SET expires_at = now() FROM overdue o WHERE o.message_id = m.message_id"""
_WAITING = """
SELECT count(*) FILTER (WHERE m.status IN ('queued', 'parked')),
       count(*) FILTER (WHERE m.status = 'expired' AND NOT EXISTS (
           SELECT FROM segments s WHERE s.message_id = m.message_id AND s.submitted_at IS NOT NULL))
FROM messages m JOIN accounts a USING (account_id) WHERE a.name = 'traced'"""


async def _rest(database: asyncpg.Pool) -> None:
    """Until nothing waits, when what is parked has ended as too old; or for so long, once any of
    that has: what still moves then is looked at where it stands."""
    rested_at = time.monotonic() + REST_SECONDS
    async with asyncio.timeout(REST_SECONDS + ENDED_SECONDS):
        while True:
            await database.execute(_OVERDUE)
            ((waiting_count, ended_count),) = await database.fetch(_WAITING)
            if not waiting_count or (ended_count and time.monotonic() > rested_at):
                return
            await asyncio.sleep(0.25)


async def _read(database: asyncpg.Pool, message_id: UUID) -> tuple[dict[str, Any], Truth, float]:
    """The trace as the API answers, what the tables say at the same moment, and the seconds that it
    took to read the first."""
    async with database.acquire() as opened:
        await events.number(opened)
    async with (
        database.acquire() as opened,
        opened.transaction(isolation="repeatable_read", readonly=True),
    ):
        (row,) = await opened.fetch(_TRUTH, message_id)
        began = time.perf_counter()
        account_id = await traces.owner(opened, message_id)
        assert account_id is not None
        stored = await traces.read(opened, account_id, message_id)
        assert stored is not None
        encoded = msgspec.json.encode(message_trace.shown(stored, mask=None))
        seconds = time.perf_counter() - began
    return dict(msgspec.json.decode(encoded)), Truth(*row), seconds


_TRUTH = """
SELECT m.status, c.name,
       (SELECT sum(amount_micro)::bigint FROM transfers t
        WHERE t.message_id = m.message_id AND t.kind = 'debit'),
       ARRAY(SELECT part FROM transfers t
             WHERE t.message_id = m.message_id AND t.kind = 'refund' ORDER BY part),
       (SELECT coalesce(sum(amount_micro), 0)::bigint FROM transfers t
        WHERE t.message_id = m.message_id AND t.kind = 'refund')
FROM messages m JOIN carriers c USING (carrier_id) WHERE m.message_id = $1"""


def _derived(trace: dict[str, Any]) -> Truth:
    """What follows from the trace. The refund does not come from its word about it: it is due for
    each part that ended and was never taken."""
    price = trace["price"]
    stands, taken = _followed(trace["timeline"], price["segments"])
    segment_micro = money.parse_amount(price["segment_price"])
    due = [part for part, state in stands.items() if refunds.is_due(state, part in taken)]
    carriers = {entry["carrier"] for entry in _whats(trace, "attempt")} | {
        trace["route"]["carrier"]
    }
    told = sum(Decimal(entry["amount"]) for entry in _whats(trace, "debited"))
    assert told == Decimal(price["price"])
    assert [entry["part"] for entry in _whats(trace, "refunded")] == due
    status = states.status_of(stands.values())
    last = [entry["state"] for entry in _whats(trace, "event")][-1:]
    assert last in ([], [status]), f"the last event told of {last}"
    return Truth(
        status,
        ", ".join(sorted(carriers)),
        segment_micro * price["segments"],
        due,
        segment_micro * len(due),
    )


_ANSWERS = {
    "accepted": S.SUBMITTED,
    "rejected": S.REJECTED,
    "lost": S.IN_DOUBT,
    "abandoned": S.IN_DOUBT,
    "throttled": S.QUEUED,
    "unavailable": S.QUEUED,
    "put_back": S.QUEUED,
}
_RECEIPTS = {state: S(state) for state in ("delivered", "undelivered", "expired", "rejected")}


def _followed(timeline: list[dict[str, Any]], part_count: int) -> tuple[dict[int, S], set[int]]:
    """Where each part has come to, by the table of moves; and those that a carrier has taken."""
    stands = dict.fromkeys(range(1, part_count + 1), S.QUEUED)
    taken: set[int] = set()
    for entry in timeline:
        evidence = _evidence(entry)
        for part in (entry["part"],) if "part" in entry else tuple(stands):
            if evidence is not None and ("part" in entry or stands[part] in states.WAITING):
                stands[part] = states.move(stands[part], evidence)
            if evidence is S.SUBMITTED or entry["what"] == "receipt":
                taken.add(part)
    return stands, taken


def _evidence(entry: dict[str, Any]) -> S | None:
    """What an entry is evidence of."""
    match entry["what"]:
        case "attempt":
            return S.SUBMITTING
        case "answered":
            return _ANSWERS[entry["outcome"]]
        case "proved":
            return S.SUBMITTED
        case "waited":
            return S.PARKED
        case "released" | "resubmitted":
            return S.QUEUED
        case "overdue":
            return S.UNKNOWN
        case "receipt":
            return _RECEIPTS.get(entry["state"])
        case "ended":
            return S(entry["state"])
    return None


@pytest.mark.parametrize("change", ["carrier", "debited", "receipt"])
async def test_the_checker_notices_a_trace_that_is_not_true(change: str) -> None:
    # Given the trace of a delivered message, and what the tables would say
    timeline = [
        {"what": "debited", "part": 1, "amount": "0.0453"},
        {"what": "attempt", "part": 1, "carrier": "practice"},
        {"what": "answered", "part": 1, "outcome": "accepted"},
        {"what": "receipt", "part": 1, "state": "delivered"},
    ]
    trace: dict[str, Any] = {
        "price": {"segments": 1, "segment_price": "0.0453", "price": "0.0453"},
        "route": {"carrier": "practice"},
        "timeline": timeline,
    }
    truth = Truth("delivered", "practice", 45_300, [], 0)
    assert _derived(trace) == truth
    # When something in it is another, then it does not agree
    if change == "carrier":
        timeline[1]["carrier"] = "another"
        assert _derived(trace) != truth
    elif change == "debited":
        timeline[0]["amount"] = "0.09"
        with pytest.raises(AssertionError):
            _derived(trace)
    else:
        timeline.pop()
        assert _derived(trace) != truth
