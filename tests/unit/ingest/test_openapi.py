"""The description that is checked in is that of the code, and is one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import openapi_spec_validator
import pytest

from services.ingest.native import openapi, routes


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(routes.DOCUMENT.read_bytes())
    return found


def test_the_checked_in_description_is_that_of_the_code() -> None:
    assert routes.DOCUMENT.read_bytes() == openapi.encoded(), (
        "run: sluice openapi > services/ingest/native/openapi.json"
    )


def test_the_description_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(document)


def test_every_route_is_described_with_a_name_of_its_own(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path): operation["operationId"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    open_paths = {(route.method, route.path) for route in routes.OPEN_ROUTES}
    paths = {(route.method, route.path) for route in routes.ROUTES}
    assert set(described) == paths | open_paths
    assert len(set(described.values())) == len(described)


@pytest.mark.parametrize(
    "name",
    [
        "SendBody",
        "BatchBody",
        "PreviewBody",
        "WebhookBody",
        "WebhookChange",
        "TokenBody",
        "UserBody",
        "UserChange",
        "PasswordChange",
        "SignIn",
        "SubAccountBody",
    ],
)
def test_bodies_are_closed(document: dict[str, Any], name: str) -> None:
    assert document["components"]["schemas"][name]["additionalProperties"] is False


def test_a_route_that_says_nothing_of_who_may_come_is_none() -> None:
    silent = replace(routes.ROUTES[0], needs=None)
    elsewhere = replace(routes.ROUTES[0], path="/v1/inventions/{id}")
    for route in (silent, elsewhere):
        with pytest.raises(LookupError, match="say which scope"):
            _ = route.need


def test_each_operation_says_which_scope_it_needs(document: dict[str, Any]) -> None:
    for route in routes.ROUTES:
        told = document["paths"][route.path][route.method.lower()]["security"]
        assert told == [{"token": [route.needs]}]
    for open_route in routes.OPEN_ROUTES:
        assert document["paths"][open_route.path][open_route.method.lower()]["security"] == []
