"""Which carrier a message goes by, and why not by another."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from shared.rules import routes
from shared.rules.lines import Lines
from shared.rules.routes import CarrierRoute, Journey, PassedOver, Standings
from shared.rules.snapshot import Carrier, Configuration
from shared.rules.standings import CarrierStanding, Condition

A, B, C = 1, 2, 3
JOURNEY = Journey(UUID(int=7), "FR", "+33612345678", 10, 20, 1)


def route(carrier_id: int, priority: int = 1, **named: Any) -> CarrierRoute:
    return CarrierRoute(carrier_id, priority, **named)


def stands(condition: Condition, share: float = 0.0) -> CarrierStanding:
    return CarrierStanding(condition, share, 0.0, 10.0, "")


SICK, DOWN = stands(Condition.SICK), stands(Condition.DOWN)
NONE_OF_IT, ALL_OF_IT = stands(Condition.TRICKLE, 0.0), stands(Condition.TRICKLE, 1.0)
BEHIND, VISITED = PassedOver.BEHIND, PassedOver.VISITED
TWO = [route(A, 1, country="FR"), route(B, 2, country="FR")]


@pytest.mark.parametrize(
    ("table", "standings", "visited", "taken", "well", "passed"),
    [
        # what leads there at all
        ([], {}, (), None, False, []),
        ([route(A, country="DE")], {}, (), None, False, []),
        ([route(A, prefix="+34")], {}, (), None, False, []),
        ([route(A, network="20801")], {}, (), None, False, []),
        ([route(A, account_id=11)], {}, (), None, False, []),
        ([route(A, line_id=21)], {}, (), None, False, []),
        ([route(A, message_class=0)], {}, (), None, False, []),
        ([route(A, country="FR", account_id=10, prefix="+336")], {}, (), A, True, []),
        # the order: what names the most, then the priority, then the cost, then who came first
        (TWO, {}, (), A, True, [(B, BEHIND)]),
        ([route(A), route(B, 9, country="FR")], {}, (), B, True, [(A, BEHIND)]),
        ([route(A, country="FR"), route(B, 9, prefix="+33")], {}, (), B, True, [(A, BEHIND)]),
        ([route(A, prefix="+33"), route(B, 9, prefix="+336")], {}, (), B, True, [(A, BEHIND)]),
        ([route(A, prefix="+336"), route(B, 9, account_id=10)], {}, (), B, True, [(A, BEHIND)]),
        ([route(A, account_id=10), route(B, 9, line_id=20)], {}, (), B, True, [(A, BEHIND)]),
        ([route(A), route(B, 9, message_class=1)], {}, (), B, True, [(A, BEHIND)]),
        ([route(A, cost_micro=9), route(B, cost_micro=8)], {}, (), B, True, [(A, BEHIND)]),
        ([route(A), route(B, cost_micro=8)], {}, (), B, True, [(A, BEHIND)]),
        ([route(B), route(A)], {}, (), A, True, [(B, BEHIND)]),
        # a carrier that several routes name is looked at once, where it is best
        ([*TWO, route(A)], {}, (), A, True, [(B, BEHIND)]),
        # what was visited, or is not well
        (TWO, {}, (A,), B, True, [(A, VISITED)]),
        (TWO, {}, (A, B), None, False, [(A, VISITED), (B, VISITED)]),
        (TWO, {(A, "FR"): SICK}, (), B, True, [(A, PassedOver.SICK)]),
        (TWO, {(A, "*"): SICK}, (), B, True, [(A, PassedOver.SICK)]),
        (TWO, {(A, "DE"): SICK}, (), A, True, [(B, BEHIND)]),
        (TWO, {(A, "*"): DOWN, (A, "FR"): ALL_OF_IT}, (), B, True, [(A, PassedOver.DOWN)]),
        (TWO, {(A, "FR"): NONE_OF_IT}, (), B, True, [(A, PassedOver.TRICKLE)]),
        (TWO, {(A, "FR"): ALL_OF_IT}, (), A, True, [(B, BEHIND)]),
        # none is well: who comes back, then who is sick, then who is down, but never who was left
        (TWO, {(A, "*"): SICK, (B, "*"): NONE_OF_IT}, (), B, False, [(A, PassedOver.SICK)]),
        (TWO, {(A, "*"): DOWN, (B, "*"): SICK}, (), B, False, [(A, PassedOver.DOWN)]),
        (TWO, {(A, "*"): SICK, (B, "*"): SICK}, (), A, False, [(B, PassedOver.SICK)]),
        (TWO, {(B, "*"): DOWN}, (A,), B, False, [(A, VISITED)]),
    ],
)
def test_the_choice(
    table: list[CarrierRoute],
    standings: Standings,
    visited: tuple[int, ...],
    taken: int | None,
    well: bool,
    passed: list[tuple[int, PassedOver]],
) -> None:
    found = routes.choose(routes.line_up(table), JOURNEY, standings, visited)
    assert visited or found.carrier_id == routes.first(routes.line_up(table), JOURNEY, standings)
    assert found == (taken, well, tuple(passed))


def journeys(count: int) -> list[Journey]:
    return [JOURNEY._replace(message_id=UUID(int=number)) for number in range(count)]


def test_routes_with_weights_share_by_them_and_the_same_message_chooses_the_same() -> None:
    every = [route(A, weight=70), route(B, weight=20), route(C, weight=10)]
    table, other_way = routes.line_up(every), routes.line_up(every[::-1])
    first = [routes.choose(table, each, {}).carrier_id for each in journeys(5_000)]
    shares = {carrier_id: count / 5_000 for carrier_id, count in Counter(first).items()}
    assert shares == pytest.approx({A: 0.7, B: 0.2, C: 0.1}, abs=0.02)
    assert first == [routes.choose(other_way, each, {}).carrier_id for each in journeys(5_000)]


def test_of_one_that_is_sick_the_others_share_by_their_weights_and_keep_what_they_had() -> None:
    table = routes.line_up([route(A, weight=50), route(B, weight=30), route(C, weight=20)])
    well = [routes.choose(table, each, {}).carrier_id for each in journeys(5_000)]
    sick = [routes.choose(table, each, {(A, "*"): SICK}).carrier_id for each in journeys(5_000)]
    assert all(then == now for then, now in zip(well, sick, strict=True) if then != A)
    moved = Counter(now for then, now in zip(well, sick, strict=True) if then == A)
    assert moved[B] / (moved[B] + moved[C]) == pytest.approx(0.6, abs=0.04)


def test_a_carrier_that_comes_back_has_its_share_of_the_messages() -> None:
    trickle = {(A, "*"): stands(Condition.TRICKLE, 0.05)}
    taken = Counter(
        routes.choose(routes.line_up(TWO), each, trickle).carrier_id for each in journeys(5_000)
    )
    assert taken[A] / 5_000 == pytest.approx(0.05, abs=0.015)


CURRENT = Configuration(
    version=1,
    accounts={},
    lines=Lines.of([]),
    prices={},
    special_prices={},
    carriers={each: Carrier(each, str(each), "smpp", 0, {}) for each in (A, B, C)},
    routes={"FR": (A, B), "*": (C,)},
    country_limits={},
    route_tables={
        "FR": routes.line_up([*TWO, route(C)]),
        "*": routes.line_up([route(C)]),
    },
)


def carrier_id(current: Configuration, journey: Journey = JOURNEY) -> int | None:
    found = current.carrier_to(journey)
    return None if found is None else found.carrier_id


def test_new_messages_go_by_the_first_that_is_well_and_those_for_all_countries_stand_behind() -> (
    None
):
    assert carrier_id(CURRENT) == A
    assert carrier_id(CURRENT, JOURNEY._replace(country="DE")) == C
    assert carrier_id(replace(CURRENT, standings={(A, "*"): DOWN})) == B
    assert carrier_id(replace(CURRENT, standings={(A, "*"): DOWN, (B, "FR"): SICK})) == C
    current = replace(CURRENT, routes={"FR": (A, B)}, route_tables={})
    assert carrier_id(current, JOURNEY._replace(country="DE")) is None


def test_a_country_is_offered_where_only_routes_that_name_more_lead_there() -> None:
    narrow = [route(B, 2, country="FR", prefix="+336"), route(A, 1, country="FR", account_id=10)]
    tables = {"FR": routes.line_up(narrow)}
    current = replace(CURRENT, routes={}, route_tables=tables, has_plain_routes=False)
    assert current.carrier_for("FR") == CURRENT.carriers[B]
    assert current.carrier_for("DE") is None
    assert carrier_id(current) == A
    assert carrier_id(current, JOURNEY._replace(account_id=11)) == B
