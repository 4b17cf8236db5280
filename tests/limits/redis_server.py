"""A Redis of a run's own: wiped, killed, and put back to what it was."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import redis

_START_SECONDS = 10.0
_KILL_SECONDS = 5.0


class RedisServer:
    """One process and its folder. All methods block, for some tens of milliseconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dump = folder / "dump.rdb"
        self._snapshot = folder / "kept.rdb"
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self._port = int(listener.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with what lies in its folder, and wait until it answers."""
        command = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
        command += ["--dir", str(self._folder), "--dbfilename", self._dump.name]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.003)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_KILL_SECONDS)
            self._process = None

    def wipe(self) -> None:
        """Have it forget everything, but go on."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def restart(self) -> None:
        """Kill it and start it with an empty memory."""
        self.kill()
        self._dump.unlink(missing_ok=True)
        self.start()

    def keep_snapshot(self) -> None:
        """Write down what it knows now."""
        with redis.Redis.from_url(self.url) as client:
            client.save()
        shutil.copyfile(self._dump, self._snapshot)

    @property
    def has_snapshot(self) -> bool:
        """Whether there is something to go back to."""
        return self._snapshot.exists()

    def forget_snapshot(self) -> None:
        """The next run has not kept one."""
        self._snapshot.unlink(missing_ok=True)

    def roll_back(self) -> None:
        """Kill it and start it with what it knew when the snapshot was kept."""
        self.kill()
        shutil.copyfile(self._snapshot, self._dump)
        self.start()
