"""Where this checkout keeps what it runs on."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN_FOLDER = ROOT / ".run"
VENV = ROOT / ".venv"
SLUICE = VENV / "bin" / "sluice"
PYTHON = VENV / "bin" / "python"
# Debian packages that were unpacked without root.
UNPACKED = RUN_FOLDER / "debian" / "root"


def make_run_folder(folder: Path = RUN_FOLDER) -> Path:
    """Make `.run` for its owner alone, and close what an earlier version left open in it. Whether
    the servers' account may pass through is for `place.choose` to say; it is not taken back here,
    where servers may be running."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(folder.stat().st_mode & 0o710)
    logs = folder / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    logs.chmod(0o700)
    for entry in folder.iterdir():
        if entry.is_file() and not entry.is_symlink():
            entry.chmod(entry.stat().st_mode & 0o700)
    return folder


def digest(folder: Path) -> str:
    """Return eight hex digits that tell one folder from another in names outside of it."""
    return hashlib.sha256(str(folder).encode()).hexdigest()[:8]
