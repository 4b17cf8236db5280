"""What each process costs: CPU and memory of process trees; the machine's idle time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

HARNESS = "harness"


def listener(port: int) -> int:
    """The process that listens on a local TCP port. Raises LookupError if that cannot be seen."""
    for link in psutil.net_connections("tcp"):
        if (
            link.status == psutil.CONN_LISTEN
            and link.laddr
            and link.laddr.port == port
            and link.pid
        ):
            return link.pid
    raise LookupError(f"no process of this machine is seen to listen on port {port}")


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds so far: by part, and of the whole machine busy with anything."""

    cpu_seconds: Mapping[str, float]
    machine_busy_seconds: float


class Meters:
    """CPU and memory of named parts; a part is one or more process trees."""

    def __init__(self, parts: Mapping[str, Sequence[int]]) -> None:
        self._roots = {name: [psutil.Process(pid) for pid in pids] for name, pids in parts.items()}
        self._harness = psutil.Process()
        self.peak_bytes: dict[str, int] = dict.fromkeys(parts, 0)

    def read(self) -> Reading:
        """All counters now; children that ended count with the parent that waited for them."""
        children = _children()
        seconds = {
            name: sum(_cpu_seconds(_tree(root, children)) for root in roots)
            for name, roots in self._roots.items()
        }
        own = self._harness.cpu_times()
        seconds[HARNESS] = own.user + own.system
        machine = psutil.cpu_times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        busy = sum(machine[:8]) - idle
        return Reading(seconds, busy)

    def note_memory(self) -> None:
        """Remember the most memory seen; pages that a tree's processes share count once."""
        children = _children()
        for name, roots in self._roots.items():
            seen = sum(_resident_bytes(_tree(root, children)) for root in roots)
            self.peak_bytes[name] = max(self.peak_bytes[name], seen)

    def forget_memory(self) -> None:
        """Start again with the peaks."""
        self.peak_bytes = dict.fromkeys(self.peak_bytes, 0)


def _children() -> dict[int, list[psutil.Process]]:
    """All processes by their parent; looked up once for all trees, since it reads all of /proc."""
    children: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter(["ppid"]):
        children.setdefault(process.info["ppid"], []).append(process)
    return children


def _tree(
    root: psutil.Process, children: Mapping[int, list[psutil.Process]]
) -> Iterator[psutil.Process]:
    yield root
    for child in children.get(root.pid, ()):
        yield from _tree(child, children)


def _cpu_seconds(tree: Iterator[psutil.Process]) -> float:
    total = 0.0
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def _resident_bytes(tree: Iterator[psutil.Process]) -> int:
    own, shared = 0, 0
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            memory = process.memory_info()
            own += memory.rss - memory.shared
            shared = max(shared, memory.shared)
    return own + shared
