"""Carriers beside each other: one that cannot be opened, changes or drains holds up no other."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import test_utils, web

from services.dispatcher.inbound import InboundDesk
from services.dispatcher.lanes import Deliveries, Lanes
from services.dispatcher.receipts import ReceiptDesk
from services.dispatcher.record import Recorder
from shared.access import keys, vault
from shared.broker import envelopes, link, publish, topology
from shared.carriers import credentials, registry
from shared.carriers.adapters import http
from shared.rules import snapshot
from tests.integration.dispatcher.carrier import desk_of
from tests.integration.dispatcher.conftest import Town
from tests.keys import SEALS


class Web:
    """A carrier that answers when it is told to."""

    def __init__(self) -> None:
        self.asked_count = 0
        self.may_answer = asyncio.Event()

    async def take(self, _request: web.Request) -> web.Response:
        self.asked_count += 1
        await self.may_answer.wait()
        return web.json_response({"id": uuid.uuid4().hex})


@dataclasses.dataclass
class Port:
    """Lanes on a real broker, and the carriers they are to fit."""

    town: Town
    lanes: Lanes
    recorder: Recorder
    publisher: publish.Publisher
    carrier: Web
    url: str
    stop: asyncio.Event

    def web(self, carrier_id: int, window: int = 10) -> snapshot.Carrier:
        settings = {
            "url": self.url,
            "body": {"to": "{recipient}"},
            "id_path": "id",
            "window": window,
        }
        return snapshot.Carrier(carrier_id, f"c{carrier_id}-{_RUN}", "http", 0, settings)

    async def fit(self, *carriers: snapshot.Carrier) -> None:
        known = {carrier.carrier_id: carrier for carrier in carriers}
        current = dataclasses.replace(self.town.configured.current, carriers=known)
        self.town.configured.current = current
        await self.lanes.fit(current)

    async def publish(self, carrier: snapshot.Carrier, item: envelopes.WorkItem) -> None:
        """As the relay does it: again, while the lane has not yet made its queue."""
        queue = topology.mt_queue(carrier.name, 1)
        async with asyncio.timeout(20):
            while True:
                with suppress(publish.NotPublished):
                    return await self.publisher.publish(queue, envelopes.encode_work([item]))
                await asyncio.sleep(0.01)

    async def send(self, carrier: snapshot.Carrier) -> envelopes.WorkItem:
        """A message on its way to a carrier."""
        (item,) = await self.town.accept(1, carrier_id=carrier.carrier_id)
        asked_count = self.carrier.asked_count
        await self.publish(carrier, item)
        await until(lambda: self.carrier.asked_count > asked_count)
        return item


DRAIN_SECONDS = 4.0
_RUN = uuid.uuid4().hex[:8]


async def until(reached: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.01)


@pytest.fixture
async def port(town: Town, amqp_url: str) -> AsyncIterator[Port]:
    async with _opened(town, amqp_url) as opened:
        yield opened


@asynccontextmanager
async def _opened(town: Town, amqp_url: str) -> AsyncIterator[Port]:
    carrier, stop, desk = Web(), asyncio.Event(), desk_of(town)
    app = web.Application()
    app.router.add_post("/", carrier.take)
    publisher = publish.Publisher(amqp_url, "test", list, topology.nothing_to_restore)
    recorder = Recorder(desk)
    receipts = ReceiptDesk(publisher, recorder)
    async with test_utils.TestServer(app) as server, link.supervised(publisher.link):
        await publisher.link.wait_up(10)
        deliveries = Deliveries(receipts, InboundDesk(town.pool, SEALS))
        lanes = Lanes(amqp_url, desk, recorder, deliveries, stop, drain_seconds=DRAIN_SECONDS)
        opened = Port(town, lanes, recorder, publisher, carrier, str(server.make_url("/")), stop)
        try:
            yield opened
        finally:
            carrier.may_answer.set()
            await lanes.close()
            await recorder.drain()


async def test_a_carrier_that_cannot_be_opened_is_named_and_opened_when_it_can_be(
    port: Port, tmp_path: Path
) -> None:
    # given a carrier whose password file is missing, beside one that is well
    secret = tmp_path / "secret"
    settings = {"host": "127.0.0.1", "port": 9, "system_id": "s", "password_file": str(secret)}
    broken = snapshot.Carrier(1, f"broken-{_RUN}", "smpp", 0, settings)
    well = port.web(2)
    await port.fit(broken, well)
    # then readiness names it, and only it, and the other carrier is open
    await until(lambda: port.lanes.waiting_for == f"carriers cannot be opened: {broken.name}")
    # when the file appears, then it is opened without another word from anybody
    secret.write_text("hush")
    await until(lambda: port.lanes.waiting_for == f"links are down: {broken.name}")
    assert not port.stop.is_set()


async def test_a_carrier_that_is_taken_away_is_waited_for_no_more(port: Port) -> None:
    broken = snapshot.Carrier(1, f"broken-{_RUN}", "nobody", 0, {})
    await port.fit(broken)
    await until(lambda: port.lanes.waiting_for == f"carriers cannot be opened: {broken.name}")
    await port.fit()
    assert port.lanes.waiting_for is None


async def test_lanes_that_drain_hold_up_neither_each_other_nor_new_ones(port: Port) -> None:
    # given two carriers with a submit each that is not answered
    slow = [port.web(1), port.web(2)]
    await port.fit(*slow)
    for carrier in slow:
        await port.send(carrier)
    # when both change and a third is added
    began = time.monotonic()
    changed = [port.web(1, window=5), port.web(2, window=5)]
    await port.fit(*changed, port.web(3))
    third = port.web(3).name
    await until(lambda: third not in str(port.lanes.waiting_for))
    opened_after = time.monotonic() - began
    # then the third is open while the others still drain, and these are open anew together
    assert all(carrier.name in str(port.lanes.waiting_for) for carrier in changed)
    assert opened_after < DRAIN_SECONDS
    await until(lambda: port.lanes.waiting_for is None)
    assert time.monotonic() - began < 2 * DRAIN_SECONDS


async def test_a_lane_stays_open_when_its_credentials_are_sealed_under_another_key(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a carrier that is open, with a credential sealed under a key
    monkeypatch.setattr(registry._Opening, "vault", None)
    old, new = "an old key of at least 32 characters", "a new key of at least 32 characters"
    registry.use_keys(keys.Keys.read(f"{new},{old}"))
    clear = port.web(1)
    clear = dataclasses.replace(clear, settings={**clear.settings, "secrets": {"key": "hush"}})
    sealed, again, other = (
        dataclasses.replace(
            clear,
            settings=credentials.sealed(
                http.Settings,
                {**clear.settings, "secrets": {"key": word}},
                vault.Vault(keys.Keys.read(key)),
            ),
        )
        for word, key in (("hush", old), ("hush", new), ("other", new))
    )
    assert sealed.settings != again.settings
    await port.fit(sealed)
    await until(lambda: port.lanes.waiting_for is None)
    (before,) = port.lanes._berths.values()
    # when it is sealed under the key that follows, then its lane goes on
    await port.fit(again)
    assert [*port.lanes._berths.values()] == [before]
    assert not before.closing.is_set()
    # and when the credential itself is another, then it is opened anew
    await port.fit(other)
    assert before.closing.is_set()


async def test_answers_within_the_drain_are_recorded(port: Port) -> None:
    # given a submit without an answer
    carrier = port.web(1)
    await port.fit(carrier)
    item = await port.send(carrier)
    # when the service stops and the answer comes a moment later
    asyncio.get_running_loop().call_later(0.5, port.carrier.may_answer.set)
    await port.lanes.close()
    # then it is as if nothing had stopped
    await port.recorder.drain()
    assert await port.town.states(item.message_id) == ["submitted"]
    assert await port.town.waiting() == {}


async def test_answers_that_do_not_come_within_the_drain_are_in_doubt(port: Port) -> None:
    # given a submit that is never answered
    carrier = port.web(1)
    await port.fit(carrier)
    item = await port.send(carrier)
    # when the service stops
    await port.lanes.close()
    await port.recorder.drain()
    # then nobody knows, which is said, and it is not sent again
    assert await port.town.states(item.message_id) == ["in_doubt"]
    assert await port.town.waiting() == {}


async def test_a_lane_that_dies_ends_the_service_with_its_error(port: Port) -> None:
    # given a lane that meets what nobody foresaw: a carrier whose row is gone from its own snapshot
    carrier = port.web(1)
    await port.fit(carrier)
    await port.send(carrier)
    port.town.configured.current = dataclasses.replace(port.town.configured.current, carriers={})
    (item,) = await port.town.accept(1)
    await port.publish(carrier, item)
    await asyncio.wait_for(port.stop.wait(), 20)
    with pytest.raises(KeyError):
        await port.lanes.close()
