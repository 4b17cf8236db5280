"""Sluice as it really runs: one process a role, on given servers; to use, kill and audit."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from deploy.local.servers import Servers
from tests.ports import free_port

ROOT = Path(__file__).parent.parent
ROLES = ("simulator", "dlr", "dispatcher", "ingest", "webhooks")
READY_SECONDS = 40.0
STOP_SECONDS = 35.0

CARRIER = """
[[carrier]]
name = "practice"
adapter = "smpp"
host = "127.0.0.1"
port = {smpp_port}
system_id = "sluice"
password = "practice"
binds = {binds}
window = {window}
response_seconds = {response_seconds}

[[route]]
country = "*"
carrier = "practice"
priority = 1
"""

PRICES = "\n".join(
    f'[[price]]\ncountry = "{country}"\ncurrency = "EUR"\namount = "{amount}"\n'
    for country, amount in (("FR", "0.0453"), ("DE", "0.07"), ("US", "0.01"), ("GB", "0.04"))
)


def account(
    name: str,
    *,
    credit: str = "1000",
    daily_limit: int = 10_000_000,
    requests_per_minute: int = 10_000_000,
    limits: tuple[int, int, int] = (10_000_000, 10_000_000, 10_000_000),
    sender: str = "Sluice",
    is_known_of_old: bool = False,
) -> str:
    """The configuration of an account in EUR with one default line: a name, which sends everywhere.
    `is_known_of_old`: it may be read by the release before, whose accounts did so anyhow."""
    rules = "" if is_known_of_old else "registration_enforced = false"
    return f"""
[[account]]
name = "{name}"
currency = "EUR"
daily_limit = {daily_limit}
requests_per_minute = {requests_per_minute}
credit = "{credit}"
{rules}
{line(name, sender, limits=limits, default=True)}"""


def line(
    account_name: str, sender: str, *, limits: tuple[int, int, int], default: bool = False
) -> str:
    """The configuration of one alphanumeric line with limits by hour, day and month."""
    hour, day, month = limits
    return f"""
[[line]]
account = "{account_name}"
sender = "{sender}"
kind = "alphanumeric"
country = "FR"
default = {str(default).lower()}
limits = {{ hour = {hour}, day = {day}, month = {month} }}
"""


class Fleet:
    """The processes of one Sluice. Every one is stopped, or killed, by its process id."""

    def __init__(self, servers: Servers, folder: Path, root: Path = ROOT) -> None:
        """On these servers, with its files in `folder`; `root` is where its code is."""
        self.servers = servers
        self._root = root
        self.folder = folder
        self.journal_path = folder / "journal.jsonl"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._health: dict[str, int] = {}
        self._metrics: dict[str, int] = {}
        self._started: dict[str, tuple[str, dict[str, str]]] = {}
        self.ports = {name: free_port() for name in ("ingest", "dlr", "simulator", "smpp")}
        self.environment = {
            "PATH": os.environ["PATH"],
            **servers.urls,
            "SLUICE_SECRET_KEY": "c0ffee" * 10,
            "SLUICE_INGEST_PORT": str(self.ports["ingest"]),
            "SLUICE_DLR_PORT": str(self.ports["dlr"]),
            "SLUICE_SIMULATOR_HTTP_PORT": str(self.ports["simulator"]),
            "SLUICE_SIMULATOR_SMPP_PORT": str(self.ports["smpp"]),
            "SLUICE_SIMULATOR_PASSWORD": "practice",
            "SLUICE_SIMULATOR_JOURNAL_PATH": str(self.journal_path),
            "SLUICE_API_URL": f"http://127.0.0.1:{self.ports['ingest']}",
        }

    # The command -----------------------------------------------------------------------------

    def sluice(
        self, *arguments: str, check: bool = True, seconds: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run the `sluice` command to its end, which comes within so many seconds."""
        done = subprocess.run(
            [sys.executable, "-m", "services", *arguments],
            env={"SLUICE_MIGRATION_DATABASE_URL": self.servers.database_url, **self.environment},
            cwd=self._root,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"sluice {arguments[0]}: {done.stdout}{done.stderr}")
        return done

    def apply(
        self,
        configuration: str,
        *,
        binds: int = 2,
        window: int = 200,
        response_seconds: float = 60.0,
    ) -> None:
        """Load a configuration and the route to the simulator."""
        carrier = CARRIER.format(
            smpp_port=self.ports["smpp"],
            binds=binds,
            window=window,
            response_seconds=response_seconds,
        )
        path = self.folder / "configuration.toml"
        path.touch(0o600)
        path.write_text(configuration + PRICES + carrier, "utf-8")
        self.sluice("apply", str(path))

    def token(self, account_name: str, name: str = "test") -> str:
        """A new token of an account."""
        created = self.sluice("token", "create", account_name, name, "--json")
        return str(json.loads(created.stdout)["token"])

    def audit(self, seconds: float = 120.0) -> dict[str, Any]:
        """The auditor's verdict, which comes within so many seconds."""
        done = self.sluice("audit", "--json", check=False, seconds=seconds)
        try:
            verdict: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"sluice audit: {done.stdout}{done.stderr}") from None
        return verdict

    # Processes -------------------------------------------------------------------------------

    def start(self, role: str, name: str = "", **environment: str) -> None:
        """Start a role; `name` tells several of one role apart."""
        name = name or role
        self._started[name] = (role, environment)
        health = free_port()
        self._health[name] = self.ports.get(role, health)
        self._metrics[name] = health
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "services", role],
                env={**self.environment, "SLUICE_METRICS_PORT": str(health), **environment},
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def restart(self, name: str) -> None:
        """Start a process that has ended again, as it was started before."""
        role, environment = self._started[name]
        self.start(role, name, **environment)

    def ended(self) -> list[str]:
        """Names of the processes that do not run any more."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    async def ready(self, *names: str) -> None:
        """Wait until these processes say that they can work."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            deadline = asyncio.get_running_loop().time() + READY_SECONDS
            for name in names:
                while not await self._is_ready(session, name):
                    if self._processes[name].poll() is not None:
                        raise AssertionError(f"{name} ended: {self.log(name)}")
                    if asyncio.get_running_loop().time() > deadline:
                        raise AssertionError(f"{name} is not ready: {self.log(name)}")
                    await asyncio.sleep(0.05)

    async def _is_ready(self, session: aiohttp.ClientSession, name: str) -> bool:
        try:
            url = f"http://127.0.0.1:{self._health[name]}/health/ready"
            async with session.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def metrics(self, session: aiohttp.ClientSession, name: str) -> str:
        """What a process, other than the simulator, tells of itself in numbers."""
        url = f"http://127.0.0.1:{self._metrics[name]}/metrics"
        async with session.get(url) as answer:
            return await answer.text()

    async def start_all(self, roles: Sequence[str] = ROLES) -> None:
        """One of each role, ready."""
        for role in roles:
            self.start(role)
        await self.ready(*roles)

    def pid(self, name: str) -> int:
        """The process id of a running process."""
        return self._processes[name].pid

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal, if the process still lives."""
        if self._processes[name].poll() is None:
            self._processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """kill -9, and wait until it is gone."""
        self.signal(name, signal.SIGKILL)
        self._processes[name].wait(5)

    def stop(self, name: str) -> int:
        """SIGTERM; the exit status."""
        self.signal(name, signal.SIGTERM)
        return self._processes[name].wait(STOP_SECONDS)

    def retire(self, name: str) -> int:
        """SIGTERM a process that is not to be started again; the exit status."""
        status = self.stop(name)
        del self._processes[name], self._started[name], self._health[name]
        return status

    def log(self, name: str, characters: int = 3000) -> str:
        """The end of a process's log."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")[-characters:]

    def close(self) -> None:
        """Stop everything that still runs, the carrier last: the others wait for its answers."""
        for names in (set(self._processes) - {"simulator"}, {"simulator"} & set(self._processes)):
            for name in names:
                self.signal(name, signal.SIGCONT)
                self.signal(name, signal.SIGTERM)
            for name in names:
                try:
                    self._processes[name].wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    self.kill(name)

    def journal(self) -> list[dict[str, Any]]:
        """Every submit the simulated carrier accepted."""
        if not self.journal_path.is_file():
            return []
        return [json.loads(line) for line in self.journal_path.read_text("utf-8").splitlines()]


@contextmanager
def fleet(servers: Servers, folder: Path) -> Iterator[Fleet]:
    """An empty Sluice on these servers, migrated; everything it starts is stopped at the end."""
    built = Fleet(servers, folder)
    built.sluice("migrate")
    try:
        yield built
    finally:
        built.close()
