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


def make_run_folder() -> Path:
    """Make `.run`, which servers under another account may pass through but not list."""
    RUN_FOLDER.mkdir(exist_ok=True)
    RUN_FOLDER.chmod(0o711)
    (RUN_FOLDER / "logs").mkdir(exist_ok=True)
    return RUN_FOLDER


def digest(folder: Path) -> str:
    """Return eight hex digits that tell one folder from another in names outside of it."""
    return hashlib.sha256(str(folder).encode()).hexdigest()[:8]
