"""Where a private server lives: its data folder, its account, its port and its password."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.local import checkout, kept, processes


@dataclass(frozen=True, slots=True)
class Place:
    """All that private servers of one folder share. Data may lie elsewhere: see `choose`."""

    folder: Path
    data: Path
    account: processes.Account | None
    ports: kept.Kept[int]
    passwords: kept.Kept[str]

    def port(self, name: str) -> int:
        """Return a free loopback port for `name`, the same as last time if it can be."""
        return kept.claim_port(self.ports, name)

    def password(self, name: str) -> str:
        """Return the generated password of `name`."""
        return self.passwords.get(f"{name}_password", lambda: secrets.token_hex(16))

    def make_folder(self, name: str) -> Path:
        """Make a data folder that only the servers' account may enter."""
        folder = self.data / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.hand_over(folder)
        return folder

    def write(self, file: Path, text: str) -> None:
        """Write a file that only the servers' account may read."""
        kept.write_private(file, text)
        self.hand_over(file)

    def hand_over(self, path: Path) -> None:
        """Make the servers' account the owner of `path`."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)

    def environ(self, home: Path) -> dict[str, str]:
        """Return the bare environment of a server: nothing of the caller's leaks into it."""
        user = self.account.name if self.account else os.environ.get("USER", "")
        return {"HOME": str(home), "USER": user, "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def forget_data(self) -> None:
        """Delete the servers' data, wherever it lies."""
        for name in ("postgres", "redis", "rabbitmq"):
            shutil.rmtree(self.data / name, ignore_errors=True)
        if self.data != self.folder:
            shutil.rmtree(self.data, ignore_errors=True)


def choose(folder: Path) -> Place:
    """Return the place for `folder`, which is closed to everybody else.

    As root, servers run under another account, which may then pass through the folder, no more;
    where it cannot reach it (a checkout below a home of mode 700), data go to a folder of their own
    under /var/lib.
    """
    account = processes.server_account()
    data = folder
    _close(folder, account)
    if account and not account.passes_through(folder):
        data = Path("/var/lib") / f"sluice-{checkout.digest(folder)}"
        data.mkdir(mode=0o700, exist_ok=True)
        _close(data, account)
    ports: kept.Kept[int] = kept.Kept(folder / "ports.json")
    passwords: kept.Kept[str] = kept.Kept(folder / "secrets.json")
    return Place(folder, data, account, ports, passwords)


def _close(folder: Path, account: processes.Account | None) -> None:
    if account:
        os.chown(folder, -1, account.gid)
    folder.chmod(0o710 if account else 0o700)
