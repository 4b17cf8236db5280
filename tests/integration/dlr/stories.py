"""What may happen to a message between its intent and its deadline, in any order; and what must
have become of it then, said without the product's code.

A part's ranks lead up one row, and the highest that counts stands, whichever came first. A receipt
counts if its segment can be told: by the id that an answer gave, in time or late; or, where no
answer was recorded in time, by what else it names. Only what was never proved to be taken is
refunded, once, when it ends; a later proof changes the status, never the money.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations, product
from random import Random
from typing import NamedTuple

RANKS = ("in_doubt", "submitted", "unknown", "rejected", "expired", "undelivered", "delivered")
ROLL_UP = (
    "queued", "in_doubt", "submitted", "rejected", "undelivered", "expired", "canceled", "unknown",
    "delivered",
)  # fmt: skip
WORDS: Mapping[str, str] = {
    "ENROUTE": "submitted",
    "UNKNOWN": "unknown",
    "REJECTD": "rejected",
    "EXPIRED": "expired",
    "UNDELIV": "undelivered",
    "DELIVRD": "delivered",
}
"""A carrier's words, and what each says of a segment."""


class Naming(StrEnum):
    """What a carrier's receipts name beside its own id."""

    ECHO = "echo"
    """Our reference, and the phone."""
    PHONE = "phone"
    NOTHING = "nothing"


class Answer(StrEnum):
    """What a submit comes to, as its worker hears it."""

    TAKEN = "taken"
    REFUSED = "refused"
    LOST = "lost"
    THROTTLED = "throttled"


class Recorded(NamedTuple):
    """The answers of one worker are committed: to the parts from `first` on, in their order, until
    one is not taken; those behind it were not submitted."""

    answers: tuple[Answer, ...]
    first: int = 1


class Doubted(NamedTuple):
    """Its worker is taken for dead; what it hears later, it may still record."""


class Late(NamedTuple):
    """The answer to a part comes after it had been given up."""

    part: int
    verdict: str
    """accepted, refused or not_now."""


class Said(NamedTuple):
    """A receipt; `again`: the broker delivers the one before once more."""

    part: int
    word: str
    again: bool = False


Step = Recorded | Doubted | Late | Said


@dataclass(frozen=True, slots=True)
class Story:
    """What happens before the deadline and after it. `swept`: receipts whose segment is not known
    are tried again after each step, and not only at the deadline."""

    part_count: int
    naming: Naming
    steps: tuple[Step, ...]
    afterwards: tuple[Said, ...] = ()
    swept: bool = True


@dataclass(slots=True)
class Reckoned:
    """What must have become of one part."""

    state: str = "queued"
    refund_count: int = 0
    is_known: bool = False
    """An answer has told the carrier's id."""
    is_nameless: bool = False
    """No answer was recorded in time."""
    is_accepted: bool = False
    waiting: list[str] = field(default_factory=list)

    def hear(self, state: str, *, accepted: bool = False) -> None:
        """Something counts."""
        self.is_accepted |= accepted
        is_higher = self.state == "queued" or (
            self.state in RANKS and RANKS.index(state) > RANKS.index(self.state)
        )
        if is_higher:
            self.state = state
        if state in ("rejected", "unknown") and is_higher and not self.is_accepted:
            self.refund_count = 1

    def cancel(self) -> None:
        """A part before it was refused. What is in doubt stays so."""
        if self.state == "queued":
            self.state, self.refund_count = "canceled", 1

    def sweep(self, naming: Naming) -> None:
        """Look again for whose the waiting receipts are."""
        if self.is_known or (self.is_nameless and naming is not Naming.NOTHING):
            for word in self.waiting:
                self.hear(WORDS[word], accepted=True)
            self.waiting.clear()

    def close(self) -> None:
        """The deadline."""
        if self.state in ("in_doubt", "submitted"):
            self.hear("unknown")


def reckon(story: Story) -> list[Reckoned]:
    """What must have become of each part in the end."""
    parts = [Reckoned() for _ in range(story.part_count)]
    for step in story.steps:
        _take(parts, step)
        if story.swept:
            _sweep(parts, story.naming)
    _sweep(parts, story.naming)
    for each in parts:
        each.close()
    for step in story.afterwards:
        _take(parts, step)
    _sweep(parts, story.naming)
    return parts


def status_of(parts: Sequence[Reckoned]) -> str:
    """What the message's status must be."""
    return min((each.state for each in parts), key=ROLL_UP.index)


def _sweep(parts: Sequence[Reckoned], naming: Naming) -> None:
    for each in parts:
        each.sweep(naming)


def _take(parts: Sequence[Reckoned], step: Step) -> None:
    match step:
        case Recorded(answers, first):
            _record(parts[first - 1 :], answers)
        case Doubted():
            for each in parts:
                each.is_nameless = True
                each.hear("in_doubt")
        case Late(part, "accepted"):
            parts[part - 1].is_known = True
            parts[part - 1].hear("submitted", accepted=True)
        case Late(part, "refused"):
            parts[part - 1].hear("rejected")
        case Said(part, word):
            said = parts[part - 1]
            said.waiting.append(word)
            if said.is_known:
                said.sweep(Naming.NOTHING)


def _record(parts: Sequence[Reckoned], answers: Sequence[Answer]) -> None:
    for each, answer in zip(parts, answers, strict=False):
        match answer:
            case Answer.TAKEN:
                each.is_known = True
                each.hear("submitted", accepted=True)
            case Answer.REFUSED:
                each.hear("rejected")
            case Answer.LOST:
                each.is_nameless = True
                each.hear("in_doubt")
    if answers[-1] is Answer.REFUSED:
        for each in parts[len(answers) :]:
            each.cancel()


# What happens to one segment ---------------------------------------------------------------------

TAKEN, REFUSED = Recorded((Answer.TAKEN,)), Recorded((Answer.REFUSED,))
LOST, THROTTLED = Recorded((Answer.LOST,)), Recorded((Answer.THROTTLED,))

CHAINS: tuple[tuple[Step, ...], ...] = (
    (TAKEN,),
    (REFUSED,),
    (LOST,),
    (LOST, Late(1, "accepted")),
    (LOST, Late(1, "refused")),
    (LOST, Late(1, "not_now")),
    (LOST, Late(1, "accepted"), Late(1, "accepted")),
    (LOST, Late(1, "refused"), Late(1, "accepted")),
    (LOST, Late(1, "accepted"), Late(1, "refused")),
    (Doubted(),),
    (Doubted(), TAKEN),
    (Doubted(), REFUSED),
    (Doubted(), LOST),
    (Doubted(), LOST, Late(1, "accepted")),
    (Doubted(), LOST, Late(1, "refused")),
    (THROTTLED, TAKEN),
    (THROTTLED, REFUSED),
    (THROTTLED, LOST),
)
"""What may become of a submit, in the only order it can happen in."""


def of_one_segment(receipt_count_max: int) -> Iterator[Story]:
    """Every chain of answers with every row of up to so many receipts, each of them anywhere
    between the answers or after the deadline, for every kind of carrier, swept early and late."""
    for chain in CHAINS:
        for count in range(receipt_count_max + 1):
            for words in product(WORDS, repeat=count):
                for steps, afterwards in _placed(chain, words):
                    for naming, swept in product(Naming, (True, False)):
                        yield Story(1, naming, steps, afterwards, swept)


def _placed(
    chain: tuple[Step, ...], words: tuple[str, ...]
) -> Iterator[tuple[tuple[Step, ...], tuple[Said, ...]]]:
    said = [Said(1, word, again) for word, again in _with_repetitions(words)]
    for after_count in range(min(1, len(said)) + 1):
        before, afterwards = said[: len(said) - after_count], said[len(said) - after_count :]
        length = len(chain) + len(before)
        for places in combinations(range(length), len(chain)):
            answers, receipts = iter(chain), iter(before)
            steps = tuple(next(answers if place in places else receipts) for place in range(length))
            yield steps, tuple(afterwards)


def _with_repetitions(words: Sequence[str]) -> list[tuple[str, bool]]:
    """What is said twice in a row is, the second time, a delivery that the broker repeats."""
    return [(word, number > 0 and words[number - 1] == word) for number, word in enumerate(words)]


# What happens to three ---------------------------------------------------------------------------

_ENDS = (Answer.REFUSED, Answer.LOST, Answer.THROTTLED)


def of_three_segments(random: Random, naming: Naming) -> Story:
    """A story of three parts: some of them refused, lost or throttled and submitted again, their
    worker taken for dead or not, each with up to three receipts anywhere."""
    chain, open_parts = _chain_of_three(random)
    while naming is Naming.PHONE and not _is_one_doubt(chain):
        chain, open_parts = _chain_of_three(random)
    said = [
        Said(part, random.choice(list(WORDS)))
        for part in open_parts
        for _ in range(random.choice((0, 1, 1, 2, 3)))
    ]
    random.shuffle(said)
    after_count = random.choice((0, 0, 1))
    before, afterwards = said[after_count:], said[:after_count]
    steps: list[Step] = list(chain)
    for each in before:
        steps.insert(random.randint(0, len(steps)), each)
    return Story(3, naming, tuple(steps), tuple(afterwards), random.random() < 0.5)


def _is_one_doubt(chain: Sequence[Step]) -> bool:
    """Whether a phone alone tells which submit a receipt is about, and no answer names a part that
    a receipt may have been given to before."""
    if Doubted() in chain:
        return len(chain) == 1
    records = [step for step in chain if isinstance(step, Recorded)]
    return all(
        step.first + len(step.answers) == 4 for step in records if Answer.LOST in step.answers
    )


def _chain_of_three(random: Random) -> tuple[list[Step], list[int]]:
    """The answers, and the parts that a carrier may have taken."""
    chain: list[Step] = []
    possible: list[int] = []
    first, is_doubted = 1, random.random() < 0.3
    if is_doubted:
        chain.append(Doubted())
        if random.random() < 0.3:
            return chain, [1, 2, 3]
    while first <= 3:
        taken_count = random.randint(0, 4 - first)
        last = first + taken_count
        end = random.choice(_ENDS)
        if is_doubted and (end is Answer.THROTTLED or (end is Answer.LOST and last < 3)):
            # What was doubted and is then queued again may have had its receipts before.
            taken_count, last = 4 - first, 4
        possible += range(first, last)
        answers = (Answer.TAKEN,) * taken_count
        chain.append(Recorded(answers if last == 4 else (*answers, end), first))
        first = last
        if last == 4 or end is Answer.REFUSED:
            break
        if end is Answer.LOST:
            possible.append(last)
            verdict = random.choice(("", "", "accepted", "refused", "not_now"))
            chain += [Late(last, verdict)] if verdict else []
            first += 1
        is_doubted = False
    return chain, possible
