"""A private PostgreSQL: passwords only, loopback only, settings on its command line."""

from __future__ import annotations

import shutil
import signal
import socket
import struct
import time
from pathlib import Path

from deploy.local import binaries, place, processes, screen

_OWNER = "sluice"
_SERVICES = "sluice_app"
_ROLE = "sluice_services"
_DATABASE = "sluice"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_CHILDREN_SECONDS = 10.0
_RETRY_SECONDS = 0.1
_PROTOCOL_3_0 = 196_608

# What was measured of these, and what a server of your own should have: docs/postgresql.md.
_SETTINGS = {
    "unix_socket_directories": "",
    "max_connections": "200",
    # What is hot is the newest few minutes, however much is stored.
    "shared_buffers": "256MB",
    # Every page that is touched after a checkpoint is written ahead whole: so checkpoints are rare,
    # and such pages compressed, by lz4, for the older method costs thirty times its CPU.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "lz4",
    # It compiles for longer than our statements run.
    "jit": "off",
    "timezone": "UTC",
    "logging_collector": "off",
    "log_min_messages": "warning",
    # Statements would carry texts and numbers into the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class Postgres:
    """One private instance with one database."""

    name = binaries.POSTGRES

    def __init__(self, where: place.Place, *, durable: bool) -> None:
        self.process = processes.Process(self.name, where.folder, signal.SIGINT)
        self._place = where
        self._settings = _SETTINGS | (_DURABLE if durable else _FAST)
        self._data = where.data / self.name / "data"
        self._port = where.port(self.name)
        self._passwords = {
            _OWNER: where.password(self.name),
            _SERVICES: where.password(f"{self.name}_services"),
        }

    @property
    def url(self) -> str:
        """Where its database is, for services and commands: a user who can change no schema."""
        return self._url(_SERVICES)

    @property
    def owner_url(self) -> str:
        """The same for its owner, who migrates and is a superuser."""
        return self._url(_OWNER)

    def _url(self, user: str) -> str:
        return f"postgresql://{user}:{self._passwords[user]}@127.0.0.1:{self._port}/{_DATABASE}"

    def start(self) -> None:
        """Start it, made first if need be, and wait until it takes connections."""
        home = self._place.make_folder(self.name)
        program = self._program()
        environ = {**self._place.environ(home), **program.environ}
        if not (self._data / "PG_VERSION").exists():
            self._make(program, environ, home)
        if not (home / _SERVICES).exists():
            self._make_users(program, environ, home)
        # After a SIGKILL it refuses to start until the last of its children has noticed.
        was_killed = (self._data / "postmaster.pid").exists()
        deadline = time.monotonic() + (_CHILDREN_SECONDS if was_killed else 0.0)
        while not self._try_start(program, environ, deadline):
            time.sleep(_RETRY_SECONDS)

    def _try_start(
        self, program: binaries.Program, environ: dict[str, str], deadline: float
    ) -> bool:
        settings = self._settings | {"listen_addresses": "127.0.0.1", "port": str(self._port)}
        options = [part for name in settings for part in ("-c", f"{name}={settings[name]}")]
        argv = [str(program.path("postgres")), "-D", str(self._data), *options]
        self.process.start(argv, environ, self._place.account)
        try:
            self.process.await_ready(self._answers, _START_SECONDS)
        except screen.Stop:
            if not self.process.has_ended() or time.monotonic() > deadline:
                raise
            return False
        return True

    def stop(self) -> None:
        """End it with a checkpoint, without waiting for clients."""
        self.process.stop(_STOP_SECONDS)

    def abandon(self) -> None:
        """End it at once, its children too; the data are to be thrown away."""
        self.process.kill(signal.SIGQUIT)

    def _program(self) -> binaries.Program:
        version = self._data / "PG_VERSION"
        made_by = version.read_text().strip() if version.exists() else None
        program = binaries.find(self.name, made_by)
        if program is None:
            wanted = f"PostgreSQL {made_by}" if made_by else "PostgreSQL"
            raise screen.Stop(
                f"{wanted} is not installed"
                + (f", and {self._data} needs it." if made_by else "."),
                screen.EXIT_UNAVAILABLE,
            )
        return program

    def _make(self, program: binaries.Program, environ: dict[str, str], home: Path) -> None:
        # A half-made cluster never bears the final name, so that a Ctrl-C here does no harm.
        draft, password = home / "draft", home / "password"
        shutil.rmtree(draft, ignore_errors=True)
        self._place.write(password, self._passwords[_OWNER])
        initdb = [str(program.path("initdb")), "-D", str(draft), "--username", _OWNER]
        initdb += ["--pwfile", str(password), "--auth=scram-sha-256"]
        initdb += ["--encoding=UTF8", "--lc-collate=C", "--lc-ctype=C.UTF-8", "--no-sync"]
        processes.run(initdb, environ, self._place.account)
        password.unlink()
        self._alone(program, environ, draft, f"CREATE DATABASE {_DATABASE}\n{self._users()}")
        draft.rename(self._data)
        self._place.write(home / _SERVICES, "")

    def _make_users(self, program: binaries.Program, environ: dict[str, str], home: Path) -> None:
        """Once for data that were made before services had a user of their own."""
        self._alone(program, environ, self._data, self._users())
        self._place.write(home / _SERVICES, "")

    def _users(self) -> str:
        password = self._passwords[_SERVICES]
        return (
            f"CREATE ROLE {_ROLE} NOLOGIN\n"
            f"CREATE ROLE {_SERVICES} LOGIN PASSWORD '{password}' IN ROLE {_ROLE}\n"
        )

    def _alone(
        self, program: binaries.Program, environ: dict[str, str], data: Path, sql: str
    ) -> None:
        """Run statements, one a line, while no server runs on these data."""
        single = [str(program.path("postgres")), "--single", "-D", str(data), "postgres"]
        processes.run(single, environ, self._place.account, text_in=sql)

    def _answers(self) -> bool:
        """Tell whether it asks for a password rather than saying that it is starting up."""
        names = f"user\0{_OWNER}\0database\0{_DATABASE}\0\0".encode()
        try:
            with socket.create_connection(("127.0.0.1", self._port), 1.0) as link:
                link.sendall(struct.pack("!II", len(names) + 8, _PROTOCOL_3_0) + names)
                return link.recv(512)[:1] == b"R"
        except OSError:
            return False
