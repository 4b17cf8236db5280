"""Requests counted by their answers, so that no handler has to."""

from __future__ import annotations

import msgspec
import prometheus_client
from aiohttp import web

from services.ingest import metrics
from shared.web import problems, refused


class _Coded(msgspec.Struct):
    code: str


class _Result(msgspec.Struct):
    error: _Coded | None = None


class _Results(msgspec.Struct):
    results: list[_Result]


WAITED = web.RequestKey("waited_seconds", float)
"""Where a request keeps how long it has waited for something new."""
REFUSED_FOR = web.RequestKey("refused_for", str)
"""Where a face that has its own words for refusals keeps the code of one."""

_problem = msgspec.json.Decoder(_Coded)
_batch = msgspec.json.Decoder(_Results)
_histograms: dict[tuple[web.AbstractRoute | None, int], prometheus_client.Histogram] = {}


def note(request: web.Request, response: web.StreamResponse, seconds: float) -> None:
    """Count a request and its answer; what it wanted to wait (`WAITED`) is no work of ours."""
    route = request.match_info.route
    # A path that is none has a route of its own each time.
    key = (route if route.resource else None, response.status // 100)
    histogram = _histograms.get(key)
    if histogram is None:
        histogram = metrics.ANSWER_SECONDS.labels(refused.route(request), f"{key[1]}xx")
        _histograms[key] = histogram
    histogram.observe(max(0.0, seconds - request.get(WAITED, 0.0)))
    if key[1] >= 4 and (code := request.get(REFUSED_FOR) or _code_of(response)):
        metrics.REFUSED.labels(code).inc()


def _code_of(response: web.StreamResponse) -> str | None:
    if response.headers.get("Content-Type") != problems.CONTENT_TYPE:
        return None
    body = response.body if isinstance(response, web.Response) else None
    return _problem.decode(body).code if isinstance(body, bytes) else "none"


def note_batch(answer: bytes) -> None:
    """Count the messages of a batch that were refused, as its answer tells them."""
    for result in _batch.decode(answer).results:
        if result.error is not None:
            metrics.REFUSED.labels(result.error.code).inc()
