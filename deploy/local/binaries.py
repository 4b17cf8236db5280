"""Finds the servers' programs: Debian's folders first, then unpacked packages, then PATH."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local import checkout

POSTGRES = "postgres"
REDIS = "redis"
RABBITMQ = "rabbitmq"
SERVERS = (POSTGRES, REDIS, RABBITMQ)
KANNEL = "kannel"
"""No server of ours: a rival that `./test bench --rivals` measures."""

# Debian's own `rabbitmq-server` refuses plain users and runs on the system's data.
_DEBIAN_WRAPPER = Path("/usr/sbin/rabbitmq-server")


@dataclass(frozen=True, slots=True)
class Program:
    """A server's folder of programs, and what its environment needs beyond the usual."""

    folder: Path
    environ: Mapping[str, str]

    def path(self, *names: str) -> Path:
        """Return the first of `names` that this folder has."""
        for name in names:
            if (self.folder / name).exists():
                return self.folder / name
        raise FileNotFoundError(f"none of {names} in {self.folder}")


def find(server: str, postgres_version: str | None = None) -> Program | None:
    """Return where `server` is installed, or None.

    `postgres_version` is the major version that made the data at hand; only it can read them.
    """
    for root in (Path("/"), checkout.UNPACKED):
        for folder in _candidates(server, root, postgres_version):
            return Program(folder, _environ(root))
    return None


def _candidates(server: str, root: Path, postgres_version: str | None) -> Iterator[Path]:
    if server == POSTGRES:
        wanted = postgres_version or "*"
        folders = (root / "usr/lib/postgresql").glob(f"{wanted}/bin")
        yield from sorted(
            (folder for folder in folders if _has(folder, "postgres", "initdb")),
            key=lambda folder: _number(folder.parent.name),
            reverse=True,
        )
        yield from _on_path(root, "postgres", "initdb")
    elif server == REDIS:
        yield from (path for path in (root / "usr/bin",) if _has(path, "redis-server"))
        yield from _on_path(root, "redis-server")
        yield from _on_path(root, "valkey-server")
    elif server == KANNEL:
        yield from (path for path in (root / "usr/sbin",) if _has(path, "bearerbox", "smsbox"))
        yield from _on_path(root, "bearerbox", "smsbox")
    else:
        home = root / "usr/lib/rabbitmq"
        for folder in (home / "bin", home / "sbin", *home.glob("lib/rabbitmq_server-*/sbin")):
            if _has(folder, "rabbitmq-server"):
                yield folder
        yield from (
            path
            for path in _on_path(root, "rabbitmq-server")
            if path / "rabbitmq-server" != _DEBIAN_WRAPPER
        )


def _has(folder: Path, *names: str) -> bool:
    return all((folder / name).exists() for name in names)


def _on_path(root: Path, name: str, beside: str = "") -> Iterator[Path]:
    found = shutil.which(name) if root == Path("/") else None
    if found:
        folder = Path(found).parent
        if _has(folder, beside or name):
            yield folder


def _number(version: str) -> int:
    digits = re.match(r"\d+", version)
    return int(digits.group()) if digits else 0


def _environ(root: Path) -> dict[str, str]:
    path = os.environ.get("PATH", "/usr/bin:/bin")
    if root == Path("/"):
        return {"PATH": f"{path}:/usr/sbin:/usr/bin:/sbin:/bin"}
    libraries = [
        *root.glob("usr/lib/*-linux-*"),
        *root.glob("lib/*-linux-*"),
        root / "usr/lib",
        root / "lib",
    ]
    return {
        "PATH": f"{root}/usr/lib/erlang/bin:{root}/usr/bin:{path}:/usr/bin:/bin",
        "LD_LIBRARY_PATH": ":".join(str(folder) for folder in libraries),
    }
