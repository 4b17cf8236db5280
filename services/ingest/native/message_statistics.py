"""What an account has sent, counted. Each query is bound to the account."""

from __future__ import annotations

from datetime import UTC, date, datetime

from aiohttp import web
from msgspec import UNSET

from services.ingest.native import answers, queries, reads
from services.ingest.native import statistics_shapes as shapes
from services.ingest.web.entrance import Visit
from shared.db import connection, counting, export_rows, sub_accounts, tabular
from shared.db import message_statistics as stored
from shared.db.tabular import FileFormat
from shared.web import problems
from shared.web.problems import Refused


async def statistics(visit: Visit) -> web.Response:
    """Sums of three months; JSON, or CSV where the request accepts that (M51-M56)."""
    query = queries.read(visit.request, shapes.StatisticsQuery)
    groups = _groups(query.by)
    async with (
        visit.listing() as opened,
        opened.transaction(isolation="repeatable_read", readonly=True),
    ):
        account_id = await _account_id(opened, visit, query)
        asked = _question(query, groups, await stored.begin(opened))
        if "text/csv" in visit.request.headers.get("Accept", ""):
            return await _csv(opened, account_id, asked)
        rows = await stored.read(opened, account_id, asked)
        is_complete = await stored.is_complete(opened)
    _check_count(len(rows))
    return answers.response(
        shapes.StatisticsAnswer(
            first_day=asked.first_day,
            last_day=asked.last_day,
            complete=is_complete,
            rows=[*map(shapes.sums, rows)],
            totals=shapes.totals(rows),
        )
    )


async def _account_id(
    opened: connection.Connection, visit: Visit, query: shapes.StatisticsQuery
) -> int:
    """Whose statistics are asked for: the account's own, or a sub-account's of it (M8)."""
    if query.account_id is UNSET:
        return visit.account_id
    if await sub_accounts.get(opened, visit.account_id, query.account_id) is None:
        detail = "The account has no sub-account with this id."
        raise Refused(problems.of(404, "no_such_account", detail, "account_id"))
    return query.account_id


def _groups(by: str) -> tuple[str, ...]:
    wanted = by.split(",")
    for group in wanted:
        if group not in stored.GROUPS:
            detail = f"Sums are told apart by {', '.join(stored.GROUPS)}."
            raise Refused(problems.of(422, "unknown_group", detail, "by"))
    return tuple(group for group in stored.GROUPS if group in wanted)


def _question(
    query: shapes.StatisticsQuery, groups: tuple[str, ...], begin: date
) -> stored.StatisticsQuestion:
    first_day = begin if query.first_day is UNSET else query.first_day
    last_day = datetime.now(UTC).date() if query.last_day is UNSET else query.last_day
    if first_day < begin:
        detail = f"Statistics are of the last three months, from {begin} on."
        raise Refused(problems.of(422, "out_of_range", detail, "first_day"))
    if last_day < first_day:
        detail = "The last day is before the first one."
        raise Refused(problems.of(422, "out_of_range", detail, "last_day"))
    return stored.StatisticsQuestion(
        first_day,
        last_day,
        shapes.statuses_of(query.status, query.outcome),
        shapes.given(query.country),
        shapes.class_of(query.message_class),
        groups,
    )


def _check_count(row_count: int) -> None:
    if row_count > stored.ROW_COUNT_MAX:
        detail = (
            f"These are more than {stored.ROW_COUNT_MAX} rows. Ask for fewer days or groups, or "
            "for an export."
        )
        raise Refused(problems.of(422, "too_many_rows", detail, "by"))


async def _csv(
    opened: connection.Connection, account_id: int, asked: stored.StatisticsQuestion
) -> web.Response:
    row_count, lines = await export_rows.statistics_lines(opened, account_id, asked, FileFormat.CSV)
    _check_count(row_count)
    head = tabular.head(export_rows.statistics_columns(asked.groups), FileFormat.CSV)
    return web.Response(
        body=(head + lines).encode(),
        headers={
            "Content-Type": tabular.CONTENT_TYPES[FileFormat.CSV],
            "Content-Disposition": 'attachment; filename="statistics.csv"',
        },
    )


async def message_count(visit: Visit) -> web.Response:
    """How many of the account's messages fit (M48)."""
    query = queries.read(visit.request, shapes.CountQuery)
    wanted = _count_filter(query)
    async with (
        visit.listing() as opened,
        opened.transaction(isolation="repeatable_read", readonly=True),
    ):
        try:
            found = await counting.count(opened, visit.account_id, wanted)
        except counting.TooManyToCount:
            detail = (
                f"More than {counting.LOOK_COUNT:,} messages would have to be looked at. Narrow "
                "created_from and created_until, or ask for whole days in UTC and not for `to`."
            )
            raise Refused(problems.of(422, "too_many_messages", detail)) from None
    return answers.response(shapes.MessageCount(found))


def _count_filter(query: shapes.CountQuery) -> counting.CountFilter:
    if query.to is not UNSET:
        reads.check_recipient(query.to)
    return counting.CountFilter(
        statuses=shapes.statuses_of(query.status, query.outcome),
        recipient=shapes.given(query.to),
        reference=reads.checked_reference(query.reference),
        country=shapes.given(query.country),
        message_class=shapes.class_of(query.message_class),
        created_from=reads.moment_of("created_from", query.created_from),
        created_until=reads.moment_of("created_until", query.created_until),
    )
