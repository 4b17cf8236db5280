"""What a producer asks of statistics, counts and exports, and what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.ingest.native.requests import REFERENCE_LENGTH_MAX, Time, To
from shared.db.exports import ExportKind, StoredExport
from shared.db.message_statistics import GROUPS, StatisticsRow
from shared.db.tabular import FileFormat
from shared.ledger import money
from shared.shapes.message import Amount
from shared.sms import outcome_words, states
from shared.sms.classes import CLASSES, ClassName
from shared.sms.outcome_words import MessageOutcome

Country = Annotated[
    str, Meta(pattern="^[A-Z]{2}$", description="ISO 3166 alpha-2.", examples=["FR"])
]
_Outcome = Annotated[
    MessageOutcome,
    Meta(
        description="delivered: it has reached the phone. pending: it waits, or its end is not "
        "known. rejected: it was not delivered."
    ),
]
_By = Annotated[
    str,
    Meta(
        pattern="^[a-z]+(,[a-z]+)*$",
        description="What the sums are told apart by, separated by commas: "
        f"{', '.join(GROUPS)}. By currency they always are.",
        examples=["day,status"],
    ),
]


class StatisticsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to count. Days are of UTC and of when a message was accepted, both included."""

    first_day: Annotated[date, Meta(description="Default: three months ago.")] | UnsetType = UNSET
    last_day: Annotated[date, Meta(description="Default: today.")] | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    status: states.MessageStatus | UnsetType = UNSET
    outcome: _Outcome | UnsetType = UNSET
    message_class: ClassName | UnsetType = msgspec.field(default=UNSET, name="class")
    account_id: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=2**31 - 1,
                description="One of its sub-accounts. Default: itself.",
            ),
        ]
        | UnsetType
    ) = UNSET
    by: _By = "day"


class CountQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages to count; all conditions must hold."""

    status: states.MessageStatus | UnsetType = UNSET
    outcome: _Outcome | UnsetType = UNSET
    to: To | UnsetType = UNSET
    reference: Annotated[str, Meta(max_length=REFERENCE_LENGTH_MAX)] | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    message_class: ClassName | UnsetType = msgspec.field(default=UNSET, name="class")
    created_from: Annotated[Time, Meta(description="Default: three months ago.")] | UnsetType = (
        UNSET
    )
    created_until: Time | UnsetType = UNSET


class MessageCount(msgspec.Struct, frozen=True):
    """How many messages fit."""

    count: int


class StatisticsSums(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sums of a group; it has the members that the sums are told apart by. `details` says in words
    why messages were not delivered, `code` is the carrier's word. `cost` is what was paid and not
    given back. `delivered`, `pending` and `rejected` add up to `messages`."""

    day: date | UnsetType = UNSET
    country: str | UnsetType = UNSET
    class_name: str | UnsetType = msgspec.field(default=UNSET, name="class")
    status: str | UnsetType = UNSET
    details: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    currency: str
    message_count: int = msgspec.field(name="messages")
    segment_count: int = msgspec.field(name="segments")
    cost: Amount
    delivered_count: int = msgspec.field(name="delivered")
    pending_count: int = msgspec.field(name="pending")
    rejected_count: int = msgspec.field(name="rejected")


class StatisticsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Sums, and their totals by currency. `complete` is false for a while after an update, while
    what was stored before it is being counted."""

    first_day: date
    last_day: date
    complete: bool
    rows: list[StatisticsSums]
    totals: list[StatisticsSums]


class ExportBody(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What to write to a file."""

    kind: Annotated[
        ExportKind,
        Meta(
            description="messages: a line a message, without its text. statistics: a line for each "
            "day, country, class, status, reason and code."
        ),
    ] = ExportKind.MESSAGES
    format: Annotated[FileFormat, Meta(description="jsonl: a JSON object a line.")] = FileFormat.CSV
    created_from: Annotated[
        Time, Meta(description="Of statistics, its day in UTC; at most a year back.")
    ]
    created_until: (
        Annotated[Time, Meta(description="Default: now. Of statistics, with its day.")] | UnsetType
    ) = UNSET
    status: states.MessageStatus | UnsetType = UNSET
    outcome: _Outcome | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    message_class: ClassName | UnsetType = msgspec.field(default=UNSET, name="class")


body_decoder = msgspec.json.Decoder(ExportBody)


class ExportJob(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is written in the background, and how far it has come, in percent. `url` serves
    it without a token until `url_expires_at`; read the export again for a new one."""

    id: int
    kind: str
    format: str
    created_from: Time
    created_until: Time
    state: Literal["pending", "in_progress", "completed", "error"]
    progress: Annotated[int, Meta(ge=0, le=100)]
    rows: int
    size: Annotated[int, Meta(description="Bytes of the file.")]
    created_at: Time
    finished_at: Time | None
    expires_at: Time
    url: str | None
    url_expires_at: Time | None


class ExportList(msgspec.Struct, frozen=True):
    """The account's exports, the newest first."""

    exports: list[ExportJob]


def statuses_of(
    status: states.MessageStatus | UnsetType, outcome: MessageOutcome | UnsetType
) -> list[str] | None:
    """The statuses that fit both; None where neither filters."""
    return outcome_words.statuses_within(
        None if status is UNSET else status, None if outcome is UNSET else outcome
    )


def class_of(name: ClassName | UnsetType) -> int | None:
    """A class as it is stored."""
    return None if name is UNSET else CLASSES.index(name)


def given(value: str | UnsetType) -> str | None:
    """A filter, or none."""
    return None if value is UNSET else value


def sums(row: StatisticsRow) -> StatisticsSums:
    """A row as its producer reads it."""
    return StatisticsSums(
        day=UNSET if row.day is None else row.day,
        country=UNSET if row.country is None else row.country,
        class_name=UNSET if row.message_class is None else CLASSES[row.message_class],
        status=UNSET if row.status is None else row.status,
        details=UNSET if row.reason is None else outcome_words.details(row.reason),
        code=UNSET if row.code is None else row.code,
        currency=row.currency,
        message_count=row.message_count,
        segment_count=row.segment_count,
        cost=money.format_amount(row.cost_micro),
        delivered_count=row.delivered_count,
        pending_count=row.pending_count,
        rejected_count=row.rejected_count,
    )


def totals(rows: Sequence[StatisticsRow]) -> list[StatisticsSums]:
    """The sums of rows by currency."""
    found: dict[str, StatisticsRow] = {}
    for row in rows:
        before = found.get(row.currency)
        found[row.currency] = row.alone() if before is None else before.plus(row)
    return [sums(found[currency]) for currency in sorted(found)]


def export(stored: StoredExport, url: str | None, url_expires_at: Time | None) -> ExportJob:
    """An export as its owner reads it."""
    return ExportJob(
        id=stored.export_id,
        kind=stored.kind,
        format=stored.format,
        created_from=stored.from_at,
        created_until=stored.to_at,
        state=stored.state,  # type: ignore[arg-type] # the table's own words
        progress=stored.progress,
        rows=stored.row_count,
        size=stored.byte_count,
        created_at=stored.created_at,
        finished_at=stored.finished_at,
        expires_at=stored.expires_at,
        url=url,
        url_expires_at=url_expires_at,
    )
