"""Every command in the README does what it says, and a fresh checkout comes up with one of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import fleet as fleets

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCK_SECONDS = 90
RUN_SECONDS = 300

# These two bring up everything themselves: the first is run below, the other is running this test.
WHOLE = ["./run --once\n", "./test\n"]


# For machines without curl: as much of it as the README uses.
CURL = """
import sys, urllib.request
url, headers, data = "", {}, None
words = iter(sys.argv[1:])
for word in words:
    if word == "-H":
        name, _, value = next(words).partition(": ")
        headers[name] = value
    elif word == "-d":
        data = next(words).encode()
    elif word != "-sS":
        url = word
with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
    sys.stdout.write(answer.read().decode())
"""


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def checkout(platform: fleets.Fleet) -> Path:
    """A folder that looks like the checkout while ./run is up in another terminal."""
    here = platform.folder / "checkout"
    (here / ".run").mkdir(parents=True)
    (here / ".venv" / "bin").mkdir(parents=True)
    command = here / ".venv" / "bin" / "sluice"
    command.write_text(
        f'#!/bin/sh\n. .run/env\nPYTHONPATH={ROOT} exec {sys.executable} -m services "$@"\n'
    )
    command.chmod(0o755)
    if shutil.which("curl") is None:
        (here / "bin").mkdir()
        (here / "bin" / "curl").write_text(f"#!{sys.executable}\n{CURL}")
        (here / "bin" / "curl").chmod(0o755)
    (here / "deploy").symlink_to(ROOT / "deploy")
    # given the demo account with its prices, and a token of it in .run/env
    prices = (ROOT / "deploy/prices.toml").read_text("utf-8")
    operator = here / "demo.toml"
    operator.write_text(prices + fleets.account("demo"))
    platform.sluice("apply", str(operator))
    environment = {**platform.environment, "SLUICE_TOKEN": platform.token("demo")}
    lines = [f"export {name}='{value}'" for name, value in environment.items() if name != "PATH"]
    (here / ".run" / "env").write_text("\n".join(lines))
    # and a password where the README's carrier has its own
    (platform.folder / "secret").write_text("not telling")
    (platform.folder / "secret").chmod(0o600)
    (here / "operator.toml").write_text(
        blocks("toml")[0].replace("/run/secrets/acme", str(platform.folder / "secret"))
    )
    return here


def run(checkout: Path, *command: str) -> str:
    """Run a command in that folder with nothing but a plain environment."""
    done = subprocess.run(
        command,
        cwd=checkout,
        env={"PATH": f"{checkout}/bin:{os.environ['PATH']}", "HOME": str(checkout)},
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_shell_block_runs(checkout: Path) -> None:
    shell = [block for block in blocks("sh") if block not in WHOLE]
    assert len(shell) + len(WHOLE) == len(blocks("sh"))
    outputs = [run(checkout, "sh", "-ec", block) for block in shell]
    sent = json.loads(next(output for output in outputs if output.startswith("{")))
    assert sent["status"] == "queued"
    assert any("all books agree" in output for output in outputs)


def test_the_python_block_runs(checkout: Path) -> None:
    (block,) = blocks("python")
    (checkout / "send.py").write_text(block)
    output = run(checkout, "sh", "-ec", f". .run/env; exec {sys.executable} send.py")
    status, segments, price, currency = output.splitlines()[0].split()
    assert (status, segments, currency) == ("queued", "1", "EUR")
    assert float(price) > 0


def test_a_fresh_checkout_sends_a_job_with_one_command(tmp_path: Path) -> None:
    # given nothing but the project's files
    fresh = tmp_path / "fresh"
    for name in _project_files():
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, fresh / name)
    job = tmp_path / "job.csv"
    job.write_text("to,text\n" + "".join(f"+3361234{n:04d},hello {n}\n" for n in range(100, 140)))
    # when the first of the two commands is given
    done = subprocess.run(
        ["./run", "--once", str(job)],
        cwd=fresh,
        env={name: os.environ[name] for name in os.environ if not name.startswith("SLUICE_")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    # then every message arrives, a webhook is told, the books agree, and nothing is left running
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all books agree" in done.stdout
    assert re.search(r"delivered\s+40\s+40", done.stdout)
    assert "was told of 40 message.delivered, all signed" in done.stdout
    assert not [pid for pid in _processes_naming(fresh) if pid != os.getpid()]


MADE = {".git", ".venv", ".run", "__pycache__", ".hypothesis"}


def _project_files() -> list[Path]:
    """Everything in the checkout but what was made in it, relative to its root."""
    return [
        path.relative_to(ROOT)
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(
            part in MADE or part.endswith("_cache") for part in path.relative_to(ROOT).parts
        )
    ]


def _processes_naming(folder: Path) -> list[int]:
    import psutil

    return [
        process.info["pid"]
        for process in psutil.process_iter(["pid", "cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
    ]
