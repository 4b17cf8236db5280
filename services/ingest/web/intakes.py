"""A request on its way into accept: what tells it from others under its key, and what a face says
when it is not decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from services.ingest import accept
from services.ingest.accept import Answer, Intake
from services.ingest.till import Fate
from services.ingest.web.entrance import Visit
from shared.access.keys import Keys
from shared.rules.compose import Draft
from shared.rules.refusals import Refusal
from shared.web import problems
from shared.web.problems import Problem, Refused

_problem_decoder = msgspec.json.Decoder(Problem)


def fingerprints(platform: Keys, path: str, items: Sequence[bytes]) -> tuple[bytes, ...]:
    """What tells two requests under one idempotency key apart, under each of the platform's keys.

    A keyed hash, for a plain one of a number and a short text can be guessed. `items` are the
    canonical messages of the request, in order.
    """
    document = b"%s\n[%s]" % (path.encode(), b",".join(items))
    return platform.signatures(document)


async def gather(visit: Visit) -> None:
    """Wait for those whose messages are composed and stored together with the request's, which is
    of one message and has been read. Raises Refused."""
    try:
        await visit.context.acceptor.gather()
    except accept.Unavailable as error:
        raise problems.unavailable(error.retry_after_seconds) from None


async def store(visit: Visit, intake: Intake) -> Answer:
    """Store what is to be stored; the answer that was stored with it. Raises Refused."""
    try:
        return await visit.context.acceptor.accept(intake)
    except accept.KeyStillRunning:
        detail = "A request with this idempotency key is still running."
        problem = problems.of(409, "key_still_running", detail, "Idempotency-Key")
        raise Refused(problem, {"Retry-After": "1"}) from None
    except accept.KeyUsedOtherwise:
        detail = "This idempotency key was used for another request."
        raise Refused(problems.of(422, "key_reused", detail, "Idempotency-Key")) from None
    except accept.Unavailable as error:
        raise problems.unavailable(error.retry_after_seconds) from None


class RequestKey(NamedTuple):
    """What a producer calls a request, and for how many seconds; None: as long as any key."""

    text: str
    good_seconds: int | None = None


async def store_one(
    visit: Visit,
    draft: Draft | Problem,
    key: RequestKey | None,
    canonical: bytes,
    taken: Callable[[Draft], bytes],
    problem_of: Callable[[Refusal], Problem],
) -> bytes:
    """Store a request of one message, read from the `canonical` bytes: what `taken` made of the
    draft when it was stored, also by an earlier request under the key. Raises Refused."""
    if isinstance(draft, Problem) and key is None:
        raise Refused(draft)
    marks: tuple[bytes, ...] = ()
    if key is not None:
        marks = fingerprints(visit.context.keys, visit.request.path, [canonical])
    # What is refused now may have been accepted under its key before; only accept can tell.
    drafts = () if isinstance(draft, Problem) else (draft,)

    def answer(fates: Sequence[Fate], _balance_micro: int, _currency: str) -> Answer:
        fate: Fate | Problem = fates[0] if fates else draft
        if isinstance(fate, Refusal):
            fate = problem_of(fate)
        if isinstance(fate, Problem):
            return Answer(fate.status, problems.encode(fate))
        return Answer(200, taken(fate))

    text, good_seconds = key or (None, None)
    intake = Intake(visit.account_id, drafts, text, marks, answer, good_seconds)
    answered = await store(visit, intake)
    if answered.status >= 400:
        raise Refused(_problem_decoder.decode(answered.body))
    return answered.body
