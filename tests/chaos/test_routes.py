"""Five carriers at once, and one of them stands still: the other four do not notice, what waits for
it leaves by them, and what it may have is sent by nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from shared.rules import standings
from tests import fleet
from tests.chaos import books, database, load, scenario
from tests.chaos.arena import DISPATCHERS, Arena
from tests.ports import free_port

SECONDS = float(os.environ.get("SLUICE_TEST_ROUTE_SECONDS", "0"))
"""How long all carriers are well before one is frozen, and how long it is frozen, both beyond what
is needed to see anything. If it is given, it is also waited for that it has come back with all."""
PER_SECOND = float(os.environ.get("SLUICE_TEST_ROUTE_PACE", "100"))
"""Messages to all countries together: so few that no processor is the limit."""
WARM_SECONDS, WELL_SECONDS, FROZEN_SECONDS = 1.0, 2.0, 8.0
MOVED_SECONDS = 10.0
LATE_MS = 1_000.0
"""So much later than the last was asked for what is on its way still counts."""
LOSS_SHARE = 0.05
MEASURING_COUNT_MAX = 3
"""Noise of a machine that other things run on comes and goes; carriers that are held up stay so."""
BATCH_SECONDS = 0.1
REST_SECONDS = 60.0
BACK_SECONDS = 120.0
FORK_COUNT = 60
ACCOUNT, SENDER = "crossroads", "Cross"
NUMBERS = {
    "IT": "+39347{n:05d}55",
    "ES": "+346{n:06d}55",
    "BE": "+3247{n:05d}55",
    "PT": "+35191{n:05d}55",
    "NL": "+3161{n:05d}55",
}
"""Each country has a carrier of its own, and the others behind it."""
FROZEN = "IT"
OTHERS = [country for country in NUMBERS if country != FROZEN]

_CARRIER = """
[[carrier]]
name = "{country}"
adapter = "smpp"
host = "127.0.0.1"
port = {port}
system_id = "sluice"
password = "practice"
binds = 1
window = 10
response_seconds = 15
"""
_PRICE = """
[[price]]
country = "{country}"
currency = "EUR"
amount = "0.05"
"""


async def test_one_of_five_carriers_stands_still_and_comes_back(battered: Arena) -> None:
    async with crossroads(battered) as stage:
        # Given five carriers, each with messages to its own country
        await stage.loaded(WARM_SECONDS)
        well = await stage.loaded(WELL_SECONDS + SECONDS)
        # When one stands still under load
        frozen_ms = time.time() * 1000
        battered.fleet.signal(FROZEN, signal.SIGSTOP)
        frozen = await stage.loaded(FROZEN_SECONDS + SECONDS)
        # Then the others lose nothing of their throughput
        before, during = (stage.rate(stage.journals(), span) for span in (well, frozen))
        for _ in range(MEASURING_COUNT_MAX - 1):
            if during < (1 - LOSS_SHARE) * before:
                frozen = await stage.loaded(WELL_SECONDS + SECONDS)
                during = stage.rate(stage.journals(), frozen)
        print(f"\nthe other four: {before:.1f}/s before, {during:.1f}/s while one was frozen")
        assert during >= (1 - LOSS_SHARE) * before
        # And what waited for it has left by them
        waits = stage.waits(stage.journals(), frozen_ms)
        still = await stage.waiting_for_frozen()
        print(f"left by others: {len(waits)}, at most {max(waits):.1f} s later; {still} wait there")
        assert max(waits) <= MOVED_SECONDS
        assert still == 0
        # When it goes on, Then it comes back with a few messages a second, and at last with all
        battered.fleet.signal(FROZEN, signal.SIGCONT)
        shares = await stage.comes_back()
        print(f"came back with shares of {shares}")
        assert 0 < shares[0] < 1
        await stage.at_rest()
    # And the books agree: nothing lost, sent twice, or paid for wrongly
    stored = await database.book(battered.servers.database_url, ACCOUNT)
    submits = [each for carrier in stage.journals().values() for each in carrier]
    submits += battered.journal([SENDER])
    verdict = books.compare(stage.client.book, stored, submits, {})
    print(verdict)
    assert verdict.faults == {}
    assert not verdict.refusals
    assert await battered.audit_ok()


@asynccontextmanager
async def crossroads(stage: Arena) -> AsyncIterator[Crossroads]:
    """Five simulators beside the arena's own, and an account that sends to all of them."""
    carriers = "".join(
        _carrier(stage, country) + _PRICE.format(country=country) for country in NUMBERS
    )
    ways = "".join(
        f'[[route]]\ncountry = "{country}"\ncarrier = "{other.lower()}"\n'
        f"priority = {1 if other == country else 2}\nweight = 1\n"
        for country in NUMBERS
        for other in NUMBERS
    )
    account = fleet.account(ACCOUNT, credit="100000", sender=SENDER)
    stage.apply(account + carriers + ways)
    await _all_well(stage, NUMBERS)
    url, token = stage.fleet.environment["SLUICE_API_URL"], stage.fleet.token(ACCOUNT)
    random = scenario.seeded("routes")
    async with load.Client(url, token, random, {SENDER: 1}, 0) as client:
        yield Crossroads(stage, client)


def _carrier(stage: Arena, name: str, more: str = "", **options: str) -> str:
    """The configuration of a carrier, whose simulator is started."""
    port = free_port()
    stage.fleet.start(
        "simulator",
        name,
        SLUICE_SIMULATOR_SMPP_PORT=str(port),
        SLUICE_SIMULATOR_HTTP_PORT=str(free_port()),
        SLUICE_SIMULATOR_JOURNAL_PATH=str(_journal_path(stage, name)),
        **options,
    )
    return _CARRIER.format(country=name.lower(), port=port) + more


def _journal_path(stage: Arena, name: str) -> Path:
    return stage.fleet.folder / f"{name}.jsonl"


def _journal(stage: Arena, name: str) -> list[books.Submit]:
    """What a carrier accepted."""
    path = _journal_path(stage, name)
    entries = map(json.loads, path.read_text("utf-8").splitlines() if path.exists() else ())
    return [
        books.Submit(
            entry["t"],
            entry["source"],
            entry["recipient"],
            entry.get("number", 1),
            entry.get("total", 1),
            entry.get("whole"),
        )
        for entry in entries
    ]


async def _all_well(stage: Arena, names: Iterable[str]) -> None:
    """Wait until every dispatcher has its links to these carriers, and none is taken for down."""
    wanted = [name.lower() for name in names]
    deadline = time.monotonic() + fleet.READY_SECONDS
    async with database.connected(stage.servers.database_url) as connection:
        while True:
            up = await connection.fetchval(_WELL, wanted, len(DISPATCHERS))
            if up == len(wanted):
                return
            assert time.monotonic() < deadline, f"{up} of {wanted} are up"
            await asyncio.sleep(0.2)


_WELL = """
SELECT count(*) FROM carriers c WHERE name = ANY ($1::text[])
AND EXISTS (SELECT FROM carrier_answers a WHERE a.carrier_id = c.carrier_id AND up_count = $2)
AND NOT EXISTS (SELECT FROM carrier_standings s WHERE s.carrier_id = c.carrier_id)"""


class Span(NamedTuple):
    """A stretch of load, in Unix time, and to whom it was."""

    from_ms: float
    until_ms: float
    asked: set[str]


class Crossroads:
    """What is asked of the five, and what they have."""

    def __init__(self, stage: Arena, client: load.Client) -> None:
        self.client = client
        self._stage = stage
        self._countries: dict[str, str] = {}

    async def loaded(
        self, seconds: float, while_: Callable[[], Awaitable[bool]] | None = None
    ) -> Span:
        """Ask for messages to every country at an even pace, for so long or until it is enough;
        from when to when."""
        from_ms, place = time.time() * 1000, len(self.client.book)
        due, end = time.monotonic(), time.monotonic() + seconds
        per_batch = max(1, round(PER_SECOND * BATCH_SECONDS / len(NUMBERS)))
        while due < end and (while_ is None or await while_()):
            self.client.ask([self._wish(each) for each in NUMBERS for _ in range(per_batch)])
            due += BATCH_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        until_ms = time.time() * 1000
        await self.client.answered()
        await asyncio.sleep(LATE_MS / 1000)
        asked = {wish.recipient for wish in self.client.book[place:]}
        return Span(from_ms, until_ms, asked)

    def _wish(self, country: str) -> books.Wish:
        number = len(self.client.book)
        recipient = NUMBERS[country].format(n=number)
        wish = books.Wish(f"road-{number}", recipient, "Which way?", SENDER)
        self.client.book.append(wish)
        self._countries[recipient] = country
        return wish

    def journals(self) -> dict[str, list[books.Submit]]:
        """By carrier, what it accepted."""
        return {country: _journal(self._stage, country) for country in NUMBERS}

    def rate(self, journals: dict[str, list[books.Submit]], span: Span) -> float:
        """Messages a second that were asked for then and that the other four took in time, to their
        own countries."""
        count = sum(
            each.recipient in span.asked
            and each.at_ms < span.until_ms + LATE_MS
            and self._countries[each.recipient] == country
            for country in OTHERS
            for each in journals[country]
        )
        return count / (span.until_ms - span.from_ms) * 1000

    def waits(self, journals: dict[str, list[books.Submit]], frozen_ms: float) -> list[float]:
        """Of messages to the frozen one's country that others took: seconds since they were asked
        for, or since it stood still."""
        asked = {wish.recipient: wish.asked_ms for wish in self.client.book}
        return [
            (each.at_ms - max(asked[each.recipient], frozen_ms)) / 1000
            for country in OTHERS
            for each in journals[country]
            if self._countries[each.recipient] == FROZEN
        ]

    async def waiting_for_frozen(self) -> int:
        """Messages that still wait for it."""
        async with database.connected(self._stage.servers.database_url) as connection:
            return int(
                await connection.fetchval(
                    "SELECT count(*) FROM work JOIN carriers USING (carrier_id) WHERE name = $1",
                    FROZEN.lower(),
                )
            )

    async def comes_back(self) -> Sequence[float]:
        """Load until it is well again, or at least comes back; the shares it had meanwhile."""
        shares: list[float] = []
        async with database.connected(self._stage.servers.database_url) as connection:

            async def is_away() -> bool:
                row = await connection.fetchrow(
                    "SELECT condition, share FROM carrier_standings JOIN carriers"
                    " USING (carrier_id) WHERE name = $1 AND country = '*'",
                    FROZEN.lower(),
                )
                if row is None:
                    return False
                comes = row["condition"] == standings.Condition.TRICKLE
                if comes and row["share"] not in shares:
                    shares.append(row["share"])
                return bool(SECONDS) or not shares

            await self.loaded(BACK_SECONDS, is_away)
            assert not await is_away(), "it has not come back"
        return shares

    async def at_rest(self) -> None:
        """Wait until nothing is on its way any more, as far as it can be known."""
        await _at_rest(self._stage, ACCOUNT)


async def _at_rest(stage: Arena, account: str) -> None:
    deadline = time.monotonic() + REST_SECONDS
    while time.monotonic() < deadline:
        found = await database.statuses(stage.servers.database_url, account)
        if not {"queued", "submitted", "in_doubt"} & found.keys():
            break
        await asyncio.sleep(0.25)
    print(found)


async def test_what_one_carrier_sends_on_is_taken_by_the_next(battered: Arena) -> None:
    # Given a carrier that wants another to have everything, and one behind it
    choosy = 'statuses = { "0x01-0x04FF" = "elsewhere" }\n'
    carriers = _carrier(battered, "choosy", choosy, SLUICE_SIMULATOR_REFUSED_SHARE="1")
    carriers += _carrier(battered, "kind") + _PRICE.format(country="AT")
    ways = "".join(
        f'[[route]]\ncountry = "AT"\ncarrier = "{name}"\npriority = {place}\n'
        for place, name in enumerate(("choosy", "kind"))
    )
    account = fleet.account("fork", credit="1000", sender="Fork")
    battered.apply(account + carriers + ways)
    await _all_well(battered, ("choosy", "kind"))
    url, token = battered.fleet.environment["SLUICE_API_URL"], battered.fleet.token("fork")
    # When messages of one part and of several are sent
    async with load.Client(url, token, scenario.seeded("fork"), {"Fork": 1}, 0) as client:
        for number in range(FORK_COUNT):
            text = "Which way? " * (1 + 20 * (number % 2))
            client.book.append(books.Wish(f"fork-{number}", f"+43664{number:05d}55", text, "Fork"))
        client.ask(client.book)
        await client.answered()
        await _at_rest(battered, "fork")
    # Then the next has them all, each once
    stored = await database.book(battered.servers.database_url, "fork")
    assert _journal(battered, "choosy") == []
    verdict = books.compare(client.book, stored, _journal(battered, "kind"), {})
    print(verdict)
    assert verdict.faults == {}
    assert await database.statuses(battered.servers.database_url, "fork") == {
        "delivered": FORK_COUNT
    }
    assert await battered.audit_ok()
