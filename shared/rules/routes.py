"""Where a message goes: which routes lead to its phone, and which of them is taken now. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from shared.rules.standings import CarrierStanding, Condition

ANYWHERE: Final = "*"
"""The country of a route that leads to all of them; of a standing that is of all of them."""


_64_BITS: Final = 2**64 - 1


class PassedOver(StrEnum):
    """Why a route was not taken."""

    VISITED = "the message has been there"
    DOWN = "the carrier's link is down"
    SICK = "the carrier is sick"
    TRICKLE = "the carrier comes back with a few messages a second, and this is none of them"
    BEHIND = "a route before it was taken"


class CarrierRoute(NamedTuple):
    """A way by a carrier, for messages that fit all that it names.

    `prefix`: of numbers, `+` and digits. `network`: MCC and MNC, for numbers of which it is known.
    Of routes of one priority those with a `weight` share by it. `cost_micro`: what the carrier asks
    for a segment, which only orders; None: not known.
    """

    carrier_id: int
    priority: int
    country: str = ANYWHERE
    prefix: str = ""
    network: str = ""
    account_id: int | None = None
    line_id: int | None = None
    message_class: int | None = None
    weight: int = 0
    cost_micro: int | None = None

    def misfit(self, journey: Journey) -> str | None:
        """The first thing that it names and that is not the message's; None: it leads there."""
        if self.country not in (ANYWHERE, journey.country):
            return "country"
        if self.prefix and not journey.recipient.startswith(self.prefix):
            return "prefix"
        if self.network and self.network != journey.network:
            return "network"
        if self.account_id not in (None, journey.account_id):
            return "account"
        if self.line_id not in (None, journey.line_id):
            return "line"
        return "class" if self.message_class not in (None, journey.message_class) else None

    @property
    def specificity(self) -> tuple[bool, bool, bool, int, bool, bool]:
        """How much it names, what counts most first: a line, an account, a network, a prefix (the
        longer the more), a country, a class."""
        return (
            self.line_id is not None,
            self.account_id is not None,
            bool(self.network),
            len(self.prefix),
            self.country != ANYWHERE,
            self.message_class is not None,
        )


class Journey(NamedTuple):
    """What routes look at of a message. `recipient` is E.164; `network` is empty if not known."""

    message_id: UUID
    country: str
    recipient: str
    account_id: int
    line_id: int
    message_class: int
    network: str = ""

    def __repr__(self) -> str:
        """Without the number."""
        return f"Journey({self.message_id}, country={self.country!r})"


class RouteChoice(NamedTuple):
    """`carrier_id` is None where no route is left. Not `well`: none that is well was left, and this
    is the first of the others; what waits at one already need not move. `passed_over`: each other
    carrier that was looked at, and why it was not taken."""

    carrier_id: int | None
    well: bool
    passed_over: tuple[tuple[int, PassedOver], ...]


Standings = Mapping[tuple[int, str], CarrierStanding]
"""(carrier, country or ANYWHERE) → how it stands there; those that are well are not in it."""


RouteTable = Sequence[Sequence[CarrierRoute]]
"""Routes in the order in which they are tried; several in one place draw by their weights."""


def line_up(routes: Iterable[CarrierRoute]) -> RouteTable:
    """What names the most comes first, then goes by priority; of one priority those with weights
    draw, then goes what costs least, then who was there first."""
    table: list[list[CarrierRoute]] = []
    for route in sorted(routes, key=_place):
        before = table[-1][-1] if table else None
        if before is not None and before.weight and _place(before)[:3] == _place(route)[:3]:
            table[-1].append(route)
        else:
            table.append([route])
    return table


def _place(route: CarrierRoute) -> tuple[tuple[int, ...], int, bool, float, int]:
    return (
        tuple(-each for each in route.specificity),
        route.priority,
        not route.weight,
        math.inf if route.cost_micro is None else route.cost_micro,
        route.carrier_id,
    )


def first(table: RouteTable, journey: Journey, standings: Standings) -> int | None:
    """The carrier that `choose` takes for a new message."""
    for carrier_id in ranked(table, journey):
        if _obstacle(carrier_id, journey, standings, ()) is None:
            return carrier_id
    return choose(table, journey, standings).carrier_id


def choose(
    table: RouteTable,
    journey: Journey,
    standings: Standings,
    visited: Collection[int] = (),
) -> RouteChoice:
    """The first carrier that is well and was not visited; else the first that comes back; else the
    first at all that was not visited. The same message chooses the same each time."""
    passed: list[tuple[int, PassedOver]] = []
    taken: int | None = None
    for carrier_id in ranked(table, journey):
        why = PassedOver.BEHIND if taken is not None else None
        why = why or _obstacle(carrier_id, journey, standings, visited)
        if why is None:
            taken = carrier_id
        else:
            passed.append((carrier_id, why))
    if taken is not None:
        return RouteChoice(taken, True, tuple(passed))
    for bearable in (PassedOver.TRICKLE, PassedOver.SICK, PassedOver.DOWN):
        for place, (carrier_id, why) in enumerate(passed):
            if why is bearable:
                return RouteChoice(carrier_id, False, (*passed[:place], *passed[place + 1 :]))
    return RouteChoice(None, False, tuple(passed))


def ranked(table: RouteTable, journey: Journey) -> Iterator[int]:
    """The carriers by which the message may go, best first, each once."""
    seen: set[int] = set()
    for together in table:
        leading = [each for each in together if each.misfit(journey) is None]
        if len(leading) > 1:
            leading.sort(key=lambda each: _lot(each, journey))
        for each in leading:
            if each.carrier_id not in seen:
                seen.add(each.carrier_id)
                yield each.carrier_id


def _lot(route: CarrierRoute, journey: Journey) -> float:
    """Draws among routes by their weights (rendezvous hashing): the least wins, and those whose
    first is not to be had share by the weights of the others."""
    return -math.log(_fraction(journey.message_id, route.carrier_id)) / route.weight


def _fraction(message_id: UUID, carrier_id: int) -> float:
    """Above 0 and at most 1, evenly spread over messages and carriers, and always the same: the
    mixing of splitmix64, a fraction of what a digest costs."""
    x = message_id.int
    x = ((x ^ x >> 64) + carrier_id * 0x9E3779B97F4A7C15) & _64_BITS
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _64_BITS
    return ((x ^ x >> 31) + 1) / 2**64


def _obstacle(
    carrier_id: int, journey: Journey, standings: Standings, visited: Collection[int]
) -> PassedOver | None:
    if carrier_id in visited:
        return PassedOver.VISITED
    found = None
    for country in (ANYWHERE, journey.country):
        standing = standings.get((carrier_id, country))
        if standing is None:
            continue
        if standing.condition is Condition.DOWN:
            return PassedOver.DOWN
        if standing.condition is Condition.SICK:
            found = PassedOver.SICK
        elif found is None and _fraction(journey.message_id, -carrier_id) > standing.share:
            found = PassedOver.TRICKLE
    return found
