"""A private Redis: a password, loopback only, nothing written to disk."""

from __future__ import annotations

import socket

from deploy.local import binaries, place, processes, screen

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0

# Limits live here and can be rebuilt, so nothing is saved; a limit must never be evicted.
_SETTINGS = """\
bind 127.0.0.1
port {port}
dir {folder}
daemonize no
save ""
appendonly no
maxmemory-policy noeviction
requirepass {password}
"""


class Redis:
    """One private instance."""

    name = binaries.REDIS

    def __init__(self, where: place.Place) -> None:
        self.process = processes.Process(self.name, where.folder)
        self._place = where
        self._port = where.port(self.name)
        self._password = where.password(self.name)

    @property
    def url(self) -> str:
        """Where it is, with the password."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = binaries.find(self.name)
        if program is None:
            raise screen.Stop("Redis is not installed.", screen.EXIT_UNAVAILABLE)
        folder = self._place.make_folder(self.name)
        settings = folder / "redis.conf"
        self._place.write(
            settings,
            _SETTINGS.format(port=self._port, folder=f'"{folder}"', password=self._password),
        )
        argv = [program.path("redis-server", "valkey-server"), settings]
        environ = {**self._place.environ(folder), **program.environ}
        self.process.start(argv, environ, self._place.account)
        self.process.await_ready(self._answers, _START_SECONDS)

    def stop(self) -> None:
        """End it."""
        self.process.stop(_STOP_SECONDS)

    def abandon(self) -> None:
        """End it at once."""
        self.process.kill()

    def _answers(self) -> bool:
        greeting = f"AUTH {self._password}\r\nPING\r\n".encode()
        try:
            with socket.create_connection(("127.0.0.1", self._port), 1.0) as link:
                link.sendall(greeting)
                answer = b""
                while answer.count(b"\r\n") < 2 and (more := link.recv(64)):
                    answer += more
                return answer == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False
