"""A route as an operator writes it: what it is for, by which carrier, and before which others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from services.commands.configuration.faults import Faults
from services.commands.configuration.values import (
    AccountName,
    Count,
    Destination,
    SegmentPrice,
    Sender,
)
from shared.db.routes import Route
from shared.rules.routes import ANYWHERE


class _Route(msgspec.Struct, frozen=True, kw_only=True):
    carrier: str
    priority: Count
    country: Destination | None = None
    prefix: Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{0,14}$")] | None = None
    network: Annotated[str, Meta(pattern=r"^[0-9]{5,6}$")] | None = None
    """MCC and MNC, of numbers of which they are known."""
    account: AccountName | None = None
    line: Sender | None = None
    class_: Literal["urgent", "normal", "bulk"] | None = msgspec.field(default=None, name="class")
    weight: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    cost: SegmentPrice | None = None
    """For a segment, in whatever currency: it is compared with that of other routes, no more."""


def read(entry: Mapping[str, object], where: str, faults: Faults) -> Route | None:
    """The route, or None after its faults were noted."""
    if (found := faults.decode(_Route, entry, where)) is None:
        return None
    if found.line is not None and found.account is None:
        faults.add(f"{where}.account", "is missing: it says whose line is meant")
        return None
    route = Route(
        ANYWHERE if found.country is None else str(found.country),
        found.carrier,
        found.priority,
        found.weight,
        None if found.cost is None else int(found.cost),
        found.prefix,
        found.network,
        None if found.account is None else str(found.account),
        None if found.line is None else str(found.line),
        found.class_,
    )
    if found.country is None and not route.is_narrow:
        faults.add(f"{where}.country", "is missing (or prefix, network, account, line or class)")
        return None
    return route
