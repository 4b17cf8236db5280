"""An account with money, carriers of each kind, and messages at any point of their way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import msgspec

from services.dlr import apply, interpreters
from shared.broker import envelopes
from shared.db import events, ledger, messages, receipts, segments
from shared.runtime import ids
from shared.sms import states
from tests import claims
from tests.drafts import draft

PRICE_MICRO = 50_000
CREDIT_MICRO = 1_000_000_000
WORKER = UUID(int=1)
PHONE = "+33600000000"
SECRET = "correct-horse"
HMAC_SECRET = "battery-staple"
STATES = {
    "ENROUTE": "enroute",
    "DELIVRD": "delivered",
    "UNDELIV": "undelivered",
    "EXPIRED": "expired",
    "REJECTD": "rejected",
    "UNKNOWN": "unknown",
}
_CALLBACK = {"id_field": "id", "state_field": "state", "code_field": "code", "states": STATES}
CARRIERS = {
    "acme": (
        "http",
        {
            "url": "http://127.0.0.1:9/send",
            "callback": {
                **_CALLBACK,
                "auth": "path_secret",
                "secret": SECRET,
                "list_path": "reports",
                "inbound": {
                    "from_field": "msisdn",
                    "to_field": "short",
                    "text_field": "content",
                    "id_field": "mid",
                },
            },
        },
    ),
    "sealed": (
        "http",
        {
            "url": "http://127.0.0.1:9/send",
            "callback": {**_CALLBACK, "auth": "hmac", "secret": HMAC_SECRET},
        },
    ),
    "stamped": (
        "http",
        {
            "url": "http://127.0.0.1:9/send",
            "callback": {
                **_CALLBACK,
                "auth": "hmac",
                "secret": HMAC_SECRET,
                "signature": {
                    "algorithm": "sha512",
                    "encoding": "base64",
                    "over": "{method}.{header.X-Time}.{body}",
                    "time_header": "X-Time",
                },
            },
        },
    ),
    "uncut": (
        "http",
        {
            "url": "http://127.0.0.1:9/send",
            "whole_message": True,
            "callback": {
                **_CALLBACK,
                "auth": "path_secret",
                "secret": SECRET,
                "recipient_field": "to",
                "reference_field": "ref",
            },
        },
    ),
    "asking": (
        "http",
        {
            "url": "http://127.0.0.1:9/send",
            "callback": {
                **_CALLBACK,
                "auth": "basic",
                "username": "asking",
                "secret": SECRET,
                "method": "GET",
                "addresses": ["127.0.0.1/32"],
            },
        },
    ),
    "bound": ("smpp", {"host": "127.0.0.1", "port": 9, "system_id": "us", "password": "pw"}),
}


@dataclass(frozen=True, slots=True)
class World:
    """What was seeded, and how to look at it and move it."""

    pool: asyncpg.Pool
    account_id: int
    wallet_id: int
    revenue_wallet_id: int
    carrier_ids: dict[str, int]

    async def accept(
        self, count: int, segment_count: int = 1, *, carrier: str = "acme", to: str = PHONE
    ) -> list[UUID]:
        """Messages that were just accepted and paid for."""
        new = [
            draft(
                self.wallet_id,
                self.revenue_wallet_id,
                PRICE_MICRO,
                account_id=self.account_id,
                carrier_id=self.carrier_ids[carrier],
                recipient=to,
                segment_count=segment_count,
            )
            for _ in range(count)
        ]
        async with self.pool.acquire() as connection:
            await messages.insert(connection, new)
        return [message.message_id for message in new]

    async def hand_over(
        self, count: int, segment_count: int = 1, *, carrier: str = "acme", to: str = PHONE
    ) -> list[UUID]:
        """Messages that are being submitted: the intent is stored, no answer is."""
        message_ids = await self.accept(count, segment_count, carrier=carrier, to=to)
        async with self.pool.acquire() as connection:
            await claims.claim(connection, message_ids, WORKER)
        return message_ids

    async def submit(self, count: int, segment_count: int = 1) -> list[UUID]:
        """Messages that the carrier took, each segment under `carrier_name_of`."""
        message_ids = await self.hand_over(count, segment_count)
        await self.answer(message_ids, segment_count)
        return message_ids

    async def answer(self, message_ids: Sequence[UUID], segment_count: int = 1) -> None:
        """The carrier took these."""
        await self.settle(
            segments.Evidence(
                message_id,
                part,
                states.SegmentState.SUBMITTED,
                accepted=True,
                carrier_message_id=carrier_name_of(message_id, part),
            )
            for message_id in message_ids
            for part in range(1, segment_count + 1)
        )

    async def lose_answer(self, message_ids: Sequence[UUID]) -> None:
        """Nobody knows whether the carrier took these."""
        await self.settle(
            segments.Evidence(message_id, 1, states.SegmentState.IN_DOUBT)
            for message_id in message_ids
        )

    async def settle(self, evidence: Iterable[segments.Evidence]) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await segments.settle(connection, list(evidence))

    def receipt(
        self, message_id: UUID, said: str, *, part: int = 1, carrier: str = "acme"
    ) -> envelopes.RawReceipt:
        """What the carrier said about a segment, as it lies in the queue."""
        body = msgspec.json.encode(
            {"id": carrier_name_of(message_id, part), "state": said, "code": said}
        )
        return self.raw(body, carrier=carrier)

    def raw(self, body: bytes, *, carrier: str = "acme") -> envelopes.RawReceipt:
        """Anything a carrier may have sent."""
        now_ms = time.time_ns() // 1_000_000
        return envelopes.RawReceipt(ids.uuid7(), self.carrier_ids[carrier], now_ms, body)

    async def apply(
        self,
        readers: interpreters.Interpreters,
        *batch: envelopes.RawReceipt,
        some_here: bool = False,
    ) -> apply.Tally:
        async with self.pool.acquire() as connection:
            return await apply.apply(connection, readers, batch, some_here=some_here)

    async def kept(self, message_id: UUID) -> list[receipts.KeptReceipt]:
        """The receipts that were kept of a message, oldest first."""
        async with self.pool.acquire() as connection:
            return await receipts.of_message(connection, message_id)

    async def kept_count(self) -> int:
        """The receipts of all messages, and those that nobody knows whose they are."""
        paged = await self.pool.fetchval(
            "SELECT coalesce(sum(cardinality(message_ids)), 0)::int FROM receipt_pages"
        )
        return int(paged) + await self.count("receipts")

    async def age(self, message_ids: Sequence[UUID], hours: int) -> None:
        """Let time pass since these were submitted."""
        await self.pool.execute(
            "UPDATE segments SET submitted_at = submitted_at - $2 * interval '1 hour' "
            "WHERE message_id = ANY ($1::uuid[])",
            message_ids,
            hours,
        )

    async def status(self, message_id: UUID) -> str:
        async with self.pool.acquire() as connection:
            stored = await messages.get(connection, self.account_id, message_id)
        assert stored is not None
        return stored.status

    async def statuses(self, message_ids: Sequence[UUID]) -> set[str]:
        rows = await self.pool.fetch(
            "SELECT DISTINCT status FROM messages WHERE message_id = ANY ($1::uuid[])", message_ids
        )
        return {row["status"] for row in rows}

    async def history(self, message_id: UUID) -> list[str]:
        """The message's events, oldest first."""
        async with self.pool.acquire() as connection:
            stored = await events.after(connection, self.account_id, 0, 1_000_000)
        return [event.status for event in stored if event.subject_id == message_id]

    async def balance_micro(self) -> int:
        async with self.pool.acquire() as connection:
            balance_micro, _ = await ledger.balance(connection, self.account_id)
        return balance_micro

    async def refund_count(self) -> int:
        return await self.count("transfers WHERE kind = 'refund'")

    async def count(self, what: str) -> int:
        """Rows of a table, perhaps with a condition."""
        return int(await self.pool.fetchval(f"SELECT count(*) FROM {what}"))


def carrier_name_of(message_id: UUID, part: int = 1) -> str:
    """The id under which the carrier knows a segment."""
    return f"{message_id.hex}/{part}"


async def build(pool: asyncpg.Pool) -> World:
    """Seed an empty, migrated database."""
    account_id = await pool.fetchval(
        "INSERT INTO accounts (name, currency) VALUES ('demo', 'EUR') RETURNING account_id"
    )
    wallet_id = await pool.fetchval(
        "INSERT INTO wallets (account_id, book, currency) VALUES ($1, 'customer', 'EUR') "
        "RETURNING wallet_id",
        account_id,
    )
    await pool.execute("INSERT INTO event_heads (account_id) VALUES ($1)", account_id)
    async with pool.acquire() as connection, connection.transaction():
        await ledger.credit(connection, account_id, "EUR", CREDIT_MICRO, "test")
    carrier_ids = {name: await add_carrier(pool, name) for name in CARRIERS}
    revenue = await pool.fetchval(
        "SELECT wallet_id FROM wallets WHERE book = 'revenue' AND currency = 'EUR'"
    )
    return World(pool, account_id, wallet_id, revenue, carrier_ids)


async def add_carrier(pool: asyncpg.Pool, name: str, like: str = "") -> int:
    """Configure a carrier, as `sluice apply` does."""
    adapter, settings = CARRIERS[like or name]
    carrier_id = await pool.fetchval(
        "INSERT INTO carriers (name, adapter, settings) VALUES ($1, $2, $3) RETURNING carrier_id",
        name,
        adapter,
        msgspec.json.encode(settings).decode(),
    )
    await pool.execute("UPDATE configuration_version SET version = version + 1")
    return int(carrier_id)


async def eventually(check: Callable[[], Awaitable[bool]], deadline_seconds: float = 15.0) -> None:
    """Return as soon as `check` holds; fail when it has not in time."""
    deadline = time.monotonic() + deadline_seconds
    while not await check():
        assert time.monotonic() < deadline, f"not within {deadline_seconds} s"
        await asyncio.sleep(0.02)


class Gate:
    """A TCP door in front of the broker, which a test may cut and shut."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self._shut = False

    @property
    def open_count(self) -> int:
        """Connections that lead through it now."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """Abort every connection that is open now."""
        for writer in list(self._writers):
            writer.transport.abort()

    def shut(self) -> None:
        """Cut, and let nobody through until `reopen`."""
        self._shut = True
        self.cut()

    def reopen(self) -> None:
        self._shut = False

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._shut:
            writer.transport.abort()
            return
        inner_reader, inner = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, inner}
        try:
            await asyncio.gather(_copy(reader, inner), _copy(inner_reader, writer))
        finally:
            self._writers -= {writer, inner}
            writer.transport.abort()
            inner.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()


@asynccontextmanager
async def gate(url: str) -> AsyncIterator[tuple[Gate, str]]:
    """A gate in front of the server at `url`, and the URL that leads through it."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    opened = Gate(parts.hostname, parts.port)
    server = await asyncio.start_server(opened._pass, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    netloc = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
    try:
        yield opened, urlunsplit(parts._replace(netloc=netloc))
    finally:
        server.close()
        opened.shut()
        await server.wait_closed()
