"""What operators have set, as one immutable snapshot: accounts, lines, prices, routes, limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from shared.rules.destinations import HostPort
from shared.rules.lines import Limits, Lines, Traits
from shared.rules.price_periods import PricePeriod
from shared.rules.purposes import CONVERSATION_DAYS, ConsentPolicy
from shared.rules.routes import (
    ANYWHERE,
    Journey,
    RouteChoice,
    RouteTable,
    Standings,
    choose,
    first,
)
from shared.sms import repertoires, segmentation


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays: from `wallet_id`, its wallet in its currency, into `revenue_wallet_id`.
    `special_numbers`: it may send to premium-rate and other special numbers, at their prices.
    `international`: it may send from numbers to other countries than the number's.
    `store_body`: whether its texts are kept (A11).
    `registration_enforced`: false for accounts that are older than registration (A3).
    `parent_account_id`: a sub-account's main account, whose wallet and settings it has.
    `senders_restricted`: it has the lines that an operator made, and gets none by using a name."""

    account_id: int
    name: str
    currency: str
    daily_limit: int
    requests_per_minute: int
    wallet_id: int
    revenue_wallet_id: int
    special_numbers: bool = False
    plan: str = "professional"
    store_body: bool = True
    international: bool = False
    consent: ConsentPolicy = ConsentPolicy.NORTH_AMERICA
    registration_enforced: bool = True
    parent_account_id: int | None = None
    senders_restricted: bool = False

    @property
    def is_main(self) -> bool:
        """Whether it is no sub-account of another."""
        return self.parent_account_id is None


@dataclass(frozen=True, slots=True)
class Carrier:
    carrier_id: int
    name: str
    adapter: str
    segments_per_second: int
    settings: Mapping[str, object] = field(repr=False)
    long_references: bool = True
    """Whether everybody who may send its messages knows 16 bit references."""

    @property
    def reference_bits(self) -> segmentation.ReferenceBits:
        """How long the reference is that joins the parts of a message: it makes their header
        longer, and so the parts shorter."""
        short = not self.long_references or self.settings.get("concatenation") == "8bit"
        return 8 if short else 16

    @property
    def idempotent(self) -> bool:
        """Whether it takes what bears one reference once, however often that is submitted."""
        return self.settings.get("idempotent") is True

    @property
    def repertoire(self) -> repertoires.Repertoire:
        """Which characters it takes without UCS-2, in which a text has fewer to a segment."""
        return repertoires.BY_ALPHABET.get(self.settings.get("alphabet"), "gsm7")


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything a running process needs to know, at one version."""

    version: int
    accounts: Mapping[int, Account]
    lines: Lines
    prices: Mapping[tuple[str, str], int]
    """(country, currency) → micro-units per segment, where that never changes by itself: ask
    `shared/rules/prices.py`, not this."""
    special_prices: Mapping[tuple[str, str], int]
    """The same for special numbers, which are never sent to at their country's price."""
    carriers: Mapping[int, Carrier]
    routes: Mapping[str, tuple[int, ...]]
    """country or '*' → carrier ids, best first: the routes that name a country alone."""
    country_limits: Mapping[tuple[int | None, str], Limits]
    """(account or None for the platform, country) → limits."""
    conversation_days: int = CONVERSATION_DAYS
    """For so long what a phone has written to a line may be answered from it (A6)."""
    egress_allowed: frozenset[HostPort] = frozenset()
    """Where requests to customers' URLs may go beside the public internet."""
    sharing: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """line → all lines of its number, where several accounts have it, in the order of their ids."""
    seals_texts: bool = True
    """Whether everybody who may send messages can open texts that are not kept."""
    api_senders: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """account → the senders of its lines in API mode, if it has any."""
    price_periods: Mapping[tuple[str, str], tuple[PricePeriod, ...]] = field(default_factory=dict)
    """(country, currency) → when which price is in force, where that changes with time."""
    special_price_periods: Mapping[tuple[str, str], tuple[PricePeriod, ...]] = field(
        default_factory=dict
    )
    """The same for special numbers."""
    route_tables: Mapping[str, RouteTable] = field(default_factory=dict)
    """country or '*' → every route that may lead there."""
    has_plain_routes: bool = True
    """Whether `routes` tells everything."""
    standings: Standings = field(default_factory=dict)
    """Which carriers are not well."""
    reroutes: bool = True
    """Whether everybody who may send messages knows that they may change their carrier."""

    def limit_line(self, line_id: int) -> int:
        """The line whose limits a line's messages meet: a number has those of its first line, and
        whoever shares it shares them."""
        return self.sharing.get(line_id, (line_id,))[0]

    def limit_traits(self, line_id: int) -> Traits | None:
        """What is known of that line, its limits and its pace; None: it is gone."""
        return self.lines.traits_of(self.limit_line(line_id))

    @property
    def idempotent_carrier_ids(self) -> list[int]:
        """Carriers that may be asked again for what is in doubt."""
        return [each.carrier_id for each in self.carriers.values() if each.idempotent]

    def carrier_for(self, country: str) -> Carrier | None:
        """The best carrier to a country as a rule: by its own routes, else by those for '*', else
        by one that names more."""
        if ids := self.routes.get(country) or self.routes.get(ANYWHERE):
            return self.carriers[ids[0]]
        routes = [each for together in self.routes_to(country) for each in together]
        return self.carriers[routes[-1].carrier_id] if routes else None

    def carrier_to(self, journey: Journey) -> Carrier | None:
        """The carrier that a new message goes by now."""
        if self.has_plain_routes and not self.standings:
            return self.carrier_for(journey.country)
        carrier_id = first(self.routes_to(journey.country), journey, self.standings)
        return None if carrier_id is None else self.carriers[carrier_id]

    def route(self, journey: Journey, visited: Collection[int] = ()) -> RouteChoice:
        """Which carrier a message goes by now, and why not by another."""
        return choose(self.routes_to(journey.country), journey, self.standings, visited)

    def routes_to(self, country: str) -> RouteTable:
        """Every route that may lead to a country."""
        return self.route_tables.get(country) or self.route_tables.get(ANYWHERE, ())
