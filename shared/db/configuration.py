"""The configuration as the database holds it, and how running processes notice a change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from shared.db import lines, prices, standings
from shared.db.connection import Connection
from shared.rules import destinations
from shared.rules.lines import Limits
from shared.rules.purposes import ConsentPolicy
from shared.rules.routes import ANYWHERE, CarrierRoute, RouteTable, line_up
from shared.rules.snapshot import Account, Carrier, Configuration

CHANNEL = "sluice_configuration"
"""PostgreSQL notification sent by every change."""

_VERSION = "SELECT version FROM configuration_version"


async def version(connection: Connection) -> int:
    """The number of the configuration now in force."""
    return int(await connection.fetchval(_VERSION))


_ACCOUNTS = """
SELECT a.account_id, a.name, p.currency, p.daily_limit, p.requests_per_minute,
       w.wallet_id, r.wallet_id AS revenue_wallet_id, p.special_numbers, p.plan, p.store_body,
       p.international, p.consent, p.registration_enforced, a.parent_account_id,
       p.senders_restricted
FROM accounts a
JOIN accounts p ON p.account_id = a.payer_account_id
JOIN wallets w ON w.account_id = p.account_id AND w.currency = a.currency
JOIN wallets r ON r.book = 'revenue' AND r.currency = a.currency"""
_CARRIERS = "SELECT carrier_id, name, adapter, segments_per_second, settings FROM carriers"
_LONG_REFERENCES = "SELECT long_references FROM platform"
_PLATFORM = "SELECT egress_allow, conversation_days, seals_texts, reroutes FROM platform"
_ROUTES = """
SELECT country, carrier_id, priority, weight, cost_micro FROM routes
ORDER BY country, priority, carrier_id"""
_NARROW_ROUTES = """
SELECT carrier_id, priority, country, prefix, network, account_id, line_id, class, weight,
       cost_micro FROM narrow_routes"""
_COUNTRY_LIMITS = """
SELECT account_id, country, hour_limit, day_limit, month_limit FROM country_limits
UNION ALL
SELECT a.account_id, l.country, l.hour_limit, l.day_limit, l.month_limit
FROM country_limits l JOIN accounts a ON a.parent_account_id = l.account_id
WHERE NOT EXISTS (
    SELECT FROM country_limits o WHERE o.account_id = a.account_id AND o.country = l.country)"""


async def load(connection: Connection) -> Configuration:
    """The whole configuration, read in one transaction so that its parts fit each other."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        number = await version(connection)
        accounts = await _accounts(connection)
        every = await lines.load(connection)
        usual, special = await prices.load(connection)
        carriers = await _carriers(connection)
        ((egress_allow, conversation_days, seals_texts, reroutes),) = await connection.fetch(
            _PLATFORM
        )
        wide, narrow = await _routes(connection)
        known_standings = await standings.load(connection)
        country_limits = await connection.fetch(_COUNTRY_LIMITS)
    return Configuration(
        version=number,
        accounts={account.account_id: account for account in accounts},
        lines=every.lines,
        sharing=every.sharing,
        seals_texts=seals_texts,
        prices=usual.plain,
        special_prices=special.plain,
        price_periods=usual.dated,
        special_price_periods=special.dated,
        carriers={carrier.carrier_id: carrier for carrier in carriers},
        routes=_carriers_by_country(wide),
        country_limits={(row[0], row[1]): Limits(*row[2:]) for row in country_limits},
        conversation_days=conversation_days,
        egress_allowed=frozenset(map(destinations.read_host_port, egress_allow)),
        api_senders=every.api_senders,
        route_tables=_route_tables([*wide, *narrow]),
        has_plain_routes=not narrow
        and not any(each.weight or each.cost_micro is not None for each in wide),
        standings=known_standings,
        reroutes=reroutes,
    )


async def _routes(connection: Connection) -> tuple[list[CarrierRoute], list[CarrierRoute]]:
    """Those that name a country alone, best first, and the others."""
    wide = [
        CarrierRoute(carrier_id, priority, country, weight=weight, cost_micro=cost_micro)
        for country, carrier_id, priority, weight, cost_micro in await connection.fetch(_ROUTES)
    ]
    return wide, [CarrierRoute(*row) for row in await connection.fetch(_NARROW_ROUTES)]


def _carriers_by_country(wide: Iterable[CarrierRoute]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for route in wide:
        found[route.country] = (*found.get(route.country, ()), route.carrier_id)
    return found


def _route_tables(every: Sequence[CarrierRoute]) -> dict[str, RouteTable]:
    countries = {route.country for route in every}
    return {
        country: line_up(route for route in every if route.country in (country, ANYWHERE))
        for country in countries
    }


async def _accounts(connection: Connection) -> list[Account]:
    return [
        Account(**{**row, "consent": ConsentPolicy(row["consent"])})
        for row in await connection.fetch(_ACCOUNTS)
    ]


async def _carriers(connection: Connection) -> list[Carrier]:
    long_references = await connection.fetchval(_LONG_REFERENCES)
    return [
        Carrier(
            carrier_id=row[0],
            name=row[1],
            adapter=row[2],
            segments_per_second=row[3],
            settings=msgspec.json.decode(row[4], type=dict[str, object]),
            long_references=long_references,
        )
        for row in await connection.fetch(_CARRIERS)
    ]


_BUMP = "UPDATE configuration_version SET version = version + 1"


async def bump(connection: Connection) -> None:
    """Tell every running process, once the caller's transaction commits, to load anew."""
    await connection.execute(_BUMP)
    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
