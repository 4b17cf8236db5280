"""Who watches what a wallet pays for: caps on spending, and the guard against traffic pumping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from shared.db import connection, spending
from shared.db.ledger import Purse
from shared.rules.compose import Draft
from shared.rules.spending import CapsInForce
from shared.rules.velocity import GuardInForce

WatchersOf = Mapping[int, Sequence[CapsInForce | GuardInForce]]
"""By wallet."""


async def watchers(
    opened: connection.Connection,
    purses: Iterable[Purse],
    drafts: Sequence[Draft],
    *,
    counted: bool = False,
) -> WatchersOf:
    """Those of these purses, which are locked; costs nothing where there are none. `counted`: the
    drafts have been paid for in this transaction, and are to be judged as if they had not."""
    watched = {purse.wallet_id: purse for purse in purses if purse.is_watched}
    if not watched:
        return {}
    of_wallets = [draft for draft in drafts if draft.wallet_id in watched]
    countries = {draft.country for draft in of_wallets}
    caps = await spending.caps(opened, list(watched), countries)
    paces = await spending.paces(opened, list(watched), countries)
    found: dict[int, list[CapsInForce | GuardInForce]] = {}
    for wallet_id, purse in watched.items():
        already = [draft for draft in of_wallets if draft.wallet_id == wallet_id and counted]
        found[wallet_id] = [CapsInForce(caps.get(wallet_id, ()), purse.currency, already)]
        if wallet_id in paces:
            found[wallet_id].append(GuardInForce(*paces[wallet_id], already))
    return found
