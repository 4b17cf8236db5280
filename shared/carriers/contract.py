"""What every adapter file in this room offers, who calls it, and what it must not do.

An adapter is a module with these names:

- `Settings`: a msgspec Struct with what this way of speaking needs from the carrier's row. The
  registry decodes the row's settings into it, so a typo stops `sluice apply`, not a message. If it
  sends parts with a header it has `concatenation: Concatenation`. If its carriers count binds over
  all processes it has `binds` and `binds_max: int | None`.
- `open_link(carrier, settings, on_receipt, on_inbound) -> Link`: called by the dispatcher, once per
  carrier.
- `read_receipt(settings, body) -> receipts.Receipt | receipts.LateAnswer | None`: called by dlr,
  pure and total: garbage gives None, never an exception.
- `admit_callback(settings, request) -> tuple[bytes, ...] | CallbackRefusal`: only where the carrier
  calls us over HTTP; called by dlr before anything is stored; pure. What it returns is published.
- `admit_inbound(settings, request) -> tuple[inbound.InboundPart, ...] | CallbackRefusal`: beside
  `admit_callback`, and alike, for what phones send; called by dlr, which stores what it returns.
- `knows_secret(settings, path_secret) -> bool`: beside `admit_callback`; called by dlr before it
  reads the body of a call that has a secret in its path.
- `review(settings) -> None`: only where settings that run should not be applied any more, such as
  a weak secret; raises ValueError with a sentence that names the field. Called by `sluice apply`.
- `check(settings) -> tuple[findings.CheckFinding, ...]`: only where a carrier can be asked without
  a message: a coroutine that binds or asks, sends nothing, ends within findings.CHECK_SECONDS and
  says what the carrier answered and which settings look wrong. Called by `sluice carrier check`.

An adapter never touches storage or the broker, never retries a submit, and never lets a message's
text into what it publishes, logs or raises.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from shared.carriers import outcomes
from shared.sms import classes, encoding, inbound

Concatenation = Literal["16bit", "8bit"]
"""The setting `concatenation`: how long the reference is by which a phone joins the parts
of a message. Read by `snapshot.Carrier.reference_bits`, for it decides what a text costs."""


class Segment(msgspec.Struct, frozen=True, gc=False):
    """One segment, ready for the air.

    `payload` is unpacked GSM 03.38 octets or UTF-16BE, without `udh`. `reference` names the segment
    to carriers that echo one; `submitted_at` is the time of the intent, and with it names the
    submit.
    After `leave_by`, a time of time.monotonic, no byte of it may leave: limits count on that.
    """

    message_id: UUID
    part: int
    part_count: int
    source: str
    recipient: str
    encoding: encoding.Encoding
    udh: bytes
    payload: bytes
    valid_seconds: int
    submitted_at: datetime
    leave_by: float = math.inf
    message_class: classes.ClassName = "normal"

    def __repr__(self) -> str:
        return f"Segment({self.reference})"

    @property
    def is_whole(self) -> bool:
        """Whether it stands for all parts of a long message (`Link.whole_messages`)."""
        return self.part_count > 1 and not self.udh

    @property
    def text(self) -> str:
        """The payload as text, for carriers that want that."""
        return encoding.decode(self.payload, self.encoding)

    @property
    def reference(self) -> str:
        """Our name for the segment, at most 36 characters."""
        return f"{self.message_id.hex}-{self.part}"


OnOutcome = Callable[[outcomes.Outcome], None]
"""Told what a submit came to."""

ReceiptSink = Callable[[bytes], asyncio.Future[None]]
"""Takes one raw receipt, or an answer that came late (without message text); the future ends once
the broker has confirmed it, and only then may the carrier be answered. An exception, there or at
once, says that it could not be stored: the carrier is then asked to repeat it. Receipts may share a
future, so nobody cancels it."""

StillThere = Callable[[], bool]
"""Whether the way by which something came still stands, so that what was answered has arrived."""
InboundSink = Callable[[inbound.InboundPart, StillThere], asyncio.Future[None]]
"""Takes one delivery of a phone's message; the future ends once it is stored, and the rest is as
with receipts."""


class Link(Protocol):
    """An open way to a carrier, for as long as the dispatcher lives; it reconnects by itself."""

    @property
    def connected(self) -> bool:
        """Whether a submit made now could leave."""

    @property
    def room(self) -> int:
        """How many segments may be submitted now without waiting: 0 while down, paused or full."""

    @property
    def whole_messages(self) -> bool:
        """Whether the carrier cuts texts itself: what is submitted is then the one segment that
        stands for all of a message's, with the whole text as its payload."""

    async def wait_for_room(self) -> None:
        """Return when `room` is at least 1."""

    def submit(self, segment: Segment, on_outcome: OnOutcome) -> None:
        """Hand over one segment. `on_outcome` is called exactly once, perhaps before this returns;
        when the link dies, or `leave_by` passes, it tells whether a byte had left (LOST) or not
        (UNAVAILABLE)."""

    async def close(self, drain_seconds: float) -> None:
        """Wait for outstanding answers, at most so long, then leave politely (unbind)."""


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A carrier's HTTP call, as dlr received it: bounded in size, not trusted.

    `target` is the path and the query as they were sent, `address` where the call came from, and
    `received_at` the time in seconds since 1970.
    """

    path_secret: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    content_type: str
    body: bytes = field(repr=False)
    method: str = "POST"
    target: str = field(default="", repr=False)
    address: str = ""
    received_at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class CallbackRefusal:
    """Why a callback is not believed: the HTTP status to answer and a sentence without secrets;
    with 405 the method to come with."""

    status: int
    detail: str
    allow: str = ""
