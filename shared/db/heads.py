"""The last numbers of accounts' logs: of events, and of what phones have sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared.db.connection import Connection


class Heads(NamedTuple):
    """The last numbers of an account; 0 where nothing was ever numbered."""

    events: int
    inbound: int


_OF = """
SELECT w.account_id, coalesce(e.last_sequence, 0), coalesce(i.last_sequence, 0)
FROM unnest($1::integer[]) AS w (account_id)
LEFT JOIN event_heads e ON e.account_id = w.account_id
LEFT JOIN inbound_heads i ON i.account_id = w.account_id"""


async def of(connection: Connection, account_ids: Sequence[int]) -> dict[int, Heads]:
    """Of each of these accounts. Whatever a head counts can be read by whoever has seen it."""
    rows = await connection.fetch(_OF, account_ids)
    return {account_id: Heads(*numbers) for account_id, *numbers in rows}
