"""What a path of the API is: who handles it, what it needs, and what OpenAPI is told of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
from aiohttp import web

from shared.access.rights import AccessScope, Area, Need

Asking = TypeVar("Asking", contravariant=True)
"""Who asks: a visit of an account, or whoever comes along."""

BODY_REFUSALS = (400, 408, 413, 415, 422)
"""Of whatever has a body."""

_AREAS: Mapping[str, Area] = {
    "account": Area.HOME,
    "messages": Area.MESSAGES,
    "preview": Area.MESSAGES,
    "events": Area.MESSAGES,
    "inbound": Area.MESSAGES,
    "lines": Area.MESSAGES,
    "opt-outs": Area.MESSAGES,
    "consents": Area.MESSAGES,
    "webhooks": Area.MESSAGES,
    "tokens": Area.TOKENS,
    "accounts": Area.ACCOUNTS,
    "users": Area.USERS,
    "sessions": Area.OWN,
    "password": Area.OWN,
    "balance": Area.MONEY,
    "deposits": Area.MONEY,
    "terms": Area.MONEY,
    "cards": Area.MONEY,
    "invoices": Area.MONEY,
    "billing": Area.MONEY,
    "spending": Area.MONEY,
    "prices": Area.PRICES,
    "calculator": Area.PRICES,
    "support-requests": Area.PRICES,
    "statistics": Area.STATISTICS,
    "exports": Area.STATISTICS,
}
"""By the first word of a path."""


@dataclass(frozen=True, slots=True)
class Route(Generic[Asking]):
    """One operation. `answers` are the successes by status, None where there is no body; `media`
    the content types of what is no JSON; `refusals` the further statuses that it may answer with,
    beside those that all share. `needs` is the scope that it asks for, within the area of its path;
    None: it is open to anybody."""

    method: str
    path: str
    handler: Callable[[Asking], Awaitable[web.StreamResponse]]
    summary: str
    answers: Mapping[int, type[msgspec.Struct] | None]
    refusals: tuple[int, ...]
    needs: AccessScope | None = None
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    has_key: bool = False
    needs_body: bool = True
    media: tuple[str, ...] = ()

    @property
    def need(self) -> Need:
        """The right that whoever asks must have. Raises LookupError for a route that does not say
        it, or of whose area nobody has decided: then nothing starts."""
        word = self.path.split("/")[2]
        if self.needs is None or word not in _AREAS:
            raise LookupError(f"{self.method} {self.path}: say which scope it needs, of which area")
        return Need(_AREAS[word], self.needs)
