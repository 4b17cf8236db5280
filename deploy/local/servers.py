"""The three servers Sluice stands on: private ones, except where a URL of another is given."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from deploy.local import binaries, kept, place, postgres, processes, rabbitmq, redis, screen

_VARIABLES = {
    binaries.POSTGRES: "SLUICE_DATABASE_URL",
    binaries.RABBITMQ: "SLUICE_AMQP_URL",
    binaries.REDIS: "SLUICE_REDIS_URL",
}

Private = postgres.Postgres | redis.Redis | rabbitmq.Rabbitmq


def missing(given: Mapping[str, str]) -> list[str]:
    """Return which servers are neither given by a URL nor installed."""
    return [
        name
        for name in binaries.SERVERS
        if _VARIABLES[name] not in given and binaries.find(name) is None
    ]


class Servers:
    """PostgreSQL, RabbitMQ and Redis of one folder; their names: postgres, rabbitmq, redis.

    All methods block, and wait for one another when called from several threads: what a thread
    is still starting is known, and ended, by the time `stop` or `abandon` returns. After
    `abandon` nothing starts again. `folder` must exist.
    """

    def __init__(
        self, folder: Path, given: Mapping[str, str] | None = None, *, durable: bool = True
    ) -> None:
        """Lay them out. `given` holds URLs by variable; `durable=False` trades fsync for speed."""
        self._given = dict(given or {})
        self._given_owner_url = self._given.pop(kept.OWNER_URL, "")
        self._turn = threading.RLock()
        self._is_abandoned = False
        # What an earlier run left must go before its ports are looked at.
        self.leftovers = processes.stop_leftovers(folder)
        self.place = place.choose(folder)
        everyone: tuple[Private, ...] = (
            postgres.Postgres(self.place, durable=durable),
            rabbitmq.Rabbitmq(self.place),
            redis.Redis(self.place),
        )
        self._private: dict[str, Private] = {
            server.name: server for server in everyone if _VARIABLES[server.name] not in self._given
        }

    @property
    def names(self) -> list[str]:
        """The private servers among the three."""
        return list(self._private)

    @property
    def urls(self) -> dict[str, str]:
        """All three URLs for services and commands, by the variable that names them."""
        return self._given | self.private_urls

    @property
    def private_urls(self) -> dict[str, str]:
        """The URLs of the servers that are ours."""
        return {_VARIABLES[name]: server.url for name, server in self._private.items()}

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is, as the owner of the schema: to migrate, and to prepare a test."""
        server = self._private.get(binaries.POSTGRES)
        if isinstance(server, postgres.Postgres):
            return server.owner_url
        return self._given_owner_url or self.urls["SLUICE_DATABASE_URL"]

    @property
    def amqp_url(self) -> str:
        """Where RabbitMQ is."""
        return self.urls["SLUICE_AMQP_URL"]

    @property
    def redis_url(self) -> str:
        """Where Redis is."""
        return self.urls["SLUICE_REDIS_URL"]

    @property
    def pids(self) -> dict[str, int]:
        """The first process of each private server, by name."""
        return {name: server.process.pid for name, server in self._private.items()}

    def start(self) -> None:
        """Start the private ones at the same time and wait until all answer."""
        with self._turn:
            self._refuse_if_abandoned()
            self._each("start", self._private)

    def stop(self) -> None:
        """Stop the private ones in good order; data stay."""
        with self._turn:
            self._each("stop", self._private)

    def abandon(self) -> None:
        """Stop the private ones at once; the data are about to be deleted."""
        with self._turn:
            self._is_abandoned = True
            self._each("abandon", self._private)

    def kill(self, name: str) -> None:
        """SIGKILL one private server, as a crash would."""
        with self._turn:
            self._one(name).process.kill()

    def restart(self, name: str) -> None:
        """Start one private server again where it was; ends it first if it still runs."""
        with self._turn:
            self._refuse_if_abandoned()
            self.kill(name)
            self._one(name).start()

    def ended(self) -> list[str]:
        """Return the private servers that are not running."""
        return [name for name, server in self._private.items() if server.process.has_ended()]

    def wipe_rabbitmq(self) -> None:
        """Kill RabbitMQ, delete its data folder and start it empty on the same port."""
        broker = self._one(binaries.RABBITMQ)
        with self._turn:
            self._refuse_if_abandoned()
            self.kill(broker.name)
            if isinstance(broker, rabbitmq.Rabbitmq):
                broker.forget()
            broker.start()

    def _refuse_if_abandoned(self) -> None:
        if self._is_abandoned:
            raise screen.Stop("These servers were abandoned; nothing of them starts again.")

    def _one(self, name: str) -> Private:
        if name not in self._private:
            raise LookupError(f"{name} is not ours: {_VARIABLES[name]} was given")
        return self._private[name]

    def _each(self, verb: str, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(max_workers=len(binaries.SERVERS)) as pool:
            calls = [pool.submit(getattr(self._private[name], verb)) for name in names]
            # Interrupted here, the pool is still joined: none may start after stop was called.
            wait(calls)
        for call in calls:
            call.result()
