"""Plans of statements, as services have them made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from shared.db.connection import Connection


async def plan_of(connection: Connection, sql: str) -> dict[str, Any]:
    """The generic plan of a statement."""
    count = len(set(re.findall(r"\$\d+", sql)))
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    await connection.execute(f"PREPARE hot AS {sql}")
    try:
        explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE hot{values}")
    finally:
        await connection.execute("DEALLOCATE hot")
    (plan,) = json.loads(explained)
    return dict(plan["Plan"])


def is_by_index(node: dict[str, Any]) -> bool:
    """Whether a scan looks rows up; one of a heap does so if the index below it does, or if it is
    told their places."""
    return (
        "Index Cond" in node
        or "TID Cond" in node
        or any(is_by_index(below) for below in node.get("Plans", []))
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's node and all below it."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)
