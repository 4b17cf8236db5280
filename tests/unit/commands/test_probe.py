"""A probe goes by the carrier that it names."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.commands import probe
from shared.rules.lines import Lines
from shared.rules.routes import CarrierRoute, Journey
from shared.rules.snapshot import Carrier, Configuration
from shared.rules.standings import CarrierStanding, Condition
from shared.runtime import exits

USUAL, PROBED = 1, 2
JOURNEY = Journey(UUID(int=7), "FR", "+33612345678", 10, 20, 1)
CURRENT = Configuration(
    version=1,
    accounts={},
    lines=Lines.of([]),
    prices={},
    special_prices={},
    carriers={
        number: Carrier(number, name, "http", 0, {})
        for number, name in ((USUAL, "usual"), (PROBED, "probed"))
    },
    routes={"FR": (USUAL,)},
    country_limits={},
    route_tables={"FR": ((CarrierRoute(USUAL, 1, account_id=10),),)},
    has_plain_routes=False,
    standings={(PROBED, "*"): CarrierStanding(Condition.SICK, 0.0, 0.0, 10.0, "")},
)


def test_a_probe_goes_by_its_carrier_whatever_routes_name_and_however_it_stands() -> None:
    # Given a narrow route of the account to another carrier, and a carrier that is not well
    usual = CURRENT.carrier_to(JOURNEY)
    assert usual is not None
    assert usual.name == "usual"

    # When that one is probed, then that is the one
    probed = probe.only_by(CURRENT, "probed").carrier_to(JOURNEY)
    assert probed is not None
    assert probed.name == "probed"
    with pytest.raises(exits.NotDone, match="there is no carrier 'none'"):
        probe.only_by(CURRENT, "none")
