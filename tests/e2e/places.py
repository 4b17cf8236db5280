"""Where a secret could lie once everything has run: looked for in all of it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import aiohttp
import asyncpg
import redis.asyncio

from deploy.local.servers import Servers
from tests import fleet
from tests.e2e import canary


class Place(NamedTuple):
    """Where a text could lie: in these tables, files, and whatever else is asked."""

    tables: list[str]
    files: list[str]
    elsewhere: list[str]


NOWHERE = Place([], [], [])


async def look(
    servers: Servers, platform: fleet.Fleet, database: asyncpg.Connection, word: str
) -> Place:
    """Everywhere: tables, files of all servers, logs, metrics, and Redis."""
    await database.execute("CHECKPOINT")
    folders = [servers.place.data / name for name in servers.names if name != "redis"]
    told = {path.name: path.read_text("utf-8") for path in platform.folder.glob("*.log")}
    async with aiohttp.ClientSession() as session:
        for name in set(fleet.ROLES) - {"simulator"}:
            told[f"metrics of {name}"] = await platform.metrics(session, name)
    assert all(told.values())
    elsewhere = [name for name, text in told.items() if word in text]
    if await _in_redis(servers.redis_url, word):
        elsewhere.append("redis")
    return Place(
        await canary.in_tables(database, word),
        await asyncio.to_thread(canary.in_files, folders, word),
        elsewhere,
    )


async def _in_redis(url: str, word: str) -> bool:
    client = redis.asyncio.Redis.from_url(url)
    try:
        await client.config_set("rdbcompression", "no")
        keys = [key async for key in client.scan_iter(count=1000)]
        held = b"".join([key + (await client.dump(key) or b"") for key in keys])
    finally:
        await client.aclose()
    return any(form in held for form in canary.forms(word))
