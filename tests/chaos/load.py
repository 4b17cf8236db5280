"""A paced client that writes down what it wants before it asks, and asks until it is answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from types import TracebackType

import aiohttp
import msgspec

from tests.chaos.books import Wish

TRY_SECONDS = 20.0
ANSWER_SECONDS = 60.0
"""How long one request is repeated; what is not answered then stays unanswered in the book."""
OUTSTANDING_MAX = 400
BATCH_COUNT = 10
BATCH_SHARE = 0.1
UNKEPT_SHARE = 0.3
"""Of the messages whose texts are not to be kept."""
AGAIN = frozenset({409, 500, 502, 503, 504})

_TEXTS = (
    "Your parcel {n} is at the counter.",
    "Parcel {n}: please bring an identity card. " + "The counter is open from nine to five. " * 4,
    "Colis {n} prêt à être retiré ✅ à bientôt",
)
_WEIGHTS = (16, 2, 2)


class _Result(msgspec.Struct):
    id: str | None = None
    error: dict[str, str] | None = None


class _Results(msgspec.Struct):
    results: list[_Result]


class _Problem(msgspec.Struct):
    code: str


class Client:
    """One producer. `lines` are its senders with their share of the load; `first` numbers its
    recipients, and no two clients of a fleet may use the same. Of its messages, `unkept_share` say
    that their texts are not to be kept. Its `book` is what it knows."""

    def __init__(
        self,
        url: str,
        token: str,
        random: Random,
        lines: Mapping[str, int],
        first: int,
        unkept_share: float = UNKEPT_SHARE,
    ) -> None:
        self.book: list[Wish] = []
        self.strange: Counter[int] = Counter()
        """Answers that no producer should ever see, by status."""
        self.url = url
        """Where it asks; it may move while it runs."""
        self._random = random
        self._lines = lines
        self._first = first
        self._unkept_share = unkept_share
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=TRY_SECONDS),
            connector=aiohttp.TCPConnector(limit=OUTSTANDING_MAX),
        )
        self._asking: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._session.close()

    async def run(self, per_second: float, stop: asyncio.Event) -> None:
        """Ask for so many messages a second until `stop`, then wait for the last answers."""
        due = time.monotonic()
        while not stop.is_set():
            many = self._random.random() < BATCH_SHARE
            self.ask([self.wish() for _ in range(BATCH_COUNT if many else 1)])
            due += (BATCH_COUNT if many else 1) / per_second
            while len(self._asking) >= OUTSTANDING_MAX and not stop.is_set():
                # A producer who gets no answers slows down, and does not catch up later.
                await asyncio.wait(self._asking, return_when="FIRST_COMPLETED", timeout=0.1)
                due = max(due, time.monotonic())
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await self.answered()

    def wish(self, line: str = "", text: str = "", *, at_least_once: bool = False) -> Wish:
        """A new wish, in the book from now on."""
        number = self._first + len(self.book)
        if not line:
            line = self._random.choices(list(self._lines), list(self._lines.values()))[0]
        if not text:
            text = self._random.choices(_TEXTS, _WEIGHTS)[0].format(n=number)
        # The last digits are none of the simulator's magic ones.
        store_body = self._random.random() >= self._unkept_share
        wanted = Wish(f"key-{number}", f"+336{number:06d}55", text, line, at_least_once, store_body)
        self.book.append(wanted)
        return wanted

    def ask(self, wishes: Sequence[Wish]) -> None:
        """Send wishes as one request, and again under its key until it is answered."""
        task = asyncio.create_task(self._ask(wishes))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def answered(self) -> None:
        """Wait for the last answers, at most ANSWER_SECONDS."""
        if self._asking:
            await asyncio.wait(set(self._asking), timeout=ANSWER_SECONDS)

    async def _ask(self, wishes: Sequence[Wish]) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        for wish in wishes:
            wish.asked_ms = time.time() * 1000
        while time.monotonic() < deadline:
            try:
                if await self._try(wishes):
                    return
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(self._random.uniform(0.1, 0.5))

    async def _try(self, wishes: Sequence[Wish]) -> bool:
        """Whether the request has its answer."""
        bodies = [_body(wish) for wish in wishes]
        single = len(bodies) == 1
        async with self._session.post(
            f"{self.url}/v1/messages" + ("" if single else "/batch"),
            data=msgspec.json.encode(bodies[0] if single else {"messages": bodies}),
            headers={"Content-Type": "application/json", "Idempotency-Key": wishes[0].key},
        ) as answer:
            status, body = answer.status, await answer.read()
        if status in AGAIN:
            if status not in (409, 503):
                self.strange[status] += 1
            return False
        if status == 202:
            results = (
                [msgspec.json.decode(body, type=_Result)]
                if single
                else msgspec.json.decode(body, type=_Results).results
            )
        else:
            error = {"code": msgspec.json.decode(body, type=_Problem).code}
            results = [_Result(error=error)] * len(wishes)
        for wish, result in zip(wishes, results, strict=True):
            wish.message_id = result.id
            wish.refusal = result.error["code"] if result.error else None
            wish.answered_ms = time.time() * 1000
        return True


def _body(wish: Wish) -> dict[str, object]:
    body: dict[str, object] = {"to": wish.recipient, "text": wish.text, "from": wish.line}
    if not wish.store_body:
        body["store_body"] = False
    if wish.at_least_once:
        body["delivery"] = "at_least_once"
    if wish.valid_seconds is not None:
        body["valid_for"] = wish.valid_seconds
    return body
