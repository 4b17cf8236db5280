"""Debian packages: installed as root, or unpacked into the checkout without root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local import binaries, checkout, processes, screen

PACKAGES = {
    binaries.POSTGRES: "postgresql",
    binaries.REDIS: "redis-server",
    binaries.RABBITMQ: "rabbitmq-server",
    binaries.KANNEL: "kannel",
}
_POLICY = Path("/usr/sbin/policy-rc.d")
_INSTALL_SECONDS = 600.0
# Compilers of queries; PostgreSQL runs without them.
_LEFT_OUT = ("libllvm", "libz3-")


def is_here() -> bool:
    """Tell whether this system takes Debian packages."""
    return all(shutil.which(tool) for tool in ("apt-get", "dpkg"))


def provide_servers(names: Sequence[str], *, allowed: bool) -> None:
    """Get the servers in `names` onto this machine, or say how a person can."""
    if not names:
        return
    packages = [PACKAGES[name] for name in names]
    if not allowed or not is_here():
        raise screen.Stop(_by_hand(names, packages), screen.EXIT_UNAVAILABLE)
    if os.geteuid() == 0:
        install(packages)
    else:
        unpack(packages)
    still = [name for name in names if binaries.find(name) is None]
    if still:
        raise screen.Stop(_by_hand(still, packages), screen.EXIT_UNAVAILABLE)


def _by_hand(names: Sequence[str], packages: Sequence[str]) -> str:
    lines = [
        f"Missing here: {', '.join(names)}. One of these helps:",
        f"  Debian, Ubuntu:  sudo apt-get install --no-install-recommends {' '.join(packages)}",
    ]
    if set(names) <= set(binaries.SERVERS):
        lines += [
            "  macOS:           brew install postgresql redis rabbitmq",
            "  servers of yours: set SLUICE_DATABASE_URL, SLUICE_REDIS_URL, SLUICE_AMQP_URL",
        ]
    return "\n".join(lines)


def install(packages: Sequence[str]) -> None:
    """Install packages as root, without letting them start services on their standard ports."""
    with screen.step(f"apt-get install {' '.join(packages)}; nothing of it is started"):
        with _no_service_starts():
            _apt(["update"], must_work=False)
            _apt(["install", "-y", "--no-install-recommends", *packages])
        if Path("/run/systemd/system").exists():
            for package in packages:
                subprocess.run(
                    ["systemctl", "disable", package], capture_output=True, check=False, timeout=60
                )


@contextmanager
def _no_service_starts() -> Iterator[None]:
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def unpack(packages: Sequence[str]) -> None:
    """Fetch packages with all they need, and unpack them below the checkout's `.run`."""
    root = checkout.UNPACKED
    debs = root.parent / "debs"
    with screen.step(f"unpacking {' '.join(packages)} without root into {root}"):
        for folder in (root, debs / "partial", root.parent / "lists/partial"):
            folder.mkdir(parents=True, exist_ok=True)
        options = [
            f"Dir::State::Lists={root.parent}/lists",
            f"Dir::Cache={root.parent}/cache",
            "Debug::NoLocking=1",
        ]
        _apt(["update"], options, must_work=False)
        planned = _apt(["-s", "install", "--no-install-recommends", *packages], options)
        names = re.findall(r"^Inst (\S+)", planned, re.MULTILINE)
        wanted = [name for name in names if not name.startswith(_LEFT_OUT)]
        _apt(["download", *wanted], options, cwd=debs)
        for deb in sorted(debs.glob("*.deb")):
            processes.run(["dpkg", "-x", deb, root])
        _move_erlang(root)
        shutil.rmtree(debs)


def _move_erlang(root: Path) -> None:
    # Erlang's start scripts have their folder written in.
    for script in root.glob("usr/lib/erlang/**/bin/*"):
        if script.name in ("erl", "start") and not script.is_symlink():
            text = script.read_text().replace("=/usr/lib/erlang", f"={root}/usr/lib/erlang")
            script.write_text(text)


def _apt(
    arguments: Sequence[str],
    options: Sequence[str] = (),
    *,
    must_work: bool = True,
    cwd: Path | None = None,
) -> str:
    settings = [part for option in options for part in ("-o", option)]
    done = subprocess.run(
        ["apt-get", "-o", "DPkg::Lock::Timeout=120", *settings, *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=cwd,
        check=False,
        timeout=_INSTALL_SECONDS,
    )
    if must_work and done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise screen.Stop(f"apt-get {arguments[0]} failed:\n{tail}", screen.EXIT_UNAVAILABLE)
    return done.stdout
