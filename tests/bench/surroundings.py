"""What the figures were measured on: cores, versions, and what durability costs here."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

import aiormq
import asyncpg
from redis import asyncio as redis

from deploy.local.servers import Servers

_FSYNC_COUNT = 100
_BLOCK = bytes(8192)


async def describe(servers: Servers, database: asyncpg.Connection, folder: Path) -> dict[str, str]:
    """Names and values, in the order to print them."""
    settings = [
        f"{name} {await database.fetchval(f'SHOW {name}')}"
        for name in ("fsync", "synchronous_commit", "full_page_writes")
    ]
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}",
        "durability": f"{', '.join(settings)}; an fsync of 8 KiB takes {_fsync_micro(folder)} µs",
        "PostgreSQL": str(await database.fetchval("SHOW server_version")),
        "RabbitMQ": await _rabbitmq_version(servers.amqp_url),
        "Redis": await _redis_version(servers.redis_url),
        "Python": f"{platform.python_version()} of {sys.base_prefix}, "
        f"uvloop {_onoff('SLUICE_UVLOOP')}",
    }


def _onoff(variable: str) -> str:
    return "off" if os.environ.get(variable) == "0" else "on"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _fsync_micro(folder: Path) -> int:
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(_FSYNC_COUNT):
            file.write(_BLOCK)
            os.fsync(file.fileno())
        took = time.perf_counter() - started
    path.unlink()
    return round(took / _FSYNC_COUNT * 1e6)


async def _rabbitmq_version(url: str) -> str:
    connection = await aiormq.connect(url)
    try:
        return str(connection.server_properties.get("version", "?"))
    finally:
        await connection.close()


async def _redis_version(url: str) -> str:
    client = redis.Redis.from_url(url, socket_timeout=5)
    try:
        return str((await client.info("server"))["redis_version"])
    finally:
        await client.aclose()
