"""What phones are owed for their words: accepted like any other message, from the line they wrote
to."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg

from services.ingest import accept
from services.ingest.relay import Relay
from shared.access.seals import Seals
from shared.db import auto_replies, watch
from shared.db.auto_replies import AutoReply
from shared.db.pool import ACQUIRE_SECONDS
from shared.rules.compose import Draft, Wish, compose
from shared.rules.doors import DoorName
from shared.rules.snapshot import Configuration
from shared.sms import auto_texts

SWEEP_SECONDS = 0.25
PAGE_COUNT = 100
VALID_SECONDS = 3_600
"""Later than this an answer only puzzles."""


async def answer(
    database: asyncpg.Pool, configured: watch.Watch, relay: Relay, seals: Seals
) -> None:
    """Accept all that is owed: what cannot be sent or paid for is owed no more. A message has the
    id of what it was owed for, so nobody's death loses or doubles it."""
    while True:
        async with database.acquire(timeout=ACQUIRE_SECONDS) as opened, opened.transaction():
            due = await auto_replies.take_due(opened, PAGE_COUNT)
            if not due:
                return
            drafts = [
                draft for reply in due if (draft := _draft(configured.current, reply)) is not None
            ]
            accepted = await accept.accept_answers(opened, seals, drafts)
            await auto_replies.answered(opened, [reply.message_id for reply in due])
        relay.publish_soon(accepted)


def _draft(current: Configuration, reply: AutoReply) -> Draft | None:
    account = current.accounts.get(reply.account_id)
    text = auto_texts.text_of(reply.word, reply.language)
    if account is None or text is None:
        return None
    wish = Wish(
        reply.recipient, text, reply.sender, valid_seconds=VALID_SECONDS, door=DoorName.ANSWER
    )
    draft = compose(current, account, wish, reply.message_id, datetime.now(UTC))
    return draft if isinstance(draft, Draft) else None
