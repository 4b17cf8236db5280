"""Lines, and all of them at once: there may be 100,000, and every process knows them.

They are kept as columns, some eighty bytes a line, and made into a `Line` when one is asked for.
"""

from __future__ import annotations

import functools
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Final, NamedTuple, overload

from shared.rules.line_kinds import Capability, LineKind, LineMode
from shared.rules.purposes import Purpose
from shared.rules.registrations import Registration

MADE_COUNT_MAX: Final = 4_096
"""Lines that are kept as they were made, for whoever asks for one asks again soon."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Segments per window; None: this window is not limited."""

    hour: int | None
    day: int | None
    month: int | None
    least: int | None = field(init=False, repr=False, compare=False)
    """The smallest of them; None where nothing is limited. Asked for with every message."""

    def __post_init__(self) -> None:
        limits = (self.hour, self.day, self.month)
        least = min((each for each in limits if each is not None), default=None)
        object.__setattr__(self, "least", least)


_SMS_ALONE: Final = frozenset({Capability.SMS})
_NOT_REGISTERED: Final = Registration()
_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Line(NamedTuple):
    """What a message is sent from. `use_case`: what its owner has declared, on record only (A7).
    `purpose`: what a send from it counts as unless the send says so itself; None: not known.
    `second_limit`: segments per second beside `limits`; None: not limited."""

    line_id: int
    account_id: int
    sender: str
    kind: LineKind
    country: str
    is_default: bool
    limits: Limits
    name: str = ""
    capabilities: frozenset[Capability] = _SMS_ALONE
    mode: LineMode = LineMode.APPLICATION
    registration: Registration = _NOT_REGISTERED
    use_case: str | None = None
    purpose: Purpose | None = None
    time_zone: str = "UTC"
    second_limit: int | None = None
    created_at: datetime = _LONG_AGO

    @property
    def stores_bodies(self) -> bool:
        """Whether texts from it and to it may be kept: in API mode they never are (A11)."""
        return self.mode is not LineMode.API


class Traits(NamedTuple):
    """What many lines have in common, as their fields."""

    kind: LineKind
    country: str
    limits: Limits
    capabilities: frozenset[Capability]
    mode: LineMode
    registration: Registration
    use_case: str | None
    purpose: Purpose | None
    time_zone: str
    second_limit: int | None


class Row(NamedTuple):
    """What is a line's alone. `name`: empty where it is its sender."""

    line_id: int
    account_id: int
    sender: str
    name: str
    is_default: bool
    created_at: datetime


class Columns:
    """Lines on their way into `Lines`: added account by account, each account's by their ids."""

    def __init__(self) -> None:
        self.line_ids = array("q")
        self.account_ids = array("q")
        self.traits: list[Traits] = []
        self.traits_of = array("I")
        self.created_at_micros = array("q")
        self.defaults: dict[int, int] = {}
        """account → where its default line is."""
        self.words = bytearray()
        """Each line's sender, and its name where that is another."""
        self.sender_starts = array("I", [0])
        self.name_starts = array("I")
        self.sender_hashes = array("q")
        """Of each line, the hash of its account and sender."""
        self._known: dict[Traits, int] = {}

    def number_of(self, traits: Traits) -> int:
        """Keep these traits, unless they are kept already; what they are called."""
        number = self._known.setdefault(traits, len(self.traits))
        if number == len(self.traits):
            self.traits.append(traits)
        return number

    def add(self, row: Row, traits_number: int) -> None:
        """Put a line behind the others, whose traits are called so."""
        if row.is_default:
            self.defaults[row.account_id] = len(self.line_ids)
        self.line_ids.append(row.line_id)
        self.account_ids.append(row.account_id)
        self.traits_of.append(traits_number)
        self.created_at_micros.append((row.created_at - _LONG_AGO) // _MICROSECOND)
        self.words += row.sender.encode()
        self.name_starts.append(len(self.words))
        self.words += row.name.encode()
        self.sender_starts.append(len(self.words))
        self.sender_hashes.append(hash((row.account_id, row.sender)))

    def sender(self, place: int) -> str:
        """The sender of the line at this place."""
        return self.words[self.sender_starts[place] : self.name_starts[place]].decode()

    def line(self, place: int) -> Line:
        """The line at this place."""
        account_id = self.account_ids[place]
        sender = self.sender(place)
        name = self.words[self.name_starts[place] : self.sender_starts[place + 1]].decode()
        traits = self.traits[self.traits_of[place]]
        return Line(
            self.line_ids[place],
            account_id,
            sender,
            traits.kind,
            traits.country,
            self.defaults.get(account_id) == place,
            traits.limits,
            name or sender,
            traits.capabilities,
            traits.mode,
            traits.registration,
            traits.use_case,
            traits.purpose,
            traits.time_zone,
            traits.second_limit,
            _LONG_AGO + self.created_at_micros[place] * _MICROSECOND,
        )


class _Places:
    """Which places to look at for what has some hash: its own, and few others. Four bytes a slot,
    at most half of which are taken, where a dict would take a hundred for each line."""

    def __init__(self, hashes: Iterable[int], count: int) -> None:
        size = 1 << (2 * count).bit_length()
        self._slots = slots = array("I", bytes(4 * size))
        self._mask = mask = size - 1
        for number, each in enumerate(hashes, 1):
            at = each & mask
            while slots[at]:
                at = (at + 1) & mask
            slots[at] = number

    def of(self, wanted: int) -> Iterator[int]:
        """The places for this hash."""
        slots, mask = self._slots, self._mask
        at = wanted & mask
        while number := slots[at]:
            yield number - 1
            at = (at + 1) & mask


class Lines(Mapping[int, Line]):
    """Every line by its id, in the order of their ids; never changed."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        ids = columns.line_ids
        # Numbers are their own hashes, and these follow one another: they would be one long run.
        self._by_id = _Places(map(hash, zip(ids)), len(ids))
        self._by_sender = _Places(columns.sender_hashes, len(ids))
        self._made = functools.lru_cache(MADE_COUNT_MAX)(columns.line)

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Lines:
        """These, in any order."""
        columns = Columns()
        for line in sorted(lines, key=attrgetter("account_id", "line_id")):
            own = (getattr(line, name) for name in Row._fields)
            traits = Traits(*(getattr(line, name) for name in Traits._fields))
            columns.add(Row(*own), columns.number_of(traits))
        return cls(columns)

    def __getitem__(self, line_id: int) -> Line:
        place = self._place(line_id)
        if place is None:
            raise KeyError(line_id)
        return self._made(place)

    def __contains__(self, line_id: object) -> bool:
        return isinstance(line_id, int) and self._place(line_id) is not None

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._columns.line_ids))

    def __len__(self) -> int:
        return len(self._columns.line_ids)

    def _place(self, line_id: int) -> int | None:
        line_ids = self._columns.line_ids
        for place in self._by_id.of(hash((line_id,))):
            if line_ids[place] == line_id:
                return place
        return None

    def traits_of(self, line_id: int) -> Traits | None:
        """What a line has in common with others: sooner found than the line is made."""
        place = self._place(line_id)
        columns = self._columns
        return None if place is None else columns.traits[columns.traits_of[place]]

    def of_sender(self, account_id: int, sender: str) -> Line | None:
        """The account's line of this sender."""
        columns = self._columns
        for place in self._by_sender.of(hash((account_id, sender))):
            if columns.account_ids[place] == account_id and columns.sender(place) == sender:
                return self._made(place)
        return None

    def default_of(self, account_id: int) -> Line | None:
        """What the account's messages go from that name no sender."""
        place = self._columns.defaults.get(account_id)
        return None if place is None else self._made(place)

    def of_account(
        self, account_id: int, wanted: Callable[[Traits], bool] | None = None
    ) -> Sequence[Line]:
        """The account's lines, in the order of their ids. `wanted`: only those of such traits."""
        columns = self._columns
        places: Sequence[int] = range(*self._span(account_id))
        if wanted is not None:
            numbers = {at for at, traits in enumerate(columns.traits) if wanted(traits)}
            places = [place for place in places if columns.traits_of[place] in numbers]
        return _Run(self._made, places)

    def _span(self, account_id: int) -> tuple[int, int]:
        accounts = self._columns.account_ids
        first = bisect_left(accounts, account_id)
        return first, bisect_right(accounts, account_id, first)

    def limits_changed(self, before: Lines) -> Iterator[int]:
        """The lines whose limits are not what they were, or which are new."""
        numbers: dict[tuple[Limits, int | None], int] = {}
        old = dict(_met(before._columns, numbers))
        for line_id, number in _met(self._columns, numbers):
            if old.get(line_id) != number:
                yield line_id


class _Run(Sequence[Line]):
    """Lines that are made as somebody comes to them."""

    def __init__(self, made: Callable[[int], Line], places: Sequence[int]) -> None:
        self._made = made
        self._places = places

    @overload
    def __getitem__(self, at: int) -> Line: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Line]: ...
    def __getitem__(self, at: int | slice) -> Line | Sequence[Line]:
        if isinstance(at, slice):
            return _Run(self._made, self._places[at])
        return self._made(self._places[at])

    def __len__(self) -> int:
        return len(self._places)


def _met(
    columns: Columns, numbers: dict[tuple[Limits, int | None], int]
) -> Iterator[tuple[int, int]]:
    """Each line, and what its limits are called: numbers are given to those that have none."""
    of_traits = [
        numbers.setdefault((each.limits, each.second_limit), len(numbers))
        for each in columns.traits
    ]
    return zip(columns.line_ids, map(of_traits.__getitem__, columns.traits_of), strict=True)
