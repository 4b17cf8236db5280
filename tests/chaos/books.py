"""Three books that must agree after any fault: the client's, the database's and the carrier's.

The verdict speaks in Jepsen's words (acknowledged, lost, duplicated, recovered, unexpected) and in
the words of money and limits. Every recipient is asked for once, so it names a wish in all books.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

HOUR_MS = 3_600_000
ENDED_UNSENT = frozenset({"rejected", "failed", "expired", "canceled", "unknown"})
WAITING_VISIBLY = frozenset({"parked", "scheduled", "in_doubt"})
KINDS = (
    "lost",
    "duplicated",
    "unexpected",
    "debited_twice",
    "unpaid",
    "refunded_wrongly",
    "over_limit",
    "kept_wrongly",
)
TO_SUBMIT = WAITING_VISIBLY | {"queued", "submitting"}
"""While a part is one of these its message's text is needed."""


@dataclass(slots=True)
class Wish:
    """One message the client wants, and what it was told: an id, a refusal, or nothing yet.

    Times are Unix time in ms.
    """

    key: str
    recipient: str
    text: str = field(repr=False)
    line: str
    at_least_once: bool = False
    store_body: bool = True
    valid_seconds: int | None = None
    message_id: str | None = None
    refusal: str | None = None
    asked_ms: float = 0.0
    answered_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """One segment in the database, and the transfers that name it."""

    state: str
    accepted: bool = False
    debit_count: int = 1
    refund_count: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """One message in the database; `was_in_doubt` when its producer was ever told so. Its text is
    stored, or sealed, or gone."""

    message_id: str
    recipient: str
    parts: Mapping[int, Part]
    was_in_doubt: bool = False
    is_stored: bool = True
    is_sealed: bool = False


@dataclass(frozen=True, slots=True)
class Submit:
    """One part the carrier accepted; `whole` is the text on the part that completed it."""

    at_ms: float
    source: str
    recipient: str
    number: int
    total: int
    whole: str | None


@dataclass(slots=True)
class Verdict:
    """What the books say. The lists name wishes by key, lines by sender; all must be empty.

    `in_doubt_count` is of segments, those included that a receipt has cleared up since.
    """

    acknowledged_count: int = 0
    unanswered_count: int = 0
    recovered_count: int = 0
    journalled_count: int = 0
    parked_count: int = 0
    in_doubt_count: int = 0
    unreported_count: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    """By their codes."""
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    debited_twice: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    refunded_wrongly: list[str] = field(default_factory=list)
    over_limit: list[str] = field(default_factory=list)
    kept_wrongly: list[str] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, list[str]]:
        """What is wrong, each kind with its first offenders; empty when the books agree."""
        return {kind: getattr(self, kind)[:10] for kind in KINDS if getattr(self, kind)}

    def __str__(self) -> str:
        counts = (
            f"{self.acknowledged_count} acknowledged, {self.refusals.total()} refused, "
            f"{self.unanswered_count} unanswered, {self.recovered_count} recovered, "
            f"{self.journalled_count} submits, {self.parked_count} parked, "
            f"{self.in_doubt_count} in doubt, {self.unreported_count} without a receipt"
        )
        return f"{counts}; faults: {self.faults or 'none'}"


def compare(
    wishes: Sequence[Wish],
    stored: Iterable[Stored],
    journal: Iterable[Submit],
    hour_limits: Mapping[str, int],
) -> Verdict:
    """The verdict over one account's books. `hour_limits` are segments by sender; `journal` holds
    only what was sent from these senders or to these recipients."""
    verdict = Verdict()
    messages: dict[str, list[Stored]] = defaultdict(list)
    for message in stored:
        messages[message.recipient].append(message)
    submits: dict[str, list[Submit]] = defaultdict(list)
    for submit in journal:
        submits[submit.recipient].append(submit)
        verdict.journalled_count += 1
    for wish in wishes:
        found = messages.pop(wish.recipient, [])
        _judge(verdict, wish, found, submits.pop(wish.recipient, []))
    verdict.unexpected += [f"stored, never asked for: {key[-4:]}" for key in messages]
    verdict.unexpected += [f"submitted, never asked for: {key[-4:]}" for key in submits]
    for line, limit in hour_limits.items():
        times = [s.at_ms for s in journal if s.source == line]
        if (most := busiest(times, HOUR_MS)) > limit:
            verdict.over_limit.append(f"{line}: {most} of {limit} in one hour")
    return verdict


def busiest(times_ms: Iterable[float], window_ms: float) -> int:
    """The most events in any rolling window, found by trying the one that ends at each event."""
    ordered = sorted(times_ms)
    return max(
        (place + 1 - bisect_right(ordered, at - window_ms) for place, at in enumerate(ordered)),
        default=0,
    )


def _judge(verdict: Verdict, wish: Wish, found: list[Stored], submits: list[Submit]) -> None:
    _count_answer(verdict, wish, found)
    sent = Counter(submit.number for submit in submits)
    if not wish.at_least_once and any(count > 1 for count in sent.values()):
        verdict.duplicated.append(wish.key)
    if wish.refusal is not None and (found or submits):
        verdict.unexpected.append(f"{wish.key}: refused, yet stored or submitted")
    if submits and not found:
        verdict.unexpected.append(f"{wish.key}: submitted, but not in the database")
    if any(s.whole not in (None, wish.text) or s.source != wish.line for s in submits):
        verdict.unexpected.append(f"{wish.key}: another text or sender")
    if len(found) > 1:
        verdict.debited_twice.append(f"{wish.key}: {len(found)} messages")
    if wish.message_id is not None and wish.message_id not in {m.message_id for m in found}:
        verdict.lost.append(f"{wish.key}: acknowledged, not in the database")
    for message in found:
        _judge_message(verdict, wish, message, sent)


def _count_answer(verdict: Verdict, wish: Wish, found: list[Stored]) -> None:
    if wish.message_id is not None:
        verdict.acknowledged_count += 1
    elif wish.refusal is not None:
        verdict.refusals[wish.refusal] += 1
    else:
        verdict.unanswered_count += 1
        verdict.recovered_count += bool(found)


def _judge_message(verdict: Verdict, wish: Wish, message: Stored, sent: Mapping[int, int]) -> None:
    states = {part.state for part in message.parts.values()}
    verdict.parked_count += "parked" in states
    is_needed = not wish.store_body and bool(states & TO_SUBMIT)
    if (message.is_stored, message.is_sealed) != (wish.store_body, is_needed):
        name = "stored" if message.is_stored else "sealed" if message.is_sealed else "gone"
        verdict.kept_wrongly.append(f"{wish.key}: its text is {name}, {sorted(states)}")
    doubts = sum(part.state == "in_doubt" for part in message.parts.values())
    verdict.in_doubt_count += max(doubts, int(message.was_in_doubt))
    verdict.unreported_count += "submitted" in states
    for number, part in message.parts.items():
        name = f"{wish.key}/{number}: {part.state}"
        if part.debit_count > 1:
            verdict.debited_twice.append(name)
        if part.debit_count < 1:
            verdict.unpaid.append(name)
        owed = part.state in ENDED_UNSENT and not part.accepted and not sent.get(number)
        if part.refund_count != int(owed):
            verdict.refunded_wrongly.append(f"{name}, {part.refund_count} refunds")
        if not (sent.get(number) or owed or part.state in WAITING_VISIBLY):
            verdict.lost.append(f"{name}, not submitted")
        elif part.state in ("queued", "submitting"):
            verdict.lost.append(f"{name}, stuck")
