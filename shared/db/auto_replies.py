"""What phones are answered to their words: owed with what the word has changed, and accepted like
any other message a moment later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.db import cleaning
from shared.db.connection import Connection
from shared.sms.keywords import PhoneWord

HOURLY_COUNT_MAX = 5
"""Answers an hour to one phone from one account: a machine that answers back is not talked to for
ever, at the account's cost."""
HELP_HOURLY_COUNT_MAX = 1


class AutoReply(NamedTuple):
    """A message that a phone is owed; `message_id` is the one it will have. `sender` is the line
    that the phone wrote to."""

    message_id: UUID
    account_id: int
    sender: str
    recipient: str
    word: str
    language: str

    def __repr__(self) -> str:
        return f"AutoReply({self.message_id})"


_OWE = f"""
INSERT INTO auto_replies (message_id, account_id, sender, recipient, word, language)
SELECT t.* FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS t (message_id, account_id, sender, recipient, word, language)
WHERE CASE t.word WHEN '{PhoneWord.HELP}' THEN {HELP_HOURLY_COUNT_MAX}
      ELSE {HOURLY_COUNT_MAX} END > (
    SELECT count(*) FROM auto_replies r
    WHERE r.account_id = t.account_id AND r.recipient = t.recipient
      AND r.created_at > now() - interval '1 hour'
      AND (t.word <> '{PhoneWord.HELP}' OR r.word = t.word))"""  # noqa: S608 - words of our own


async def owe(connection: Connection, replies: Sequence[AutoReply]) -> None:
    """Have these sent, one a phone and account, as far as the phone has not been answered too often
    within the hour. In a turn of `opt_outs`, so that no two count at once."""
    if replies:
        await connection.execute(_OWE, *map(list, zip(*replies, strict=True)))


_DUE = """
SELECT message_id, account_id, sender, recipient, word, language FROM auto_replies
WHERE answered_at IS NULL AND created_at <= now() ORDER BY created_at LIMIT $1
FOR UPDATE SKIP LOCKED"""
_ANSWERED = "UPDATE auto_replies SET answered_at = now() WHERE message_id = ANY ($1::uuid[])"


async def take_due(connection: Connection, limit: int) -> list[AutoReply]:
    """The oldest that are owed, locked until the transaction ends, in which the caller accepts
    those that can be paid for."""
    return [AutoReply(*row) for row in await connection.fetch(_DUE, limit)]


async def answered(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """These are accepted, or never will be."""
    await connection.execute(_ANSWERED, message_ids)


# While a message may still be submitted, its row here is what lets it go to who has opted out.
_FORGET = """
DELETE FROM auto_replies WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM auto_replies
    WHERE created_at < now() - interval '7 days' ORDER BY created_at LIMIT $1
    FOR UPDATE SKIP LOCKED))"""


async def sweep(database: asyncpg.Pool) -> None:
    """Forget what was owed a week ago: no message waits so long."""
    await cleaning.by_pages(database, _FORGET)
