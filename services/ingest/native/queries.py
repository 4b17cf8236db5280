"""What a producer may ask for in a path and its query."""

from __future__ import annotations

from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from services.ingest.native.requests import REFERENCE_LENGTH_MAX, Reason, Time, To
from services.ingest.web import faults
from shared.sms import states
from shared.web import problems
from shared.web.problems import Refused

LIST_COUNT_MAX = 200
EVENT_COUNT_MAX = 1_000
WAIT_SECONDS_MAX = 30
OPT_OUT_COUNT_MAX = 1_000
LINE_COUNT_MAX = 200
SEQUENCE_MAX = 2**63 - 1


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages to list; all conditions must hold."""

    status: states.MessageStatus | UnsetType = UNSET
    to: To | UnsetType = UNSET
    reference: Annotated[str, Meta(max_length=REFERENCE_LENGTH_MAX)] | UnsetType = UNSET
    created_from: Time | UnsetType = UNSET
    created_until: Time | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=LIST_COUNT_MAX)] = 50
    cursor: Annotated[str, Meta(description="The cursor of the page before.")] | UnsetType = UNSET


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to go on reading."""

    after: Annotated[
        int,
        Meta(ge=0, le=SEQUENCE_MAX, description="The cursor of the page before; 0: the beginning."),
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=EVENT_COUNT_MAX)] = 100
    wait: Annotated[
        int,
        Meta(
            ge=0,
            le=WAIT_SECONDS_MAX,
            description="Seconds to wait, while there is nothing, for something to come.",
        ),
    ] = 0


class InboundQuery(EventsQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same of inbound messages."""


class ReplayQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where on to tell again."""

    after: Annotated[
        int,
        Meta(ge=0, le=SEQUENCE_MAX, description="A cursor of GET /v1/events; 0: the beginning."),
    ]


class TriesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tries to list."""

    cursor: Annotated[
        int,
        Meta(ge=0, le=SEQUENCE_MAX, description="The cursor of the page before."),
    ] = SEQUENCE_MAX


class LinesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines to list."""

    limit: Annotated[int, Meta(ge=1, le=LINE_COUNT_MAX)] = 50
    cursor: Annotated[
        int, Meta(ge=0, le=SEQUENCE_MAX, description="The cursor of the page before.")
    ] = 0


class OptOutQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which opt-outs to list."""

    number: To | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=OPT_OUT_COUNT_MAX)] = 100
    cursor: Annotated[str, Meta(description="The cursor of the page before.")] | UnsetType = UNSET


class OptInQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a phone may be written to again: nobody takes back a person's no without saying why."""

    reason: Reason


class ConsentQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which consents to list."""

    limit: Annotated[int, Meta(ge=1, le=OPT_OUT_COUNT_MAX)] = 100
    cursor: Annotated[str, Meta(description="The cursor of the page before.")] | UnsetType = UNSET


class WithdrawalQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a consent is in force no more."""

    reason: Reason


Query = TypeVar("Query", bound=msgspec.Struct)


def uuid_of(text: str) -> UUID | None:
    """An id as it stands in a path or a cursor; None for what is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def read(request: web.Request, kind: type[Query]) -> Query:
    """The query string as `kind`. Raises Refused, naming the parameter."""
    pairs = request.query
    for name in pairs:
        if len(pairs.getall(name)) > 1:
            detail = "The parameter is given twice."
            raise Refused(problems.of(400, "repeated_field", detail, name[:REFERENCE_LENGTH_MAX]))
    try:
        return msgspec.convert(dict(pairs), kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(faults.of_validation(error)) from None
