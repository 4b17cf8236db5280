"""What outlives a run: ports and secrets in small JSON files, the environment file, and locks."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shlex
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT", int, str)

# Below the range from which systems take ports for outgoing connections: a killed server's port
# must still be free when it returns, and a client that retries must not connect to itself.
_PORTS = range(18_000, 32_000)
_PORT_TRIES = 200

SERVER_URLS = ("SLUICE_DATABASE_URL", "SLUICE_AMQP_URL", "SLUICE_REDIS_URL")
OWNER_URL = "SLUICE_MIGRATION_DATABASE_URL"
# Lists the URLs of private servers in `.run/env`, so that a shell which sourced it and runs
# ./run or ./test again is not taken for one that names servers of its own.
_PRIVATE_URLS = "SLUICE_PRIVATE_URLS"
# What only ./run and ./test read or write, for the page of all variables.
OF_LAUNCHERS = {
    _PRIVATE_URLS: "Written to `.run/env`: which of the URLs in it are of private servers.",
    "SLUICE_AIRCALL_URL": "Written to `.run/env`: the root of the Aircall-shaped API.",
    "SLUICE_MAILJET_URL": "Written to `.run/env`: where the Mailjet-shaped API is, without a path.",
    "SLUICE_DLR_URL": "Written to `.run/env`: where carriers call back.",
    "SLUICE_SIMULATOR_URL": "Written to `.run/env`: where the simulator speaks HTTP.",
    "SLUICE_CALLED_FROM": "Set by the scripts: the folder they were called from.",
}


class Kept(Generic[ValueT]):
    """A JSON file of named values, for its owner's eyes only."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> dict[str, ValueT]:
        """Return all values; none if the file is absent or torn."""
        with suppress(FileNotFoundError, ValueError):
            values: dict[str, ValueT] = json.loads(self._file.read_text())
            return values
        return {}

    def get(self, name: str, make: Callable[[], ValueT]) -> ValueT:
        """Return the kept value, or make it and keep it."""
        values = self.read()
        if name not in values:
            self.put(name, make())
        return self.read()[name]

    def put(self, name: str, value: ValueT) -> None:
        """Keep `value` under `name`."""
        write_private(self._file, json.dumps(self.read() | {name: value}, indent=2) + "\n")


def open_private(file: str, flags: int) -> int:
    """An opener for `open`: what it makes is for its owner only."""
    return os.open(file, flags, 0o600)


def write_private(file: Path, text: str) -> None:
    """Replace `file` in one move; only its owner may read it."""
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=open_private) as stream:
        stream.write(text)
    draft.replace(file)


def claim_port(ports: Kept[int], name: str) -> int:
    """Return the port kept for `name` if it is free, otherwise keep a new free one."""
    port = ports.get(name, _find_port)
    if not is_free(port):
        port = _find_port()
        ports.put(name, port)
    return port


def _find_port() -> int:
    for port in random.sample(_PORTS, _PORT_TRIES):
        if is_free(port):
            return port
    raise OSError("no free port on the loopback interface")


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write_environment(file: Path, variables: Mapping[str, str], private: list[str]) -> None:
    """Write variables for a shell to source, with the URLs of servers that are ours marked."""
    marked = {**variables, _PRIVATE_URLS: " ".join(private)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in marked.items()]
    write_private(file, "\n".join(lines) + "\n")


def given_urls(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the server URLs a person gave in the environment, by variable."""
    ours = environ.get(_PRIVATE_URLS, "").split()
    urls = {name: environ.get(name, "") for name in (*SERVER_URLS, OWNER_URL)}
    return {name: url for name, url in urls.items() if url and url not in ours}


@contextmanager
def locked(file: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock that dies with this process; yields whether it was got. Waits if told to."""
    with open(file, "a", opener=open_private) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
