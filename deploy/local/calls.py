"""Requests of JSON to what ./run has started."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from deploy.local import screen

_SECONDS = 10.0


def api(environ: Mapping[str, str], method: str, path: str, body: object = None) -> Any:
    """What the API answers to the demo account. Raises Stop for a refusal."""
    status, said = ask(environ["SLUICE_API_URL"], method, path, body, environ["SLUICE_TOKEN"])
    if status >= http.client.BAD_REQUEST:
        raise screen.Stop(f"{method} {path} failed ({status}):\n{said}")
    return said


def ask(
    base: str,
    method: str,
    path: str,
    body: object = None,
    token: str = "",
    *,
    authorization: str = "",
) -> tuple[int, Any]:
    """(status, what was answered, if anything)."""
    url = urlsplit(base)
    link = http.client.HTTPConnection(str(url.hostname), url.port, timeout=_SECONDS)
    authorization = authorization or (f"Bearer {token}" if token else "")
    headers = {"Authorization": authorization} if authorization else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        link.request(method, path, None if body is None else json.dumps(body), headers)
        answer = link.getresponse()
        said = answer.read()
    finally:
        link.close()
    return answer.status, json.loads(said) if said else None
