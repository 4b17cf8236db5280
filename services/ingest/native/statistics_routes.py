"""Paths of what an account has sent, counted and written to files."""

from __future__ import annotations

from services.ingest.native import exports, message_statistics
from services.ingest.native import statistics_shapes as shapes
from services.ingest.native.route import BODY_REFUSALS, Route
from services.ingest.web import export_files
from services.ingest.web.entrance import Passage, Visit
from shared.access.rights import AccessScope

_READ = AccessScope.READ
_FILES = ("text/csv", "application/x-ndjson")

OPEN_ROUTES: tuple[Route[Passage], ...] = (
    Route(
        "GET",
        export_files.PATH,
        export_files.export_file,
        "The file of an export, for whoever has the link to it",
        {200: None},
        (404, 409),
        media=_FILES,
    ),
)

ROUTES: tuple[Route[Visit], ...] = (
    Route(
        "GET",
        "/v1/statistics",
        message_statistics.statistics,
        "What the account has sent in three months, by day and more; CSV if that is accepted",
        {200: shapes.StatisticsAnswer},
        (400, 404, 422),
        needs=_READ,
        query=shapes.StatisticsQuery,
        media=("text/csv",),
    ),
    Route(
        "GET",
        "/v1/messages/count",
        message_statistics.message_count,
        "How many of the account's messages fit",
        {200: shapes.MessageCount},
        (400, 422),
        needs=_READ,
        query=shapes.CountQuery,
    ),
    Route(
        "POST",
        "/v1/exports",
        exports.create_export,
        "Have messages or statistics written to a file",
        {202: shapes.ExportJob},
        (409, *BODY_REFUSALS),
        needs=_READ,
        body=shapes.ExportBody,
    ),
    Route(
        "GET",
        "/v1/exports",
        exports.export_list,
        "The account's exports, newest first",
        {200: shapes.ExportList},
        (),
        needs=_READ,
    ),
    Route(
        "GET",
        "/v1/exports/{export_id}",
        exports.export,
        "One export, how far it has come, and a link to its file",
        {200: shapes.ExportJob},
        (404,),
        needs=_READ,
    ),
    Route(
        "DELETE",
        "/v1/exports/{export_id}",
        exports.delete_export,
        "Cancel an export, or take its file away",
        {204: None},
        (404,),
        needs=_READ,
    ),
    Route(
        "GET",
        "/v1/exports/{export_id}/content",
        exports.export_content,
        "The file of an export",
        {200: None},
        (404, 409),
        needs=_READ,
        media=_FILES,
    ),
)
