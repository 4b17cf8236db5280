"""What a client may ask: the shapes of bodies and queries."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from services.ingest.aircall import answers, faults
from services.ingest.web import bodies
from services.ingest.web import faults as document_faults
from services.ingest.web.entrance import Visit
from shared.rules import destinations
from shared.shapes import aircall as shapes
from shared.web import egress, problems
from shared.web.problems import Problem, Refused

PAGE_SIZE = 20
PAGE_SIZE_MAX = 50
PAGE_NUMBER_MAX = 1_000_000
MEDIA_COUNT_MAX = 10
NAME_LENGTH_MAX = 100

Url = Annotated[str, Meta(min_length=1, max_length=destinations.URL_LENGTH_MAX)]
Events = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)]
Name = Annotated[str, Meta(max_length=NAME_LENGTH_MAX)]


class NumberSendBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message to send."""

    to: str
    body: str | None = None
    media_url: Annotated[list[Url], Meta(max_length=MEDIA_COUNT_MAX)] | None = msgspec.field(
        default=None, name="mediaUrl"
    )
    agent_id: int | str | None = msgspec.field(default=None, name="agentId")
    """In whose name; there are no agents here."""


class ConfigurationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a number's owner is called back."""

    callback_url: Url | None = msgspec.field(default=None, name="callbackUrl")
    type: Annotated[str, Meta(max_length=64)] | None = None


class AccountWebhookBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account webhook to make; without events it is told of all."""

    url: Url
    custom_name: Name | None = None
    events: Events | None = None


class AccountWebhookChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about one. `events` take the place of those there are, unless they
    are to be added to them or removed."""

    url: Url | UnsetType = UNSET
    custom_name: Name | UnsetType | None = UNSET
    events: Events | UnsetType = UNSET
    events_action: Literal["add", "remove"] | UnsetType = UNSET
    active: bool | UnsetType = UNSET


Body = TypeVar("Body", bound=msgspec.Struct)

send_decoder = msgspec.json.Decoder(NumberSendBody)
configuration_decoder = msgspec.json.Decoder(ConfigurationBody)
webhook_decoder = msgspec.json.Decoder(AccountWebhookBody)
change_decoder = msgspec.json.Decoder(AccountWebhookChange)


async def read(visit: Visit, decoder: msgspec.json.Decoder[Body]) -> Body:
    """The request's body. Raises Refused."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    try:
        body = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise Refused(_as_400(document_faults.of_validation(error))) from None
    except (ValueError, RecursionError):
        raise Refused(_as_400(document_faults.of_syntax(raw))) from None
    if fault := document_faults.of_repeated_field(raw):
        raise Refused(fault)
    return body


def _as_400(fault: Problem) -> Problem:
    return problems.of(400, fault.code, fault.detail, fault.field or None)


def check_url(visit: Visit, url: str, field: str) -> None:
    """Raises Refused for a URL that may not be followed, as far as it tells by itself."""
    try:
        egress.check(url, visit.context.watch.current.egress_allowed)
    except egress.NotAllowed as error:
        raise faults.invalid(problems.sentence(str(error)), field) from None


def check_events(names: Events) -> None:
    """Raises Refused for an event that there is not."""
    known = (*shapes.EVENTS, *shapes.GROUP_EVENTS)
    for index, name in enumerate(names):
        if name not in known:
            detail = f"There is no such event; there are {', '.join(known)}."
            raise faults.invalid(detail, f"events[{index}]")


def page(request: web.Request) -> answers.PageAsked:
    """Which page is asked for. Raises Refused."""
    return answers.PageAsked(
        _positive(request, "page", 1, PAGE_NUMBER_MAX),
        _positive(request, "per_page", PAGE_SIZE, PAGE_SIZE_MAX),
    )


def _positive(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not (is_number and 1 <= int(text) <= most):
        raise faults.invalid(f"Expected a number from 1 to {most}.", name)
    return int(text)
