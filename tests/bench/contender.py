"""What is measured, Sluice or a rival: where to send, and how to see that all has come back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench import journal, meters, orders


class NotProved(Exception):
    """A message was lost, doubled or not delivered, or did not get there in time."""


@dataclass(frozen=True, slots=True)
class Load:
    """A way to send: single requests, or batches of `batch_size`; over so many connections, each
    with one request in flight; by the clock, `per_second` of them, or as answers allow (0)."""

    name: str
    batch_size: int
    connections: int
    per_second: float = 0.0
    face: orders.Face = "native"

    @property
    def description(self) -> str:
        """What the heading of its table says."""
        if self.face == "sendsms":
            return f"GET /cgi-bin/sendsms, {self.connections} connections"
        if self.per_second:
            return f"POST /v1/messages, {self.per_second:,.0f} a second by the clock, at random"
        if not self.batch_size:
            return f"POST /v1/messages, {self.connections} connections"
        return f"POST /v1/messages/batch, {self.batch_size} each, {self.connections} in flight"


class Contender(Protocol):
    """One way from a request to its receipt."""

    @property
    def folder(self) -> Path:
        """For files of a run."""

    @property
    def meters(self) -> meters.Meters:
        """Of all its processes, and the carrier's."""

    @property
    def journal(self) -> journal.Journal:
        """The carrier's."""

    def order(self, load: Load, first: int, count: int) -> orders.Order:
        """How to send messages `first` to `first + count`."""

    async def begin(self) -> None:
        """A run begins: what was before does not count."""

    async def receipt_count(self) -> int:
        """Messages delivered since `begin`, by their receipts. Asked once all are submitted."""

    async def wal_bytes(self) -> int:
        """What was written ahead so far; 0 where nothing is."""

    async def prove(self, count: int) -> None:
        """Exactly `count` messages came since `begin`, all delivered. Raises NotProved."""
