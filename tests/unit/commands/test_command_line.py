"""The command line lists everything, reads only what is named, and explains it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import kept
from services import __main__ as sluice
from services.commands.command_line import Command
from shared.runtime import variables

COMMANDS = (*sluice.ROLES, *sluice.OPERATION)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints, on one line."""
    assert sluice.main(arguments) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_tells_of_itself_what_the_list_tells(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    own = told(capsys, command.name, "--help")
    assert command.sentence in own
    assert "Example: " in own or "COMMAND" in own


@pytest.mark.parametrize("name", ["ingest", "dispatcher", "dlr"])
def test_a_role_explains_its_variables(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Given the settings of a role
    [place] = [role.place.partition(":")[0] for role in sluice.ROLES if role.name == name]

    # When it is asked for help
    own = told(capsys, name, "--help")

    # Then each variable is there with its range, its unit and its default
    for one in variables.of(sys.modules[place].Settings):
        assert f"{one.name}: {one.meaning} Takes {one.takes}." in own
        assert one.is_required or f"Default: {one.default}" in own


def test_the_simulator_explains_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    own = told(capsys, "simulator", "--help").replace("│ │", "").split()
    text = " ".join(own)
    assert "SLUICE_SIMULATOR_WINDOW" in text
    assert "Takes a whole number of at least 1 (submits)." in text


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [(["--help"], []), (["ingest", "--help"], ["ingest.app"]), (["audit", "--help"], [])],
)
def test_no_role_is_loaded_but_the_one_that_is_named(
    arguments: list[str], loaded: list[str]
) -> None:
    script = f"""
import json, sys
from services.__main__ import main
main({arguments})
roles = ("ingest.app", "dispatcher.app", "dlr.app", "simulator.simulator")
print("\\n" + json.dumps([role for role in roles if f"services.{{role}}" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout.splitlines()[-1]) == loaded


def test_a_command_leaves_the_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given what ./run writes, and a caller with a wrong variable
    file = tmp_path / "env"
    url = "postgres://of-the-run/sluice"
    kept.write_environment(file, {"SLUICE_DATABASE_URL": url}, private=[url])
    monkeypatch.setattr(sluice, "RUN_FILE", file)
    monkeypatch.setenv("SLUICE_METRICS_PORT", "from the caller")
    monkeypatch.delenv("SLUICE_DATABASE_URL", raising=False)
    before = dict(os.environ)

    # When a command that reads both refuses the wrong one
    assert sluice.main(["dlr"]) == 2

    # Then it has seen the other, of which nothing is left
    told = capsys.readouterr().err
    assert "SLUICE_METRICS_PORT" in told
    assert "SLUICE_DATABASE_URL" not in told
    assert dict(os.environ) == before
