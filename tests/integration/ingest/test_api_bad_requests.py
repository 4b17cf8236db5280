"""Every bad request is told precisely what is wrong, and leaves nothing behind."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import pytest
from multidict import CIMultiDict
from yarl import URL

from tests.integration.ingest import bad, bad_messages, bad_requests
from tests.integration.ingest.world import JSON, World

ALL = (*bad_messages.ALL, *bad_requests.ALL)


def test_there_are_more_than_a_hundred_and_each_has_a_name() -> None:
    names = [case.name for case in ALL]
    assert len(names) > 150
    assert len(set(names)) == len(names)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
async def test_a_request_is_refused_and_nothing_happens_when_it_is_bad(
    town: World, case: bad.Bad
) -> None:
    before = await town.books()

    async with town.client.request(
        case.method, URL(case.path, encoded=True), headers=_headers(town, case), data=_data(case)
    ) as answer:
        body = await answer.read()
        told = await answer.json(content_type="application/problem+json")

    field = {"field": case.at} if case.at is not None else {}
    assert told == {
        "type": f"urn:sluice:problem:{case.code}",
        "title": case.code.replace("_", " ").capitalize(),
        "status": case.status,
        "code": case.code,
        "detail": told["detail"],
        **field,
    }
    assert answer.status == case.status
    assert told["detail"].endswith(".")
    assert bad.TO.encode() not in body
    assert bad.TEXT.encode() not in body
    assert await town.books() == before
    assert (await town.get("bob", "/v1/balance"))["amount"] == "1000.00"


def _headers(town: World, case: bad.Bad) -> CIMultiDict[str]:
    headers = CIMultiDict(JSON)
    headers.update(town.bearer(case.account) if case.account else {})
    headers.update(case.headers)
    return headers


def _data(case: bad.Bad) -> io.BytesIO | AsyncIterator[bytes] | None:
    if case.body is None:
        return None
    return _chunks(case.body) if case.chunked else io.BytesIO(case.body)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 16_384):
        yield body[start : start + 16_384]
