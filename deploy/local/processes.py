"""Processes of ours: started with a log and a record of their pid, stopped by that pid only."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local import kept, screen

_POLL_SECONDS = 0.02
_KILL_SECONDS = 10.0
_LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Account:
    """A system account that servers run under when we are root."""

    name: str
    uid: int
    gid: int
    home: str

    def passes_through(self, folder: Path) -> bool:
        """Tell whether this account may enter every folder on the way to `folder`."""
        return all(self._may_enter(part) for part in (folder, *folder.parents))

    def _may_enter(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        return bool(status.st_mode & (0o010 if status.st_gid == self.gid else 0o001))


def server_account() -> Account | None:
    """Return the account for servers: as root postgres's own, or nobody; otherwise no other.

    PostgreSQL refuses to run as root, and the other two have no need to.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
    raise screen.Stop("No account to run servers under: this system has no user nobody.", 3)


def run(
    argv: Sequence[str | Path],
    environ: Mapping[str, str] | None = None,
    account: Account | None = None,
    *,
    text_in: str = "",
    deadline_seconds: float = 120.0,
) -> str:
    """Run a short command and return what it said; its failure stops the launcher."""
    done = subprocess.run(
        [str(part) for part in argv],
        env=environ,
        input=text_in,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        timeout=deadline_seconds,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[account.gid] if account else None,
    )
    if done.returncode != 0:
        raise screen.Stop(f"{Path(argv[0]).name} failed ({done.returncode}):\n{done.stdout}")
    return done.stdout


class Process:
    """One long-running process; its own session, so that Ctrl-C reaches only the launcher."""

    def __init__(
        self, name: str, folder: Path, stop_signal: signal.Signals = signal.SIGTERM
    ) -> None:
        self.name = name
        self._stop_signal = stop_signal
        self.log = folder / "logs" / f"{name}.log"
        self._record = folder / "pids" / f"{name}.json"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the last start; an error if there was none."""
        if self._child is None:
            raise LookupError(f"{self.name} was never started")
        return self._child.pid

    def start(
        self,
        argv: Sequence[str | Path],
        environ: Mapping[str, str],
        account: Account | None = None,
        cwd: Path = Path("/"),
    ) -> None:
        """Start it, appending all it prints to its log, and record the pid."""
        for folder in (self.log.parent, self._record.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.log, "ab", opener=kept.open_private) as log:
            self._child = subprocess.Popen(
                [str(part) for part in argv],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[account.gid] if account else None,
            )
        # A process is known by its pid and its birth: the pid alone may belong to another by then.
        record = {
            "pid": self._child.pid,
            "birth": _birth(self._child.pid),
            "stop_signal": int(self._stop_signal),
        }
        kept.write_private(self._record, json.dumps(record))

    def has_ended(self) -> bool:
        """Tell whether it is not running."""
        return self._child is None or self._child.poll() is not None

    def await_ready(self, is_ready: Callable[[], bool], deadline_seconds: float) -> None:
        """Wait until it answers; if it ends first or takes too long, stop with its last words."""
        deadline = time.monotonic() + deadline_seconds
        while not is_ready():
            if self.has_ended():
                raise screen.Stop(f"{self.name} ended at once.\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise screen.Stop(
                    f"{self.name} did not answer in {deadline_seconds:.0f} s.\n{self.last_words()}"
                )
            time.sleep(_POLL_SECONDS)

    def last_words(self) -> str:
        """Return the end of its log and where the rest is."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join([*lines, f"(all of it: {self.log})"])

    def ask_to_stop(self) -> None:
        """Send it the signal by which it stops in good order, if it still runs."""
        self._send(self._stop_signal)

    def await_end(self, grace_seconds: float) -> int:
        """Wait for its end, with SIGKILL to its whole session after the grace; returns its code."""
        if self._child is None:
            return 0
        try:
            code = self._child.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            code = self._child.wait(_KILL_SECONDS)
        self._record.unlink(missing_ok=True)
        return code

    def stop(self, grace_seconds: float) -> int:
        """Ask it to stop and wait for its end."""
        self.ask_to_stop()
        return self.await_end(grace_seconds)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it as a crash would."""
        self._send(number)
        return self.await_end(_KILL_SECONDS)

    def _send(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(number)


def stop_leftovers(folder: Path) -> list[str]:
    """End what a crashed run recorded under `folder` and left behind; returns the names."""
    stopped = []
    for record in sorted((folder / "pids").glob("*.json")):
        with suppress(ValueError, KeyError, ProcessLookupError, FileNotFoundError):
            entry = json.loads(record.read_text())
            pid = int(entry["pid"])
            if _birth(pid) == entry["birth"]:
                _end(pid, int(entry["stop_signal"]))
                stopped.append(record.stem)
        record.unlink(missing_ok=True)
    return stopped


def _end(pid: int, stop_signal: int) -> None:
    os.kill(pid, stop_signal)
    deadline = time.monotonic() + _KILL_SECONDS
    while _birth(pid) is not None:
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            return
        time.sleep(_POLL_SECONDS)


def is_alive(pid: int) -> bool:
    """Tell whether a process with this pid runs, whoever owns it."""
    return _birth(pid) is not None


def _birth(pid: int) -> str | None:
    """Return what tells this process from a later one with the same pid; None if it is gone."""
    if Path("/proc/self/stat").exists():
        try:
            # Fields after the name, which may hold anything; the state, and the start in ticks.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else fields[19]
    listed = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip() or None


def finish(argv: Sequence[str], log: Path, seconds: float, folder: Path | None = None) -> None:
    """Run a command to its end, its words in a log. If it fails, Stop is raised with the last."""
    with open(log, "ab", opener=kept.open_private) as stream:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=folder,
            check=False,
            timeout=seconds,
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
        raise screen.Stop(f"{Path(argv[0]).name} failed:\n{tail}\n(all of it: {log})")
