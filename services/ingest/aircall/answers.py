"""What clients read: bodies, pages and links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from services.ingest.web.entrance import Visit
from shared.shapes.aircall import PhoneLine

PREFIX = "/aircall"
"""Where this API stands beside the native one."""

encode = msgspec.json.Encoder().encode


class SentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was taken; times in Unix milliseconds."""

    id: str
    status: str
    direction: str
    direct_link: str
    created_at: int
    sent_at: int
    updated_at: int
    raw_digits: str
    body: str
    media_url: list[str]
    number: PhoneLine


def response(answer: object, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=encode(answer), status=status, content_type="application/json")


def root_of(request: web.Request) -> str:
    """The URL under which the client has found this API."""
    return f"{request.scheme}://{request.host}{PREFIX}"


Item = TypeVar("Item")


class PageAsked(msgspec.Struct, frozen=True):
    """Which part of a list is wanted."""

    number: int
    size: int

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """That part."""
        start = (self.number - 1) * self.size
        return items[start : start + self.size]

    def meta(self, visit: Visit, shown_count: int, total: int) -> dict[str, Any]:
        """What is said about the page, with full links to its neighbours."""
        path = f"{root_of(visit.request)}{visit.request.path.removeprefix(PREFIX)}"

        def link(number: int) -> str:
            return f"{path}?page={number}&per_page={self.size}"

        return {
            "count": shown_count,
            "total": total,
            "current_page": self.number,
            "per_page": self.size,
            "next_page_link": link(self.number + 1) if self.number * self.size < total else None,
            "previous_page_link": link(self.number - 1) if self.number > 1 else None,
        }
