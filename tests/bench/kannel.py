"""Kannel as it is measured: a bearerbox and an smsbox on our simulator, with a sink for receipts.

One transceiver bind, receipts kept in memory (`dlr-storage = internal`), and messages either in
memory alone, so that a crash loses them, or in its spool as well.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from deploy.local import binaries, processes
from tests.bench import contender, journal, meters, orders, sink, stage
from tests.ports import free_port

_READY_SECONDS = 20.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.1
_USER = "bench"

_CORE = """
group = core
admin-port = {admin_port}
admin-interface = 127.0.0.1
admin-password = {word}
smsbox-port = {box_port}
smsbox-interface = 127.0.0.1
log-level = 2
dlr-storage = internal
sms-resend-freq = 1
{store}
group = smsc
smsc = smpp
smsc-id = practice
host = 127.0.0.1
port = {smpp_port}
transceiver-mode = true
smsc-username = kannel
smsc-password = practice
system-type = ""
max-pending-submits = {window}

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {box_port}
sendsms-port = {api_port}
sendsms-interface = 127.0.0.1
log-level = 2

group = sendsms-user
username = {user}
password = {word}
max-messages = 1
"""
_SPOOL = """store-type = spool
store-location = {folder}
"""


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to run it: with or without its spool, and how many submits without an answer."""

    with_spool: bool
    window: int

    @property
    def name(self) -> str:
        """What its column and its table are called."""
        return f"Kannel, {'spool' if self.with_spool else 'memory'}, window {self.window}"


@dataclass(frozen=True, slots=True)
class Kannel:
    """A Kannel that is bound, and what watches it: a `contender.Contender`."""

    folder: Path
    meters: meters.Meters
    journal: journal.Journal
    sink: sink.Sink
    api_port: int
    sink_port: int
    word: str = field(repr=False)

    def order(self, load: contender.Load, first: int, count: int) -> orders.Order:
        """By sendsms, each with a receipt called back."""
        return orders.Order(
            ports=[self.api_port],
            tokens=[f"{_USER}:{self.word}"],
            first=first,
            count=count,
            batch_size=0,
            connections=load.connections,
            tally_path=str(self.folder / "tally.json"),
            face=load.face,
            callback_port=self.sink_port,
        )

    async def begin(self) -> None:
        """What was before does not count."""
        self.sink.clear()

    async def receipt_count(self) -> int:
        """Receipts called back since `begin`."""
        return self.sink.count

    async def wal_bytes(self) -> int:
        """It has no database here."""
        return 0

    async def prove(self, count: int) -> None:
        """Each message was called back about once, as delivered. Raises NotProved."""
        self.sink.prove(count)


@asynccontextmanager
async def running(where: stage.Stage, setup: Setup) -> AsyncIterator[Kannel]:
    """Start one on the stage's simulator, and stop it in the end with all that it has stored."""
    folder = where.folder / "kannel"
    folder.mkdir()
    receipts = sink.Sink()
    sink_port = await receipts.start()
    boxes = [processes.Process(name, folder) for name in ("bearerbox", "smsbox")]
    try:
        word, api_port = await _start(where, setup, folder, boxes)
        watched = meters.Meters(
            {box.name: [box.pid] for box in boxes} | {"simulator": [where.fleet.pid("simulator")]},
        )
        yield Kannel(folder, watched, where.journal, receipts, api_port, sink_port, word)
    finally:
        for box in reversed(boxes):
            await asyncio.to_thread(box.stop, _STOP_SECONDS)
        await receipts.close()
        shutil.rmtree(folder)


async def _start(
    where: stage.Stage, setup: Setup, folder: Path, boxes: list[processes.Process]
) -> tuple[str, int]:
    """Returns the password of its user and where sendsms is."""
    program = binaries.find(binaries.KANNEL)
    if program is None:
        raise LookupError("Kannel is not installed")
    word = secrets.token_hex(8)
    ports = {name: free_port() for name in ("admin_port", "box_port", "api_port")}
    spool = folder / "spool"
    spool.mkdir()
    path = folder / "kannel.conf"
    path.write_text(
        _CORE.format(
            **ports,
            smpp_port=where.fleet.ports["smpp"],
            window=setup.window,
            user=_USER,
            word=word,
            store=_SPOOL.format(folder=spool) if setup.with_spool else "",
        )
    )
    status = f"http://127.0.0.1:{ports['admin_port']}/status.txt?password={word}"
    for box, sign in zip(boxes, ("(online", "smsbox:"), strict=True):
        box.start([program.path(box.name), path], dict(program.environ))
        await _await_sign(box, status, sign)
    return word, ports["api_port"]


async def _await_sign(box: processes.Process, url: str, sign: str) -> None:
    """Wait until the status page says it."""
    deadline = time.monotonic() + _READY_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while True:
            try:
                async with session.get(url) as answer:
                    if sign in await answer.text():
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            if box.has_ended() or time.monotonic() > deadline:
                raise contender.NotProved(f"{box.name} did not start: {box.last_words()}")
            await asyncio.sleep(_POLL_SECONDS)
