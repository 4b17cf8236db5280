"""./run and ./test before anything is started: help, ports, environment stamp, refusals."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.local import checkout, environment, kept


def call(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout.ROOT / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        cwd="/",
    )


@pytest.mark.parametrize(
    ("script", "taught"), [("run", "--once"), ("run", ".run/env"), ("test", "./test unit")]
)
def test_help_teaches_when_asked(script: str, taught: str) -> None:
    answer = call(script, "--help")
    assert answer.returncode == 0
    assert taught in answer.stdout


def test_run_refuses_with_a_message_when_the_job_file_is_absent() -> None:
    answer = call("run", "--once", "nowhere.csv")
    assert answer.returncode == 2
    assert "There is no file /nowhere.csv" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_port_is_kept_when_it_is_still_free(tmp_path: Path) -> None:
    ports: kept.Kept[int] = kept.Kept(tmp_path / "ports.json")
    first = kept.claim_port(ports, "postgres")
    assert kept.claim_port(ports, "postgres") == first
    assert json.loads((tmp_path / "ports.json").read_text()) == {"postgres": first}


def test_another_port_is_kept_when_the_last_one_was_taken(tmp_path: Path) -> None:
    ports: kept.Kept[int] = kept.Kept(tmp_path / "ports.json")
    first = kept.claim_port(ports, "postgres")
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", first))
        taker.listen()
        second = kept.claim_port(ports, "postgres")
    assert second != first
    assert ports.read() == {"postgres": second}


def test_secrets_are_for_their_owner_only_when_kept(tmp_path: Path) -> None:
    secrets: kept.Kept[str] = kept.Kept(tmp_path / "secrets.json")
    assert secrets.get("key", lambda: "first") == "first"
    assert secrets.get("key", lambda: "second") == "first"
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_environment_file_gives_the_same_values_when_sourced(tmp_path: Path) -> None:
    file = tmp_path / "env"
    written = {"SLUICE_TOKEN": "a'b $c", "SLUICE_REDIS_URL": "redis://:x@127.0.0.1:1/0"}
    kept.write_environment(file, written, private=[written["SLUICE_REDIS_URL"]])

    shell = ["/bin/sh", "-c", f". '{file}' && env -0"]
    seen = subprocess.run(shell, capture_output=True, text=True, check=True, timeout=10).stdout
    sourced = dict(entry.split("=", 1) for entry in seen.split("\0") if entry)

    assert {name: sourced[name] for name in written} == written
    assert file.stat().st_mode & 0o777 == 0o600
    assert kept.given_urls(sourced) == {}


@pytest.mark.parametrize(
    ("environ", "given"),
    [
        ({}, {}),
        ({"SLUICE_AMQP_URL": ""}, {}),
        ({"SLUICE_AMQP_URL": "amqp://a"}, {"SLUICE_AMQP_URL": "amqp://a"}),
        ({"SLUICE_AMQP_URL": "amqp://a", "SLUICE_PRIVATE_URLS": "redis://r amqp://a"}, {}),
        (
            {"SLUICE_AMQP_URL": "amqp://b", "SLUICE_PRIVATE_URLS": "redis://r amqp://a"},
            {"SLUICE_AMQP_URL": "amqp://b"},
        ),
    ],
)
def test_only_urls_of_a_person_count_when_read(
    environ: Mapping[str, str], given: Mapping[str, str]
) -> None:
    assert kept.given_urls(environ) == given


def test_the_lock_is_refused_when_held_and_free_when_released(tmp_path: Path) -> None:
    with kept.locked(tmp_path / "lock", wait=False) as first:
        assert first
        with kept.locked(tmp_path / "lock", wait=False) as second:
            assert not second
    with kept.locked(tmp_path / "lock", wait=False) as third:
        assert third


@pytest.fixture
def stamped(tmp_path: Path) -> Path:
    """A checkout whose environment fulfils both locks."""
    for lock in (environment.RUN_LOCK, environment.TEST_LOCK):
        (tmp_path / lock).write_text("pinned==1\n")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    environment.write_stamp(tmp_path, environment.TEST_LOCK)
    return tmp_path


def test_the_environment_is_fresh_when_its_stamp_names_the_lock(stamped: Path) -> None:
    assert environment.is_fresh(stamped, environment.TEST_LOCK)
    assert environment.is_fresh(stamped, environment.RUN_LOCK)


def test_the_environment_is_stale_when_the_lock_has_changed(stamped: Path) -> None:
    (stamped / environment.TEST_LOCK).write_text("pinned==2\n")
    assert not environment.is_fresh(stamped, environment.TEST_LOCK)
    assert environment.is_fresh(stamped, environment.RUN_LOCK)


def test_the_environment_is_stale_when_the_checkout_was_moved(stamped: Path) -> None:
    moved = stamped.with_name("moved")
    os.rename(stamped, moved)
    assert not environment.is_fresh(moved, environment.RUN_LOCK)


def test_the_environment_is_stale_for_tests_when_made_for_running(stamped: Path) -> None:
    environment.write_stamp(stamped, environment.RUN_LOCK)
    assert environment.is_fresh(stamped, environment.RUN_LOCK)
    assert not environment.is_fresh(stamped, environment.TEST_LOCK)
