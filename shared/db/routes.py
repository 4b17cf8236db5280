"""Routes by their names, as an operator writes them. Those that name a country alone are in
`routes`, which the release before reads too; the others in `narrow_routes`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.db.connection import Connection
from shared.sms.classes import CLASSES


@dataclass(frozen=True, slots=True)
class Route:
    """A way by a carrier for messages that fit all that it names; None names nothing. `line` is the
    sender of one of the account's lines. `weight`: None shares with nobody."""

    country: str
    carrier: str
    priority: int
    weight: int | None = None
    cost_micro: int | None = None
    prefix: str | None = None
    network: str | None = None
    account: str | None = None
    line: str | None = None
    message_class: str | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether it names more than a country."""
        return any((self.prefix, self.network, self.account, self.line, self.message_class))

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from every other route."""
        named = {
            "prefix": self.prefix,
            "network": self.network,
            "account": self.account,
            "line": self.line,
            "class": self.message_class,
        }
        more = [f"{what}={value}" for what, value in named.items() if value]
        return ("route", self.country, self.carrier, *more)


_READ = """
SELECT r.country, c.name, r.priority, nullif(r.weight, 0), r.cost_micro
FROM routes r JOIN carriers c USING (carrier_id)"""
_READ_NARROW = """
SELECT n.country, c.name, n.priority, nullif(n.weight, 0), n.cost_micro, nullif(n.prefix, ''),
       nullif(n.network, ''), a.name, l.sender, n.class
FROM narrow_routes n JOIN carriers c USING (carrier_id)
LEFT JOIN accounts a USING (account_id) LEFT JOIN lines l USING (line_id)"""


async def read(connection: Connection) -> list[Route]:
    """Every route."""
    wide = [Route(*row) for row in await connection.fetch(_READ)]
    narrow = [
        replace(Route(*named), message_class=None if place is None else CLASSES[place])
        for *named, place in await connection.fetch(_READ_NARROW)
    ]
    return wide + narrow


_PUT = """
INSERT INTO routes (country, carrier_id, priority, weight, cost_micro)
SELECT $1, carrier_id, $3, coalesce($4, 0), $5 FROM carriers WHERE name = $2
ON CONFLICT (country, carrier_id) DO UPDATE SET priority = excluded.priority,
    weight = excluded.weight, cost_micro = excluded.cost_micro"""
_PUT_NARROW = """
INSERT INTO narrow_routes (country, carrier_id, priority, weight, cost_micro, prefix, network,
                           account_id, line_id, class)
SELECT $1, c.carrier_id, $3, coalesce($4, 0), $5, coalesce($6, ''), coalesce($7, ''), a.account_id,
       l.line_id, $10
FROM carriers c LEFT JOIN accounts a ON a.name = $8
LEFT JOIN lines l ON l.account_id = a.account_id AND l.sender = $9
WHERE c.name = $2
ON CONFLICT (country, prefix, network, account_id, line_id, class, carrier_id) DO UPDATE
SET priority = excluded.priority, weight = excluded.weight, cost_micro = excluded.cost_micro"""
_DROP = """
DELETE FROM routes r USING carriers c
WHERE c.carrier_id = r.carrier_id AND r.country = $1 AND c.name = $2"""
_DROP_NARROW = """
DELETE FROM narrow_routes n USING carriers c
WHERE c.carrier_id = n.carrier_id AND n.country = $1 AND c.name = $2
  AND n.prefix = coalesce($3, '') AND n.network = coalesce($4, '')
  AND n.account_id IS NOT DISTINCT FROM (SELECT account_id FROM accounts WHERE name = $5)
  AND n.line_id IS NOT DISTINCT FROM (
      SELECT l.line_id FROM lines l JOIN accounts a USING (account_id)
      WHERE a.name = $5 AND l.sender = $6)
  AND n.class IS NOT DISTINCT FROM $7::smallint"""


async def put(connection: Connection, route: Route) -> None:
    """Write a route whose carrier, account and line are there."""
    named = (route.country, route.carrier, route.priority, route.weight, route.cost_micro)
    if route.is_narrow:
        more = (route.prefix, route.network, route.account, route.line, _place(route))
        await connection.execute(_PUT_NARROW, *named, *more)
    else:
        await connection.execute(_PUT, *named)


async def drop(connection: Connection, route: Route) -> None:
    """Send nothing this way any more."""
    if route.is_narrow:
        more = (route.prefix, route.network, route.account, route.line, _place(route))
        await connection.execute(_DROP_NARROW, route.country, route.carrier, *more)
    else:
        await connection.execute(_DROP, route.country, route.carrier)


def _place(route: Route) -> int | None:
    return None if route.message_class is None else CLASSES.index(route.message_class)
