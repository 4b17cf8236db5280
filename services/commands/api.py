"""The public HTTP API as a producer uses it: batches in, events out, every wait bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Final, TypeVar
from uuid import UUID

import aiohttp
import msgspec
from msgspec import Meta
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from shared.runtime import exits, settings

REQUEST_SECONDS: Final = 30.0
GIVE_UP_SECONDS: Final = 180.0
"""How long a request is tried; long enough for a limit on requests per minute to pass."""
_RETRY_AFTER_MAX_SECONDS: Final = 60.0
_PASSING: Final = frozenset({409, 429, 500, 502, 503, 504})
EVENT_COUNT: Final = 1_000


class Producer(settings.Variables, frozen=True, kw_only=True):
    """What a command reads that sends as producers do."""

    api_url: Annotated[
        str,
        Meta(
            description="Where the HTTP API is.",
            pattern="^https?://",
            examples=["http://127.0.0.1:8080"],
        ),
    ]
    token: Annotated[
        str,
        Meta(
            description="A bearer token of the account that sends.",
            min_length=1,
            examples=["slu_what-sluice-token-create-printed"],
        ),
    ]


class Fault(msgspec.Struct, frozen=True):
    """Why one message of a batch was refused."""

    code: str
    detail: str
    field: str | None = None


class Result(msgspec.Struct, frozen=True):
    """What became of one message of a batch: accepted with an id, or refused with an error."""

    id: UUID | None = None
    status: str = ""
    segments: int = 0
    price: str = "0"
    currency: str = ""
    error: Fault | None = None


class _Batch(msgspec.Struct, frozen=True):
    results: list[Result]


class Event(msgspec.Struct, frozen=True):
    """A message's status became `status`; or something that is about no message."""

    message_id: UUID | None = None
    status: str = ""


class Page(msgspec.Struct, frozen=True):
    """Events, oldest first, and where to go on."""

    events: list[Event]
    cursor: str


class _Problem(msgspec.Struct, frozen=True):
    code: str = ""
    detail: str = ""


Answer = TypeVar("Answer", bound=msgspec.Struct)


class _TryAgain(Exception):
    """The same request may succeed later; `retry_after_seconds` is what the server asked for."""

    def __init__(self, why: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after_seconds = retry_after_seconds


_back_off = wait_random_exponential(multiplier=0.2, max=5)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, _TryAgain) else 0.0
    return max(asked, _back_off(state))


class Api:
    """One producer's way in. Every method raises Refusal once trying again is of no use."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def send(self, bodies: Sequence[bytes], key: str) -> list[Result]:
        """Post a batch, as often as needed under its idempotency key; one result a message."""
        body = b'{"messages":[' + b",".join(bodies) + b"]}"
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        answer = await self._ask("POST", "/v1/messages/batch", _Batch, headers, body)
        if len(answer.results) != len(bodies):
            raise exits.NotDone(exits.FAILED, "the API answered another number of messages")
        return answer.results

    async def events(self, cursor: str) -> Page:
        """The events after a cursor; "0" is the beginning."""
        return await self._ask("GET", f"/v1/events?after={cursor}&limit={EVENT_COUNT}", Page)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_TryAgain),
            wait=_wait,
            stop=stop_after_delay(GIVE_UP_SECONDS),
            retry_error_callback=_give_up,
        ):
            with attempt:
                return await self._try(method, path, kind, headers, body)
        raise exits.NotDone(exits.UNREACHABLE, f"the API at {self._url} did not answer")

    async def _try(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        headers: dict[str, str] | None,
        body: bytes | None,
    ) -> Answer:
        try:
            async with self._session.request(
                method, self._url + path, headers=headers, data=body
            ) as response:
                raw = await response.read()
        except aiohttp.InvalidURL:
            raise exits.NotDone(exits.BAD_INPUT, "SLUICE_API_URL is not a URL") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _TryAgain(
                f"cannot reach the API at {self._url}: {type(error).__name__}"
            ) from error
        if response.status in _PASSING:
            raise _TryAgain(_said(response.status, raw), _retry_after(response))
        if response.status >= 300:
            code = exits.BAD_INPUT if response.status in (400, 401, 403, 422) else exits.FAILED
            raise exits.NotDone(code, _said(response.status, raw))
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.MsgspecError:
            raise exits.NotDone(
                exits.FAILED, f"the API's answer to {method} {path} is not understood"
            ) from None


def _give_up(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    raise exits.NotDone(exits.UNREACHABLE, f"{error} (tried for {GIVE_UP_SECONDS:.0f} s)")


def _said(status: int, raw: bytes) -> str:
    try:
        problem = msgspec.json.decode(raw, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem()
    return f"the API answered {status} {problem.code}: {problem.detail}".rstrip(": ")


def _retry_after(response: aiohttp.ClientResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), _RETRY_AFTER_MAX_SECONDS) if text.isdecimal() else 0.0


@asynccontextmanager
async def connected(url: str, token: str) -> AsyncIterator[Api]:
    """A producer's way in while the body runs."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
    ) as session:
        yield Api(session, url)
