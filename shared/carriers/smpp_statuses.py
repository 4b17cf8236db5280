"""What a command_status in the answer to a submit means, by default and as a carrier has it.

SMPP 3.4 §5.1.3 names the statuses, but not whose fault one is; carriers differ, so `statuses` of a
carrier's settings may say otherwise of any. By default:

| status | outcome | because |
|---|---|---|
| 0x58 throttled | THROTTLED | the carrier asks for less; the bind slows down |
| 0x08 system error | THROTTLED | it passes; the bind waits a second |
| 0x14 queue full, 0x64 temporary fault | DEFERRED | at many SMSCs it is this phone's queue |
| 0x45 submit failed, 0x67 query failed | ELSEWHERE | said of prefixes and credit alike |
| 0x04, 0x05, 0x0D, 0x0E, 0x0F | HALTED | bind and credentials: the next submit fares no better |
| the others of the specification | REJECTED | said of the message itself |
| all others | REJECTED, not understood | kept raw; many in a row halt the lane |

0xFE (delivery failed) is the end of a delivery that the carrier tried before it answered, and 0xFF
(unknown error) says nothing that another try would mend: both are for good, 0xFF not understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol, Self

from shared.carriers import outcomes
from shared.smpp import codes

Word = Literal["rejected", "throttled", "deferred", "elsewhere", "halted"]
"""What an operator may say of a status."""
TEMPORARY_MS = 1_000
"""How long a bind waits after a trouble of the carrier's that passes."""
STATUS_MAX = 0xFFFFFFFF

_Kind = outcomes.OutcomeKind


class StatusReading(NamedTuple):
    """A status read. `reason` is what a producer may read; the rest is as in `Outcome`."""

    kind: outcomes.OutcomeKind
    reason: str
    retry_after_ms: int = 0
    understood: bool = True


_SENDER = "the carrier refused the sender"
_RECIPIENT = "the carrier refused the recipient"
_REFUSED = "the carrier refused the message"

_KINDS = {
    codes.ESME_RTHROTTLED: _Kind.THROTTLED,
    codes.ESME_RSYSERR: _Kind.THROTTLED,
    codes.ESME_RMSGQFUL: _Kind.DEFERRED,
    codes.ESME_RX_T_APPN: _Kind.DEFERRED,
    codes.ESME_RSUBMITFAIL: _Kind.ELSEWHERE,
    codes.ESME_RQUERYFAIL: _Kind.ELSEWHERE,
    codes.ESME_RINVBNDSTS: _Kind.HALTED,
    codes.ESME_RALYBND: _Kind.HALTED,
    codes.ESME_RBINDFAIL: _Kind.HALTED,
    codes.ESME_RINVPASWD: _Kind.HALTED,
    codes.ESME_RINVSYSID: _Kind.HALTED,
}
_REFUSALS = {
    codes.ESME_RINVMSGLEN: "the carrier refused the message's length",
    codes.ESME_RINVCMDLEN: _REFUSED,
    codes.ESME_RINVCMDID: _REFUSED,
    codes.ESME_RINVPRTFLG: "the carrier refused the priority",
    codes.ESME_RINVREGDLVFLG: "the carrier refused to send a receipt",
    codes.ESME_RINVSRCADR: _SENDER,
    codes.ESME_RINVDSTADR: _RECIPIENT,
    codes.ESME_RINVMSGID: _REFUSED,
    codes.ESME_RINVSERTYP: "the carrier refused the service type",
    codes.ESME_RINVESMCLASS: _REFUSED,
    codes.ESME_RINVSRCTON: _SENDER,
    codes.ESME_RINVSRCNPI: _SENDER,
    codes.ESME_RINVDSTTON: _RECIPIENT,
    codes.ESME_RINVDSTNPI: _RECIPIENT,
    codes.ESME_RINVSCHED: "the carrier refused the time of delivery",
    codes.ESME_RINVEXPIRY: "the carrier refused the validity period",
    codes.ESME_RX_P_APPN: _REFUSED,
    codes.ESME_RX_R_APPN: _REFUSED,
    codes.ESME_RINVOPTPARSTREAM: _REFUSED,
    codes.ESME_RINVPARLEN: _REFUSED,
    codes.ESME_RINVOPTPARAMVAL: _REFUSED,
    codes.ESME_RDELIVERYFAILURE: "the carrier could not deliver the message",
}


def _defaults() -> dict[int, StatusReading]:
    by_fault = {
        status: StatusReading(kind, outcomes.DECISIONS[kind].reason)
        for status, kind in _KINDS.items()
    }
    passing = by_fault[codes.ESME_RSYSERR]._replace(retry_after_ms=TEMPORARY_MS)
    by_fault[codes.ESME_RSYSERR] = passing
    return by_fault | {
        status: StatusReading(_Kind.REJECTED, reason) for status, reason in _REFUSALS.items()
    }


_DEFAULTS = _defaults()
_STRANGE = StatusReading(_Kind.REJECTED, _REFUSED, understood=False)


class StatusSettings(Protocol):
    """The settings of a carrier that are about its statuses."""

    @property
    def statuses(self) -> Mapping[str, Word]:
        """As `Statuses` takes them."""

    @property
    def temporary_statuses(self) -> tuple[int, ...]:
        """Those that mean what a system error does by default."""


class Statuses:
    """The statuses of one carrier: what its settings say, over the defaults."""

    def __init__(self, said: Mapping[str, Word], temporary: frozenset[int] = frozenset()) -> None:
        """`said` has a status or a range of them, such as "0x14" or "0x0400-0x04FF", and the
        narrowest range that holds a status counts; `temporary` are those that mean a system error.
        Raises ValueError with a sentence that names the entry."""
        self._ranges = sorted(
            ((*_range(entry), _said(word)) for entry, word in said.items()),
            key=lambda found: found[1] - found[0],
        )
        self._temporary = dict.fromkeys(temporary, _DEFAULTS[codes.ESME_RSYSERR])

    @classmethod
    def of(cls, settings: StatusSettings) -> Self:
        """The statuses as a carrier's settings have them. Raises ValueError as the class does."""
        return cls(settings.statuses, frozenset(settings.temporary_statuses))

    def read(self, status: int) -> StatusReading:
        """What a status other than 0 means."""
        for first, last, reading in self._ranges:
            if first <= status <= last:
                return reading
        return self._temporary.get(status) or _DEFAULTS.get(status, _STRANGE)

    def outcome(self, status: int) -> outcomes.Outcome:
        """What an answer with a status other than 0 comes to."""
        kind, reason, retry_after_ms, understood = self.read(status)
        return outcomes.Outcome(
            kind,
            code=f"0x{status:08X}",
            reason=reason,
            retry_after_ms=retry_after_ms,
            understood=understood,
        )


def _said(word: Word) -> StatusReading:
    kind = _Kind(word)
    return StatusReading(kind, outcomes.DECISIONS[kind].reason)


def _range(entry: str) -> tuple[int, int]:
    first, dash, last = entry.partition("-")
    try:
        low = int(first, 0)
        high = int(last, 0) if dash else low
    except ValueError:
        raise ValueError(
            f"statuses: expected a status such as 0x14 or 0x0400-0x04FF, not {entry[:40]!r}"
        ) from None
    if not 1 <= low <= high <= STATUS_MAX:
        raise ValueError(f"statuses: {entry[:40]!r} is not within 0x01 and 0xFFFFFFFF, low first")
    return low, high
