"""Private servers: start, answer, survive a crash, stand side by side, leave nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aio_pika
import asyncpg
import pytest
from redis import asyncio as redis

from deploy.local import processes, screen
from deploy.local.servers import Servers
from tests import servers as test_servers

QUEUE = "kept"


@contextmanager
def clean_end(started: Servers) -> Iterator[Servers]:
    try:
        yield started
    finally:
        started.abandon()
        started.place.forget_data()


@pytest.fixture(scope="module")
def ours() -> Iterator[Servers]:
    with test_servers.throwaway(durable=True) as started:
        yield started


async def ask_postgres(url: str, question: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(question, timeout=10)
    finally:
        await connection.close(timeout=10)


async def ask_redis(url: str) -> object:
    client = redis.Redis.from_url(url)
    try:
        return await client.ping()
    finally:
        await client.aclose()


async def declare_queue(url: str) -> None:
    async with await aio_pika.connect(url, timeout=10) as connection:
        channel = await connection.channel()
        arguments: dict[str, str] = {"x-queue-type": "quorum"}
        await channel.declare_queue(QUEUE, durable=True, arguments=dict(arguments), timeout=10)


async def has_queue(url: str) -> bool:
    async with await aio_pika.connect(url, timeout=10) as connection:
        channel = await connection.channel()
        try:
            await channel.declare_queue(QUEUE, passive=True, timeout=10)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
        return True


async def test_all_three_answer_with_their_passwords_when_started(ours: Servers) -> None:
    assert await ask_postgres(ours.database_url, "SELECT current_database()") == "sluice"
    assert await ask_postgres(ours.database_url, "SELECT current_setting('fsync')") == "on"
    assert await ask_redis(ours.redis_url) is True
    await declare_queue(ours.amqp_url)
    assert await has_queue(ours.amqp_url)


async def test_a_wrong_password_is_refused_when_connecting(ours: Servers) -> None:
    wrong = "0" * 32
    password = ours.database_url.split(":")[2].partition("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask_postgres(ours.database_url.replace(password, wrong), "SELECT 1")
    with pytest.raises(redis.AuthenticationError):
        await ask_redis(ours.redis_url.replace(ours.redis_url.split(":")[2][:32], wrong))


async def test_data_and_addresses_stay_when_killed_and_restarted(ours: Servers) -> None:
    urls = ours.urls
    await ask_postgres(ours.database_url, "CREATE TABLE kept AS SELECT 7 AS seven")
    await declare_queue(urls["SLUICE_AMQP_URL"])
    pids = ours.pids

    for name in ours.names:
        ours.kill(name)
        assert ours.ended() == [name]
        ours.restart(name)

    assert ours.urls == urls
    assert not set(ours.pids.values()) & set(pids.values())
    assert await ask_postgres(ours.database_url, "SELECT seven FROM kept") == 7
    assert await has_queue(urls["SLUICE_AMQP_URL"])
    assert await ask_redis(urls["SLUICE_REDIS_URL"]) is True


async def test_the_broker_is_empty_but_reachable_when_wiped(ours: Servers) -> None:
    await declare_queue(ours.amqp_url)
    ours.wipe_rabbitmq()
    assert not await has_queue(ours.amqp_url)


def test_two_checkouts_do_not_meet_when_run_at_once(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    given = {"SLUICE_AMQP_URL": "amqp://elsewhere.invalid/"}
    with ExitStack() as stack:
        pair = [
            stack.enter_context(clean_end(Servers(folder, given, durable=False)))
            for folder in folders
        ]
        for started in pair:
            started.start()
        assert not set(pair[0].private_urls.values()) & set(pair[1].private_urls.values())
        assert not set(pair[0].pids.values()) & set(pair[1].pids.values())
        assert pair[0].names == ["postgres", "redis"]
        assert pair[0].amqp_url == "amqp://elsewhere.invalid/"


def test_leftovers_are_ended_when_the_last_run_was_killed(tmp_path: Path) -> None:
    given = {
        "SLUICE_AMQP_URL": "amqp://elsewhere.invalid/",
        "SLUICE_DATABASE_URL": "postgresql://elsewhere.invalid/x",
    }
    with clean_end(Servers(tmp_path, given)) as crashed:
        crashed.start()
        with clean_end(Servers(tmp_path, given)) as later:
            assert later.leftovers == ["redis"]
            assert not processes.is_alive(crashed.pids["redis"])
            later.start()
            assert later.redis_url == crashed.redis_url


def test_nothing_is_left_when_abandoned_while_a_thread_restarts(tmp_path: Path) -> None:
    given = {
        "SLUICE_AMQP_URL": "amqp://elsewhere.invalid/",
        "SLUICE_DATABASE_URL": "postgresql://elsewhere.invalid/x",
    }
    with clean_end(Servers(tmp_path, given)) as ours:
        ours.start()
        with ThreadPoolExecutor() as pool:
            for _ in range(20):
                pool.submit(ours.restart, "redis")
            ours.abandon()
        assert ours.ended() == ["redis"]
        with pytest.raises(screen.Stop):
            ours.restart("redis")
        assert not list((tmp_path / "pids").iterdir())


def test_nothing_stays_when_throwaway_servers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_AMQP_URL", "amqp://elsewhere.invalid/")
    with test_servers.throwaway() as started:
        folder = started.place.folder
        pids = started.pids
    assert not folder.exists()
    assert not any(processes.is_alive(pid) for pid in pids.values())


def test_another_process_with_a_recorded_pid_is_left_alone_when_sweeping(tmp_path: Path) -> None:
    ours = processes.Process("sleeper", tmp_path)
    sleep = shutil.which("sleep")
    assert sleep is not None
    ours.start([sleep, "60"], {})
    try:
        record = tmp_path / "pids" / "sleeper.json"
        record.write_text(record.read_text().replace('"birth": "', '"birth": "1'))
        assert processes.stop_leftovers(tmp_path) == []
        assert not ours.has_ended()
    finally:
        ours.kill()
