"""Nobody else on the machine reads what ./run and ./test keep: texts, numbers, secrets."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import checkout, kept, place, processes, roles
from deploy.local.servers import Servers
from services.simulator import journal


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any account may go to, as a checkout's `.run` can be; pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="sluice-neighbours-"))
    yield made
    shutil.rmtree(made)


def open_to_others(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) & 0o077


def test_a_run_folder_of_before_is_closed_when_it_is_used_again(folder: Path) -> None:
    # Given a folder as earlier versions left it
    folder.chmod(0o711)
    (folder / "logs").mkdir(mode=0o755)
    for name in ("simulator.jsonl", "env", "logs/ingest.log"):
        (folder / name).write_text("+33612345678 a secret text\n")
        (folder / name).chmod(0o644)

    # When a launcher begins with it
    checkout.make_run_folder(folder)

    # Then others may not even pass through, and its files are their owner's
    assert stat.S_IMODE(folder.stat().st_mode) & 0o067 == 0
    assert open_to_others(folder / "logs") == 0
    assert open_to_others(folder / "simulator.jsonl") == 0


def test_the_servers_account_passes_through_and_nobody_else(folder: Path) -> None:
    # Given the place of private servers in a closed folder
    checkout.make_run_folder(folder)
    chosen = place.choose(folder)
    data = chosen.make_folder("redis")

    # Then data lie in it, and only their owner comes to them
    assert chosen.data == folder
    assert open_to_others(data) == 0
    assert stat.S_IMODE(folder.stat().st_mode) & 0o067 == 0
    if chosen.account:
        assert chosen.account.passes_through(data)
        assert not _neighbour(chosen.account).passes_through(folder)
    else:
        assert open_to_others(folder) == 0


def _neighbour(other_than: processes.Account) -> processes.Account:
    entry = next(one for one in pwd.getpwall() if one.pw_gid not in (0, other_than.gid))
    return processes.Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as another user")
def test_a_neighbour_cannot_read_a_log_of_running_servers(servers: Servers) -> None:
    if not servers.names:
        pytest.skip("all servers are yours")
    log = servers.place.folder / "logs" / f"{servers.names[0]}.log"
    neighbour = _neighbour(servers.place.account or processes.Account("", 0, 0, ""))
    tried = subprocess.run(
        ["/bin/cat", str(log)],
        user=neighbour.uid,
        group=neighbour.gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    assert log.exists()
    assert "Permission denied" in tried.stderr


def test_what_a_process_says_and_is_known_by_is_for_its_owner_only(tmp_path: Path) -> None:
    started = processes.Process("sleeper", tmp_path)
    started.start(["/bin/sh", "-c", "echo +33612345678"], {})
    assert started.await_end(10) == 0
    assert open_to_others(started.log) == 0
    assert {open_to_others(one) for one in tmp_path.rglob("*")} == {0}


def test_the_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    kept = journal.Journal(str(tmp_path / "journal.jsonl"))
    kept.close()
    assert open_to_others(tmp_path / "journal.jsonl") == 0


def test_the_simulators_password_and_token_are_made_anew_in_each_checkout(tmp_path: Path) -> None:
    # Given two checkouts
    made = []
    for name in ("one", "other"):
        here = tmp_path / name
        here.mkdir()
        ports, passwords = here / "ports.json", here / "secrets.json"
        there = place.Place(here, here, None, kept.Kept(ports), kept.Kept(passwords))
        made.append(roles.settings(there, {}))

    # Then each has its own of both, and a password that fits SMPP's eight characters
    for variable in ("SLUICE_SIMULATOR_PASSWORD", "SLUICE_SIMULATOR_TOKEN"):
        first, second = (settings[variable] for settings in made)
        assert first != second
    assert len(made[0]["SLUICE_SIMULATOR_PASSWORD"]) == 8
