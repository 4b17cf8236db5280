"""The configuration as the database holds it, and how running processes notice a change."""

from __future__ import annotations

import functools
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec

from shared.db.connection import Connection
from shared.rules import destinations, line_kinds, registrations
from shared.rules.line_kinds import Capability, LineKind, LineMode
from shared.rules.purposes import ConsentPolicy, Purpose
from shared.rules.registrations import Registration, RegistrationState
from shared.rules.snapshot import Account, Carrier, Configuration, Limits, Line
from shared.sms import time_zones

CHANNEL = "sluice_configuration"
"""PostgreSQL notification sent by every change."""

_VERSION = "SELECT version FROM configuration_version"


async def version(connection: Connection) -> int:
    """The number of the configuration now in force."""
    return int(await connection.fetchval(_VERSION))


_ACCOUNTS = """
SELECT a.account_id, a.name, a.currency, a.daily_limit, a.requests_per_minute,
       w.wallet_id, r.wallet_id AS revenue_wallet_id, a.special_numbers, a.plan, a.store_body,
       a.international, a.consent, a.registration_enforced
FROM accounts a
JOIN wallets w ON w.account_id = a.account_id AND w.currency = a.currency
JOIN wallets r ON r.book = 'revenue' AND r.currency = a.currency"""
_LINES = """
SELECT line_id, account_id, sender, kind, country, is_default, hour_limit, day_limit, month_limit,
       second_limit, name, capabilities, mode, use_case, purpose, time_zone, created_at,
       registration, brand, campaign, registered_from, registered_until
FROM lines ORDER BY line_id"""
_PRICES = "SELECT country, currency, amount_micro FROM prices"
_SPECIAL_PRICES = "SELECT country, currency, amount_micro FROM special_prices"
_CARRIERS = "SELECT carrier_id, name, adapter, segments_per_second, settings FROM carriers"
_LONG_REFERENCES = "SELECT long_references FROM platform"
_PLATFORM = "SELECT egress_allow, conversation_days FROM platform"
_ROUTES = "SELECT country, carrier_id FROM routes ORDER BY country, priority, carrier_id"
_COUNTRY_LIMITS = """
SELECT account_id, country, hour_limit, day_limit, month_limit FROM country_limits"""


async def load(connection: Connection) -> Configuration:
    """The whole configuration, read in one transaction so that its parts fit each other."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        number = await version(connection)
        accounts = await _accounts(connection)
        lines = await _lines(connection)
        prices = await connection.fetch(_PRICES)
        special_prices = await connection.fetch(_SPECIAL_PRICES)
        carriers = await _carriers(connection)
        ((egress_allow, conversation_days),) = await connection.fetch(_PLATFORM)
        routes: dict[str, tuple[int, ...]] = {}
        for country, carrier_id in await connection.fetch(_ROUTES):
            routes[country] = (*routes.get(country, ()), carrier_id)
        country_limits = await connection.fetch(_COUNTRY_LIMITS)
    return Configuration(
        version=number,
        accounts={account.account_id: account for account in accounts},
        lines={line.line_id: line for line in lines},
        lines_by_sender={(line.account_id, line.sender): line for line in lines},
        lines_of=_by_account(lines),
        default_lines={line.account_id: line for line in lines if line.is_default},
        prices={(row[0], row[1]): row[2] for row in prices},
        special_prices={(row[0], row[1]): row[2] for row in special_prices},
        carriers={carrier.carrier_id: carrier for carrier in carriers},
        routes=routes,
        country_limits={(row[0], row[1]): Limits(*row[2:]) for row in country_limits},
        conversation_days=conversation_days,
        egress_allowed=frozenset(map(destinations.read_host_port, egress_allow)),
    )


async def _accounts(connection: Connection) -> list[Account]:
    return [
        Account(**{**row, "consent": ConsentPolicy(row["consent"])})
        for row in await connection.fetch(_ACCOUNTS)
    ]


async def _lines(connection: Connection) -> list[Line]:
    """They are many, and what they have in common is kept once."""
    rows = await connection.fetch(_LINES)
    limits_of = functools.cache(Limits)
    registration_of = functools.cache(_registration)
    capabilities_of = functools.cache(_capabilities)
    kept: dict[object, Any] = {}
    return [
        Line(
            line_id=row[0],
            account_id=row[1],
            sender=row[2],
            kind=(kind := line_kinds.of_line(row[3], row[2])),
            country=sys.intern(row[4]),
            is_default=row[5],
            limits=limits_of(*row[6:9]),
            second_limit=row[9],
            name=row[10] or row[2],
            capabilities=capabilities_of(tuple(row[11])),
            mode=LineMode(row[12]),
            use_case=kept.setdefault(row[13], row[13]),
            purpose=row[14] and Purpose(row[14]),
            time_zone=kept.setdefault(row[15], row[15]) or time_zones.of_country(row[4]),
            created_at=kept.setdefault(row[16], row[16]),
            registration=registration_of(kind, *row[17:]),
        )
        for row in rows
    ]


def _by_account(lines: Sequence[Line]) -> dict[int, tuple[Line, ...]]:
    found: defaultdict[int, list[Line]] = defaultdict(list)
    for line in lines:
        found[line.account_id].append(line)
    return {account_id: tuple(own) for account_id, own in found.items()}


def _capabilities(words: tuple[str, ...]) -> frozenset[Capability]:
    return frozenset(map(Capability, words))


def _registration(
    kind: LineKind,
    state: str,
    brand: str | None,
    campaign: str | None,
    from_: date | None,
    until: date | None,
) -> Registration:
    return Registration(
        RegistrationState(state), registrations.kind_for(kind), brand, campaign, from_, until
    )


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
