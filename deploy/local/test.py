"""What ./test does: the environment, the checks that only read, and the tests."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from deploy.local import binaries, checkout, debian, environment, kept, node, screen, servers

_DESCRIPTION = """\
Checks Sluice: format, lint, strict types, then every test, on private servers that are thrown away
afterwards. Servers of yours are used instead if you name them, one by one, in SLUICE_DATABASE_URL,
SLUICE_AMQP_URL and SLUICE_REDIS_URL; they must be empty."""

_EPILOG = """\
examples:
  ./test                                format, lint, types, and all tests
  ./test unit                           only what needs no server: seconds
  ./test lint                           only format, lint and types
  ./test integration -k wallet          one kind, with options of pytest
  ./test tests/unit/sms/test_states.py  any paths and options of pytest
  ./test limits                         2,000 runs with faults against the limits
  ./test bench                          measure throughput, with fsync on
  ./test bench --rivals                 the same beside Kannel, in one run
  ./test bench growth --help            what limits and the benchmarks take"""

_KINDS = ("unit", "integration", "e2e", "chaos")
_PROGRAMS = ("limits", "bench")
_CHECKS = (
    ("format", ["ruff", "format", "--check", "."]),
    ("lint", ["ruff", "check", "."]),
)
_TYPES = ("types", ["mypy"])
_CHECK_SECONDS = 300.0
_NOTHING_CHOSEN = 5
"""pytest's exit status when -k leaves no test."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="./test",
        usage=f"./test [{' | '.join(('all', *_KINDS, 'lint', *_PROGRAMS))}] [PYTEST OPTIONS]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=not given or given[0] not in _PROGRAMS,
    )
    parser.add_argument("--no-install", action="store_true", help="install no system packages")
    options, rest = parser.parse_known_args(given)
    kind = rest.pop(0) if rest and rest[0] in (*_KINDS, *_PROGRAMS, "all", "lint") else ""
    environment.ensure(environment.TEST_LOCK, may_install=not options.no_install)
    if kind == "lint" or kind == "all" or not (kind or rest):
        for each in _CHECKS:
            _check(*each)
    if kind == "lint":
        _check(*_TYPES)
        return 0
    if kind in _PROGRAMS and not {"-h", "--help"}.isdisjoint(rest):
        return _python(f"tests.{kind}", rest)
    if kind != "unit":
        missing = servers.missing(kept.given_urls(os.environ))
        debian.provide_servers(missing, allowed=not options.no_install)
    if kind in ("e2e", "all") or (not kind and (not rest or any("e2e" in each for each in rest))):
        _ensure_node()
    if kind == "bench" and "--rivals" in rest and binaries.find(binaries.KANNEL) is None:
        debian.provide_servers([binaries.KANNEL], allowed=not options.no_install)
    if kind in _PROGRAMS:
        return _python(f"tests.{kind}", rest)
    if kind == "unit":
        return _python("pytest", ["tests/unit", "--numprocesses=2", "--dist=worksteal", *rest])
    if kind in _KINDS:
        return _python("pytest", [f"tests/{kind}", *rest])
    if not kind and rest:
        return _python("pytest", rest)
    return _all(rest)


def _ensure_node() -> None:
    """Without it the one test that needs it fails, and says so; the others need not wait for it."""
    try:
        node.ensure()
    except screen.Stop as stop:
        screen.say(str(stop))


def _all(rest: Sequence[str]) -> int:
    """Every ring, in workers that have servers of their own: three, since they wait for more than
    they compute; the longest files first, so that none is left at the end. Last, without the others
    beside it, the one that hurts its servers, in two. A server that was given is one for all: then
    in turn. Types, which take one processor most of a minute, are checked beside the first; a fault
    in them is told at the end."""
    gentle = [f"tests/{kind}" for kind in ("e2e", "integration", "unit")]
    with ThreadPoolExecutor(max_workers=1) as beside:
        types = beside.submit(_check, *_TYPES)
        first = _pytest([*gentle, *_workers(3), *rest])
    second = _pytest(["tests/chaos", *_workers(2), *rest])
    types.result()
    return max(first, second) if {first, second} != {0, _NOTHING_CHOSEN} else 0


def _workers(count: int) -> list[str]:
    if kept.given_urls(os.environ):
        return []
    return [f"--numprocesses={count}", "--dist=loadfile", "--no-loadscope-reorder"]


def _pytest(arguments: Sequence[str]) -> int:
    argv = [str(checkout.PYTHON), "-m", "pytest", *arguments]
    return subprocess.run(argv, cwd=checkout.ROOT, check=False).returncode


def _check(title: str, command: Sequence[str]) -> None:
    program, *arguments = command
    with screen.step(title):
        done = subprocess.run(
            [str(checkout.VENV / "bin" / program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=checkout.ROOT,
            check=False,
            timeout=_CHECK_SECONDS,
        )
        if done.returncode != 0:
            raise screen.Stop(done.stdout.strip())


def _python(module: str, arguments: Sequence[str]) -> NoReturn:
    """Become `python -m module`, so that signals and the exit code are its own."""
    argv = [str(checkout.PYTHON), "-m", module, *arguments]
    os.chdir(checkout.ROOT)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    with screen.plain_errors():
        sys.exit(main())
