"""What ./run does: bring everything up, show where it is, keep it up, take it down."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import string
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from deploy.local import (
    checkout,
    debian,
    environment,
    every_kind,
    kept,
    paying,
    place,
    processes,
    recorder,
    roles,
    screen,
    servers,
    stopping,
    supervisor,
)

_HERE = Path(__file__).resolve().parent
_SAMPLE = _HERE / "sample.csv"
_DEMO = _HERE / "demo.toml"
_PRICES = _HERE.parent / "prices.toml"
_RECORDER = "recorder"
_COMMAND_SECONDS = 120.0
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_DESCRIPTION = """\
Brings Sluice up on this machine: a Python environment in .venv, private PostgreSQL, RabbitMQ and
Redis on free loopback ports with their data in .run, a demo account, every service, and a carrier
to practise on. Ctrl-C stops all of it; the data stay."""

_EPILOG = """\
examples:
  ./run                        stay up; logs in .run/logs, addresses in .run/env
  ./run --once                 send the sample of 2,000 messages, follow it to the end, audit, stop
  ./run --once jobs.csv        the same with your own: CSV or JSON lines of to,text[,from,...]
  ./run --reset                forget all data
  . .run/env                   in another shell: SLUICE_API_URL, SLUICE_TOKEN and the rest

Servers of yours are used instead of private ones if you name them, one by one, in
SLUICE_DATABASE_URL, SLUICE_AMQP_URL and SLUICE_REDIS_URL. Others are never touched.
Missing servers are installed as root by apt-get, or unpacked into .run without root."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="./run",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--once", nargs="?", const=str(_SAMPLE), metavar="FILE", help="send FILE, report, stop"
    )
    what.add_argument("--reset", action="store_true", help="forget all data (nothing may run)")
    parser.add_argument("--no-install", action="store_true", help="install no system packages")
    options = parser.parse_args(arguments)
    job = _find(options.once) if options.once else None
    folder = checkout.make_run_folder()
    with kept.locked(folder / "run.lock", wait=False) as got:
        if not got:
            raise screen.Stop(
                "Sluice is already running from this checkout. Its addresses are in .run/env;\n"
                "stop it with Ctrl-C in its terminal, or use .venv/bin/sluice beside it.",
                screen.EXIT_REFUSED,
            )
        if options.reset:
            _reset(folder)
            return 0
        return _bring_up(folder, job, may_install=not options.no_install)


def _find(job: str) -> Path:
    file = Path(os.environ.get("SLUICE_CALLED_FROM", "."), job)
    if not file.is_file():
        raise screen.Stop(f"There is no file {file}.", screen.EXIT_REFUSED)
    return file


def _reset(folder: Path) -> None:
    processes.stop_leftovers(folder)
    place.choose(folder).forget_data()
    for entry in folder.iterdir():
        if entry.is_dir() and entry != checkout.UNPACKED.parent:
            shutil.rmtree(entry)
        elif entry.is_file() and entry.suffix != ".lock":
            entry.unlink()
    screen.say("All data of this checkout are gone.")


def _bring_up(folder: Path, job: Path | None, *, may_install: bool) -> int:
    given = kept.given_urls(os.environ)
    for number in _INTERRUPTS:
        signal.signal(number, _interrupt)
    screen.say("Sluice")
    environment.ensure(environment.RUN_LOCK, may_install=may_install)
    debian.provide_servers(servers.missing(given), allowed=may_install)
    with ExitStack() as stack:
        try:
            stands_on = servers.Servers(folder, given)
            _tell_leftovers(stands_on.leftovers)
            stack.enter_context(_running_servers(stands_on))
            environ = _prepare(stands_on)
            workers = [roles.Worker(role, stands_on.place, environ) for role in roles.ROLES]
            stack.enter_context(_running(workers))
            if job:
                return _once(job, stands_on, environ)
            _show(environ)
            supervisor.watch(workers, stands_on)
        except KeyboardInterrupt:
            screen.say()
            return 130 if job else 0
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tell_leftovers(names: list[str]) -> None:
    if names:
        screen.say(f"  stopped what an earlier run left behind: {', '.join(names)}")


@contextmanager
def _running_servers(stands_on: servers.Servers) -> Iterator[None]:
    try:
        for url in kept.SERVER_URLS:
            if url not in stands_on.private_urls:
                screen.say(f"  using the server in {url}")
        data = stands_on.place.data
        if data != stands_on.place.folder:
            screen.say(f"  data in {data}: the servers' account may not enter this checkout")
        with screen.step(f"private servers: {', '.join(stands_on.names) or 'none'}"):
            stands_on.start()
        yield
    finally:
        with _undisturbed(), screen.step(f"servers stopped; data stay in {stands_on.place.data}"):
            stands_on.stop()


@contextmanager
def _running(workers: Sequence[roles.Worker]) -> Iterator[None]:
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            with screen.step(worker.role.name):
                worker.await_ready()
        yield
    finally:
        with _undisturbed(), screen.step("services stopped"):
            supervisor.stop(workers)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no second Ctrl-C leave half of it running."""
    for number in _INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    yield


def _prepare(stands_on: servers.Servers) -> dict[str, str]:
    """Migrate, seed the demo account and write `.run/env`; returns the environment for services."""
    variables = roles.settings(stands_on.place, stands_on.urls)
    environ = {**os.environ, **variables}
    # Only the migration comes as the schema's owner.
    environ.pop(kept.OWNER_URL, None)
    with screen.step("database migrated"):
        _sluice({**environ, kept.OWNER_URL: stands_on.database_url}, "migrate")
    with screen.step("demo account, prices and routes applied"):
        demo = stands_on.place.folder / "demo.toml"
        filled = variables | {_RECORDER: str(stands_on.place.port(_RECORDER))}
        # The list comes first, for it is no table of its own.
        text = _PRICES.read_text() + string.Template(_DEMO.read_text()).substitute(filled)
        kept.write_private(demo, text)
        _sluice(environ, "apply", str(demo))
    variables["SLUICE_TOKEN"] = _token(stands_on, environ)
    kept.write_environment(
        stands_on.place.folder / "env", variables, list(stands_on.private_urls.values())
    )
    return {**environ, "SLUICE_TOKEN": variables["SLUICE_TOKEN"]}


def _token(stands_on: servers.Servers, environ: Mapping[str, str]) -> str:
    # A token is shown once, by the database that made it.
    def create() -> str:
        return str(_created(environ, "demo")["token"])

    return stands_on.place.passwords.get(f"token of {_database(stands_on)}", create)


def _id_and_token(stands_on: servers.Servers, environ: Mapping[str, str], account: str) -> str:
    """The same with its id in front, and a colon between."""

    def create() -> str:
        made = _created(environ, account)
        return f"{made['id']}:{made['token']}"

    return stands_on.place.passwords.get(f"{account}: token of {_database(stands_on)}", create)


def _database(stands_on: servers.Servers) -> str:
    return stands_on.database_url.rpartition("@")[2]


def _created(environ: Mapping[str, str], account: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(_sluice(environ, "token", "create", account, "run", "--json"))
    return made


def _sluice(environ: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [checkout.SLUICE, *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=checkout.ROOT,
        check=False,
        timeout=_COMMAND_SECONDS,
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        raise screen.Stop(f"sluice {' '.join(arguments)} failed ({done.returncode}):\n{said}")
    return done.stdout


def _once(job: Path, stands_on: servers.Servers, environ: Mapping[str, str]) -> int:
    """Send the job, follow it while a webhook is told of it, have a phone say STOP, send from lines
    of every kind, audit; returns the worse of the two exit codes."""
    token_id, _, token = _id_and_token(stands_on, environ, every_kind.ACCOUNT).partition(":")
    screen.say()
    with recorder.told(stands_on.place.port(_RECORDER), environ):
        sent = _foreground(environ, "send", str(job), "--follow")
    paying.show(environ)
    stopping.show(environ)
    every_kind.show(environ, token_id, token)
    screen.say()
    audited = _foreground(environ, "audit")
    screen.say()
    return max(sent, audited)


def _foreground(environ: Mapping[str, str], *arguments: str) -> int:
    """Run a command that says for itself what it does; its exit code."""
    command = [str(checkout.SLUICE), *arguments]
    done = subprocess.run(command, env=environ, cwd=checkout.ROOT, check=False)
    return abs(done.returncode)


def _show(environ: Mapping[str, str]) -> None:
    api, token = environ["SLUICE_API_URL"], environ["SLUICE_TOKEN"]
    body = json.dumps({"to": "+33612345678", "text": "Hello from Sluice"})
    screen.say(f"""
  API         {api}   (its description: {api}/openapi.json)
  Aircall's   {environ["SLUICE_AIRCALL_URL"]}   (see docs/aircall.md)
  Mailjet's   {environ["SLUICE_MAILJET_URL"]}   (see docs/mailjet.md)
  receipts    {environ["SLUICE_DLR_URL"]}
  simulator   {environ["SLUICE_SIMULATOR_URL"]}
  demo token  {token}
  logs        {checkout.RUN_FOLDER / "logs"}

  curl -sS {api}/v1/messages -H 'Authorization: Bearer {token}' \\
    -H 'Content-Type: application/json' -d '{body}'

  In another shell:  . {checkout.RUN_FOLDER / "env"}
  Ctrl-C stops everything; the data stay.
""")


if __name__ == "__main__":
    with screen.plain_errors():
        sys.exit(main())
