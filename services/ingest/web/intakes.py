"""A request on its way into accept: what tells it from others under its key, and what a face says
when it is not decided."""

from __future__ import annotations

from collections.abc import Sequence

from services.ingest import accept
from services.ingest.accept import Answer, Intake
from services.ingest.web.entrance import Visit
from shared.access.keys import Keys
from shared.web import problems
from shared.web.problems import Refused


def fingerprints(platform: Keys, path: str, items: Sequence[bytes]) -> tuple[bytes, ...]:
    """What tells two requests under one idempotency key apart, under each of the platform's keys.

    A keyed hash, for a plain one of a number and a short text can be guessed. `items` are the
    canonical messages of the request, in order.
    """
    document = b"%s\n[%s]" % (path.encode(), b",".join(items))
    return platform.signatures(document)


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
