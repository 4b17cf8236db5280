"""One operation of the API: who handles it, what it needs, and what OpenAPI is told of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
from aiohttp import web

from services.ingest.web import entrance
from shared.access.rights import AccessScope, Area, Need

Handler = Callable[[entrance.Visit], Awaitable[web.Response]]

_AREAS: Mapping[str, Area] = {
    "messages": Area.MESSAGES,
    "preview": Area.MESSAGES,
    "events": Area.MESSAGES,
    "inbound": Area.MESSAGES,
    "lines": Area.MESSAGES,
    "opt-outs": Area.MESSAGES,
    "consents": Area.MESSAGES,
    "webhooks": Area.MESSAGES,
    "balance": Area.MONEY,
    "deposits": Area.MONEY,
    "terms": Area.MONEY,
    "cards": Area.MONEY,
    "invoices": Area.MONEY,
    "spending": Area.MONEY,
    "prices": Area.PRICES,
    "calculator": Area.PRICES,
    "support-requests": Area.PRICES,
    "statistics": Area.STATISTICS,
    "exports": Area.STATISTICS,
}
"""By the first word of a path: a route whose word is not here is refused when it is declared."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `needs` is the scope that it asks for, within the area of its path; `answers`
    are the successes by status, None where there is no body; `refusals` the further statuses that
    it may answer with, beside those that all share."""

    method: str
    path: str
    handler: Handler
    summary: str
    answers: Mapping[int, type[msgspec.Struct] | None]
    refusals: tuple[int, ...]
    needs: AccessScope
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    has_key: bool = False
    needs_body: bool = True

    @property
    def need(self) -> Need:
        """The right that whoever asks must have."""
        return Need(_AREAS[self.path.split("/")[2]], self.needs)
