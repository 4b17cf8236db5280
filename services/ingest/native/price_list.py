"""The price list, which needs no token (M23)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from services.ingest.native import answers, queries
from services.ingest.web.entrance import Passage
from shared.shapes.price import CountryCode, CurrencyCode

FRESH_SECONDS: Final = 60
"""For so long a copy may be shown without asking whether it has changed."""


class PriceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which prices to list; all of them unless one is named."""

    currency: Annotated[CurrencyCode, Meta(description="Of this currency alone.")] | UnsetType = (
        UNSET
    )
    country: CountryCode | UnsetType = UNSET


async def price_list(passage: Passage) -> web.Response:
    """What a segment costs by country: now, and as far as it is announced."""
    query = queries.read(passage.request, PriceQuery)
    now = datetime.now(UTC)
    copy = passage.context.showcase.copy(
        passage.context.watch.current,
        now,
        None if query.currency is UNSET else query.currency,
        None if query.country is UNSET else query.country,
    )
    seconds = FRESH_SECONDS
    if copy.good_until is not None:
        seconds = min(seconds, int((copy.good_until - now).total_seconds()))
    headers = {"ETag": copy.tag, "Cache-Control": f"public, max-age={seconds}"}
    known = passage.request.if_none_match
    if known and any(each.value in ("*", copy.tag.strip('"')) for each in known):
        return web.Response(status=304, headers=headers)
    return web.Response(body=copy.body, headers={"Content-Type": answers.CONTENT_TYPE, **headers})
