"""Ports of the loopback interface, each given to one test of the machine at a time."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

from deploy.local import kept

# Below the ports of the servers' launcher, and so below those of outgoing connections.
PORTS = range(10_000, 18_000)
_LAST = Path(tempfile.gettempdir()) / f"sluice-test-port-{os.getuid()}"


def free_port(last: Path = _LAST) -> int:
    """A port nobody listens on, and that nobody else is given for thousands of calls to come.

    Our services share their ports with whoever else asks to share (SO_REUSEPORT): were two of them
    given the same one before either listens, each would get some of the other's requests. All
    processes that name the same file `last` take turns.
    """
    with kept.locked(last, wait=True):
        try:
            port = int(last.read_text())
        except ValueError:
            port = random.choice(PORTS)
        for _ in PORTS:
            port = port + 1 if port + 1 in PORTS else PORTS[0]
            if kept.is_free(port):
                last.write_text(str(port))
                return port
    raise OSError("no free port on the loopback interface")
