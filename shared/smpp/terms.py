"""What a session is given when it is made: how much it may do at once, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.smpp import life, pdu, window

if TYPE_CHECKING:
    from shared.smpp import session

OPEN_REQUEST_COUNT_MAX = 1000

Authenticate = Callable[[pdu.BindRequest], int]
"""The command_status of a bind: 0 lets the peer in."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a session conducts itself.

    At most `window` of its own requests are ever unanswered. While about `open_requests_max` of the
    peer's are, it stops reading. `system_id` is an SMSC's name in its bind responses.
    """

    window: int
    timers: life.Timers = field(default_factory=life.Timers)
    open_requests_max: int = OPEN_REQUEST_COUNT_MAX
    system_id: str = ""


def _ignore(_: session.Session) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Handlers:
    """Whom a session tells what happens to it. None of them may block or await.

    `on_request` gets every inbound message (deliver_sm and data_sm at the ESME, submit_sm at the
    SMSC), and somebody calls `Session.answer` for it later. `on_answer` sees every answer the peer
    gives to a request of ours; `on_late_answer` those to requests that had been given up for LOST,
    with the key they were asked under. `on_closed` is called exactly once, after all futures are
    settled. `authenticate` makes the session an SMSC's: it gives a bind's command_status, and
    `on_bound` follows a status of 0.
    """

    on_request: Callable[[session.Session, pdu.Request], None]
    on_closed: Callable[[session.Session], None] = _ignore
    on_answer: Callable[[window.Answer], None] | None = None
    on_late_answer: Callable[[object, window.Answer], None] | None = None
    authenticate: Authenticate | None = None
    on_bound: Callable[[session.Session], None] = _ignore
