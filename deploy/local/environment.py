"""The Python environment in `.venv`: what the locks pin, and Sluice itself by reference."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from deploy.local import checkout, debian, kept, processes, screen

RUN_LOCK = "requirements.txt"
# Holds all that the other one does, in the same versions.
TEST_LOCK = "requirements-dev.txt"

_STAMP = "sluice.json"
_PIP_SECONDS = 900.0

# Found by its own folder, so that no path is written in; -P keeps the current folder out.
_COMMAND = """\
#!/bin/sh
exec "$(dirname "$0")/python" -P -m services "$@"
"""


def ensure(lock: str, *, may_install: bool, root: Path = checkout.ROOT) -> bool:
    """Bring `.venv` to what `lock` pins; returns whether anything had to be done.

    A stamp in the environment names the locks it fulfils by their hash, so that the next call
    costs nothing.
    """
    checkout.make_run_folder()
    with kept.locked(checkout.RUN_FOLDER / "environment.lock", wait=True):
        if is_fresh(root, lock):
            return False
        venv = root / ".venv"
        if not _is_usable(root):
            with screen.step(f"Python environment in {venv}"):
                shutil.rmtree(venv, ignore_errors=True)
                _make(venv, may_install=may_install)
        with screen.step(f"packages of {lock}"):
            _install(venv, root / lock)
        _link(venv, root)
        write_stamp(root, lock)
    return True


def is_fresh(root: Path, lock: str) -> bool:
    """Tell whether the environment's stamp names this checkout and this version of the lock."""
    stamp = _read_stamp(root)
    return (
        stamp.get("checkout") == str(root)
        and stamp.get(lock) == _fingerprint(root / lock)
        and os.access(root / ".venv/bin/python", os.X_OK)
    )


def _read_stamp(root: Path) -> dict[str, str]:
    with suppress(FileNotFoundError, ValueError):
        stamp: dict[str, str] = json.loads((root / ".venv" / _STAMP).read_text())
        return stamp
    return {}


def write_stamp(root: Path, lock: str) -> None:
    """Say in the environment which locks it fulfils now."""
    locks = (RUN_LOCK, TEST_LOCK) if lock == TEST_LOCK else (RUN_LOCK,)
    stamp = {name: _fingerprint(root / name) for name in locks}
    text = json.dumps({"checkout": str(root), **stamp}, indent=2)
    (root / ".venv" / _STAMP).write_text(text + "\n")


def _fingerprint(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_usable(root: Path) -> bool:
    """Tell whether there is an environment that was made here and whose Python still runs."""
    if _read_stamp(root).get("checkout", str(root)) != str(root):
        return False
    try:
        probe = [str(root / ".venv/bin/python"), "-c", "import pip"]
        return subprocess.run(probe, capture_output=True, check=False, timeout=60).returncode == 0
    except OSError:
        return False


def _make(venv: Path, *, may_install: bool) -> None:
    """Make an empty environment with pip; Debian keeps pip's copy in a package of its own."""
    if importlib.util.find_spec("ensurepip") is not None:
        _python([sys.executable, "-m", "venv", str(venv)])
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not may_install or not debian.is_here() or not sys.executable.startswith("/usr/bin/"):
        raise screen.Stop(
            "This Python lacks venv and pip. On Debian or Ubuntu:\n"
            f"  sudo apt-get install {package}",
            screen.EXIT_UNAVAILABLE,
        )
    if os.geteuid() == 0:
        debian.install([package])
        _python([sys.executable, "-m", "venv", str(venv)])
        return
    debian.unpack(["python3-pip-whl"])
    wheel = max(checkout.UNPACKED.glob("usr/share/python-wheels/pip-*.whl"))
    _python([sys.executable, "-m", "venv", "--without-pip", str(venv)])
    pip = [str(venv / "bin/python"), f"{wheel}/pip", "install", "--no-index", str(wheel)]
    _python(pip)


def _install(venv: Path, lock: Path) -> None:
    pip = [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    # What is imported is compiled then: to compile all that is there takes a third of the time.
    _python([*pip, "install", "--no-compile", "--require-hashes", "--requirement", str(lock)])


def _python(argv: list[str]) -> None:
    processes.finish(argv, checkout.RUN_FOLDER / "logs" / "environment.log", _PIP_SECONDS)


def _link(venv: Path, root: Path) -> None:
    """Make Sluice importable and `sluice` a command, from the checkout's own files."""
    packages = next((venv / "lib").glob("python3.*/site-packages"))
    (packages / "sluice.pth").write_text(f"{root}\n")
    command = venv / "bin" / "sluice"
    command.write_text(_COMMAND)
    command.chmod(0o755)
