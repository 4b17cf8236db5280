"""The API's description in OpenAPI 3.1, made from the table of routes; checked in beside it."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from services.ingest.native import answers, requests, routes
from services.ingest.native.route import Route
from services.ingest.web import bodies
from shared.web import problems

Json = dict[str, object]

_SHARED_REFUSALS = (401, 403, 429, 500, 503)
_OPEN_REFUSALS = (500, 503)
_MEANINGS = {
    200: "Done.",
    201: "Done; what is shown once is in here.",
    202: "Stored and paid for, or under way.",
    204: "It is gone.",
    304: "It is as it was.",
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    402: "The balance does not cover the message.",
    403: "Whoever asks, the account or the line may not do this.",
    404: "There is no such thing in this account.",
    408: "The body came too slowly.",
    409: "A request with this idempotency key is still running, there is no room for more, or it is"
    " too late or too early.",
    413: "The body is too large.",
    415: "The body is not plain JSON in UTF-8.",
    422: "A field is missing, unknown or wrong.",
    429: "Too many requests, or the day's limit is reached.",
    500: "A fault on our side.",
    503: "Not possible now; the same request may be made again.",
}
_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body has the same answer for 7 days, and one debit.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}


def document() -> Json:
    """The whole description."""
    paths: dict[str, dict[str, Json]] = {}
    for route in routes.ROUTES:
        operation = _operation(route) | {
            "description": _told(route),
            "security": [{"token": [str(route.needs)]}],
        }
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    for open_route in routes.OPEN_ROUTES:
        responses = _responses(open_route, shared=_OPEN_REFUSALS)
        operation = _operation(open_route) | {"security": [], "responses": responses}
        paths.setdefault(open_route.path, {})[open_route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": "1",
            "description": "Paid SMS. 202 means stored and paid for; what became of a message is "
            "told by /v1/events and /v1/messages/{id}. Bodies are at most "
            f"{bodies.SINGLE_SIZE_MAX // 1024} KiB, batches {bodies.BATCH_SIZE_MAX // 1024} KiB.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _schemas() -> Json:
    """Every shape that has a name in the description."""
    kinds: list[type[msgspec.Struct]] = [
        requests.SendBody,
        answers.Accepted,
        answers.DryRun,
        answers.Failed,
        problems.Problem,
    ]
    every: tuple[Route[Any], ...] = (*routes.ROUTES, *routes.OPEN_ROUTES)
    queries = [route.query for route in every if route.query]
    for route in every:
        kinds += [kind for kind in route.answers.values() if kind]
        kinds += [route.body] if route.body else []
    components = _components([*kinds, *queries])
    # A query's members are parameters; only what they refer to has a name.
    for query in queries:
        del components[query.__name__]
    return components


def _components(kinds: Sequence[type]) -> dict[str, Any]:
    return msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")[1]


def _operation(route: Route[Any]) -> Json:
    operation: Json = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "responses": _responses(route),
    }
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": route.needs_body,
            "content": {"application/json": {"schema": _reference(route.body)}},
        }
    return operation


def _told(route: Route[Any]) -> str:
    return f"Needs the scope `{route.needs}`, or a role with that right in `{route.need.area}`."


def _parameters(route: Route[Any]) -> list[Json]:
    parameters = [_KEY] if route.has_key else []
    if "{id}" in route.path:
        schema: Json = {"type": "string", "format": "uuid"}
        parameters.append({"name": "id", "in": "path", "required": True, "schema": schema})
    for name in re.findall(r"{(\w+_id)}", route.path):
        schema = {"type": "integer"}
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    if "{ticket}" in route.path:
        schema = {"type": "string"}
        parameters.append({"name": "ticket", "in": "path", "required": True, "schema": schema})
    if "{number}" in route.path:
        schema = {"type": "string", "pattern": "^[+][1-9][0-9]{1,14}$"}
        parameters.append({"name": "number", "in": "path", "required": True, "schema": schema})
    if route.query is not None:
        parameters += _query_parameters(route.query)
    return parameters


def _query_parameters(kind: type[msgspec.Struct]) -> list[Json]:
    """The members of a query's shape, one parameter each."""
    parameters: list[Json] = []
    described = _components([kind])[kind.__name__]
    required = described.get("required", ())
    for name, schema in described["properties"].items():
        parameter: Json = {"name": name, "in": "query", "required": name in required}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        parameters.append(parameter | {"schema": schema})
    return parameters


def _responses(route: Route[Any], shared: Sequence[int] = _SHARED_REFUSALS) -> Json:
    responses: Json = {
        str(status): _response(status, answers.CONTENT_TYPE, kind, route.media)
        for status, kind in route.answers.items()
    }
    for status in sorted({*route.refusals, *shared}):
        responses[str(status)] = _response(status, problems.CONTENT_TYPE, problems.Problem)
    return responses


def _response(
    status: int,
    content_type: str,
    kind: type[msgspec.Struct] | None,
    media: Sequence[str] = (),
) -> Json:
    content: Json = {} if kind is None else {content_type: {"schema": _reference(kind)}}
    content |= {each: {"schema": {"type": "string"}} for each in media}
    described: Json = {"description": _MEANINGS[status]}
    return described | {"content": content} if content else described


def _reference(kind: type[msgspec.Struct]) -> Json:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def encoded() -> bytes:
    """The description as it is checked in."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def show() -> int:
    """Print the description of the HTTP API, OpenAPI 3.1 in JSON.

    Example: sluice openapi > openapi.json
    """
    sys.stdout.buffer.write(encoded())
    return 0
