"""A thousand messages wait, and phones say STOP while they are sent: nothing is submitted whose
intent is later than the opt-out, and what was not sent is paid back."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import NamedTuple

import aiohttp
import asyncpg

from tests.chaos import scenario
from tests.chaos.arena import Arena
from tests.chaos.books import Submit

ROUND_COUNT = int(os.environ.get("SLUICE_TEST_OPT_OUT_ROUNDS", "2"))
PHONE_COUNT = 10
MESSAGES_A_PHONE = 100
STOP_SECONDS_MAX = 0.4
REST_SECONDS = 30.0
ACCOUNT = "asked"
LINES = [f"+336987650{number:02}" for number in range(ROUND_COUNT)]
BYSTANDER = "+33612346999"
PRICE_MICRO = 45_300
LIMIT = 800
"""Segments an hour on the line of a round: the rest waits, parked."""

CONFIGURATION = f"""
[[account]]
name = "{ACCOUNT}"
currency = "EUR"
daily_limit = 10000000
requests_per_minute = 10000000
credit = "100000"
registration_enforced = false
""" + "".join(
    f"""
[[line]]
account = "{ACCOUNT}"
sender = "{line}"
kind = "mobile"
country = "FR"
limits = {{ hour = {LIMIT}, day = 100000, month = 100000 }}
"""
    for line in LINES
)

# When each intent and each opt-out was committed: the one's own row goes, the other's is changed.
_WATCH = """
CREATE TABLE IF NOT EXISTS intents (message_id uuid, part smallint);
CREATE TABLE IF NOT EXISTS refusals (recipient text);
GRANT INSERT ON intents, refusals TO sluice_services;
CREATE OR REPLACE FUNCTION note_intent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO intents VALUES (new.message_id, new.part);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER note_intent AFTER INSERT ON submits
    FOR EACH ROW EXECUTE FUNCTION note_intent();
CREATE OR REPLACE FUNCTION note_refusal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO refusals VALUES (new.recipient);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER note_refusal AFTER INSERT ON opt_outs
    FOR EACH ROW EXECUTE FUNCTION note_refusal();"""

_QUEUED = "SELECT count(*) FROM work JOIN lines USING (line_id) WHERE sender = $1"

_BOOK = """
SELECT m.recipient, m.message_id, m.status, m.reason, m.body = $2 AS is_order,
       (SELECT count(*) FROM intents i WHERE i.message_id = m.message_id) AS intent_count,
       (SELECT count(*) FROM intents i WHERE i.message_id = m.message_id
        AND pg_xact_commit_timestamp(i.xmin) >= o.committed_at) AS late_count,
       (SELECT count(*) FROM transfers t
        WHERE t.message_id = m.message_id AND t.kind = 'refund') AS refund_count,
       extract(epoch FROM o.committed_at) * 1000 AS out_ms
FROM messages m
JOIN (SELECT recipient, pg_xact_commit_timestamp(e.xmin) AS committed_at
      FROM refusals e) o ON o.recipient = m.recipient
WHERE m.sender = $1"""

# The answer to a phone whose line is full may stay parked.
_WAITING = """
SELECT count(*) FROM work w JOIN messages m USING (message_id) JOIN opt_outs o
    ON o.account_id = m.account_id AND o.recipient = m.recipient
WHERE m.sender = $1 AND (w.state <> 'parked' OR m.body = $2)"""


class Round(NamedTuple):
    """What became of the messages of a round."""

    sent_count: int
    canceled_count: int
    late_count: int
    slowest_ms: float
    """From an opt-out's commit to the last submit the carrier had from before it."""


async def test_nothing_is_submitted_whose_intent_is_later_than_the_opt_out(
    battered: Arena,
) -> None:
    # Given a database that knows when what was committed
    await _watch_commits(battered)
    random = scenario.seeded(ACCOUNT)
    battered.apply(CONFIGURATION)
    token = battered.fleet.token(ACCOUNT)
    rounds = [await _play(battered, token, number, random) for number in range(ROUND_COUNT)]
    print(rounds)
    # Then nothing was late in any round, and in each some was sent and some canceled
    assert sum(each.late_count for each in rounds) == 0
    assert all(each.sent_count for each in rounds)
    assert all(each.canceled_count for each in rounds)
    assert await battered.audit_ok()


async def _watch_commits(stage: Arena) -> None:
    async with _connected(stage) as owner:
        await owner.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        await owner.execute(_WATCH)
    await stage.crash("postgres", 0.0)
    await stage.repair()


@asynccontextmanager
async def _connected(stage: Arena) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stage.servers.database_url, timeout=20)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


async def _play(stage: Arena, token: str, number: int, random: Random) -> Round:
    line = LINES[number]
    phones = [f"+3361{number:03}{7100 + each}" for each in range(PHONE_COUNT)]
    text = f"order {number}"
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as client,
        _connected(stage) as owner,
    ):
        # Given dispatchers that know the line
        await _send(stage, client, token, line, [BYSTANDER], text)
        async with asyncio.timeout(REST_SECONDS):
            while await owner.fetchval(_QUEUED, line):
                await asyncio.sleep(0.05)
        # When 1,000 messages are queued, and each phone says STOP at a moment of its own
        await _send(stage, client, token, line, phones, text)
        await asyncio.gather(
            *(
                _stop(stage, client, phone, line, random.uniform(0.0, STOP_SECONDS_MAX))
                for phone in phones
            )
        )
        # And nothing waits any more for those who said so
        async with asyncio.timeout(REST_SECONDS):
            while True:
                rows = await owner.fetch(_BOOK, line, text)
                journal = stage.journal([line.removeprefix("+"), line])
                # An answer that was parked may go meanwhile, when what was canceled leaves it room.
                still = not await _is_restless(owner, line, phones, text)
                if still and rows == await owner.fetch(_BOOK, line, text):
                    break
                await asyncio.sleep(0.1)
    return _judge(journal, text, rows)


async def _send(
    stage: Arena,
    client: aiohttp.ClientSession,
    token: str,
    line: str,
    phones: list[str],
    text: str,
) -> None:
    messages = [{"to": phone, "text": text, "from": line} for phone in phones] * MESSAGES_A_PHONE
    url = f"{stage.fleet.environment['SLUICE_API_URL']}/v1/messages/batch"
    headers = {"Authorization": f"Bearer {token}"}
    for _ in range(100):
        async with client.post(url, json={"messages": messages}, headers=headers) as answer:
            assert answer.status == 202, await answer.text()
            results = (await answer.json())["results"]
        if "error" not in results[0]:
            return
        # Ingest does not know the line yet.
        await asyncio.sleep(0.1)
    raise AssertionError(results[0])


async def _stop(
    stage: Arena, client: aiohttp.ClientSession, phone: str, line: str, seconds: float
) -> None:
    await asyncio.sleep(seconds)
    url = f"http://127.0.0.1:{stage.fleet.ports['simulator']}/inbound"
    async with client.post(url, json={"from": phone, "to": line, "text": "STOP"}) as answer:
        assert answer.status < 300, await answer.text()


async def _is_restless(owner: asyncpg.Connection, line: str, phones: list[str], text: str) -> bool:
    out_count = await owner.fetchval(
        "SELECT count(*) FROM opt_outs WHERE recipient = ANY ($1::text[])", phones
    )
    owed_count = await owner.fetchval(
        "SELECT count(*) FROM auto_replies WHERE answered_at IS NULL AND sender = $1", line
    )
    unsettled = await owner.fetchval(_WAITING, line, text) + await owner.fetchval(
        "SELECT count(*) FROM submits JOIN messages USING (message_id) WHERE sender = $1", line
    )
    return bool(out_count < len(phones) or owed_count or unsettled)


def _judge(journal: list[Submit], text: str, rows: list[asyncpg.Record]) -> Round:
    out_ms = {row["recipient"]: float(row["out_ms"]) for row in rows}
    submitted: Counter[str] = Counter()
    slowest_ms = 0.0
    for entry in journal:
        phone = f"+{entry.recipient.removeprefix('+')}"
        if phone not in out_ms:
            continue
        submitted[phone] += 1
        if entry.whole == text:
            slowest_ms = max(slowest_ms, entry.at_ms - out_ms[phone])
    orders = [row for row in rows if row["is_order"]]
    answers = [row for row in rows if not row["is_order"]]
    canceled = [row for row in orders if row["status"] == "canceled"]
    # Every phone was answered once, and what the carrier has is what was intended, no more
    assert Counter(row["recipient"] for row in answers) == dict.fromkeys(out_ms, 1)
    intended = Counter[str]()
    for row in rows:
        intended[row["recipient"]] += row["intent_count"]
    assert submitted == +intended
    # What was canceled was never intended, and is refunded; what was sent is not
    assert {row["reason"] for row in canceled} <= {"opted_out"}
    for row in orders:
        is_canceled = row["status"] == "canceled"
        assert row["refund_count"] == is_canceled
        assert row["intent_count"] == (not is_canceled)
    return Round(
        len(orders) - len(canceled),
        len(canceled),
        sum(row["late_count"] for row in orders),
        slowest_ms,
    )
