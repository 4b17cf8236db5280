"""Webhooks as their owners set them: every statement is bound to the account, one row locked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.db import cleaning, events
from shared.db.connection import Connection

COUNT_MAX = 10
"""Of one account in the standard form."""
AIRCALL_COUNT_MAX = 100
"""The same in Aircall's form."""
OLD_SECRET_HOURS = 24
"""How long a secret is good beside the one that took its place."""
TRIES_DAYS = 7
BY_OWNER = "by_owner"
"""The reason of a webhook that its owner has disabled."""


class WebhookForm(StrEnum):
    """In which form a webhook is told; each is seen and changed by the API of its form alone."""

    STANDARD = "standard"
    """Signed, in the form of Standard Webhooks."""
    AIRCALL = "aircall"
    """Its secret is a token that stands in each body; without events it is told of all."""


_COUNTS = {WebhookForm.STANDARD: COUNT_MAX, WebhookForm.AIRCALL: AIRCALL_COUNT_MAX}


@dataclass(frozen=True, slots=True)
class StoredWebhook:
    """A webhook as its owner may read it. `read_until` is the number of the last event that it
    need not be told of any more; `retry_count` of those before wait to be told again."""

    webhook_id: UUID
    url: str
    events: list[str]
    state: str
    reason: str
    created_at: datetime
    updated_at: datetime
    old_secret_until: datetime | None
    failing_since: datetime | None
    read_until: int
    retry_count: int
    name: str
    sealed_secret: bytes = field(repr=False)


_COLUMNS = """w.webhook_id, w.url, w.events, w.state, w.reason, w.created_at, w.updated_at,
    CASE WHEN w.old_secret_until > now() THEN w.old_secret_until END, w.failing_since, w.read_until,
    (SELECT count(*) FROM webhook_retries r WHERE r.webhook_id = w.webhook_id), w.name,
    w.sealed_secret"""

# Whoever counts an account's webhooks to add one waits for whoever does so too.
_LOCK_ACCOUNT = "SELECT FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE"
_COUNT = "SELECT count(*) FROM webhooks WHERE account_id = $1 AND form = $2"
_INSERT = f"""
INSERT INTO webhooks AS w (webhook_id, account_id, url, events, sealed_secret, form, name,
    read_until)
SELECT $2, $1, $3, $4, $5, $6, $7, last_sequence FROM event_heads WHERE account_id = $1
RETURNING {_COLUMNS}"""  # noqa: S608 - the constant above


class NewWebhook(NamedTuple):
    """A webhook to be made; `name` is its owner's, where the form has one."""

    webhook_id: UUID
    url: str
    events: Sequence[str]
    sealed_secret: bytes
    form: WebhookForm = WebhookForm.STANDARD
    name: str = ""

    def __repr__(self) -> str:
        return f"NewWebhook({self.webhook_id})"


async def insert(connection: Connection, account_id: int, new: NewWebhook) -> StoredWebhook | None:
    """A new webhook, to be told of what comes from now on; None if the account has as many of its
    form as it may. In a transaction."""
    await connection.execute(_LOCK_ACCOUNT, account_id)
    if await connection.fetchval(_COUNT, account_id, new.form) >= _COUNTS[new.form]:
        return None
    await events.number(connection)
    return _read(await connection.fetchrow(_INSERT, account_id, *new))


_LIST = f"""
SELECT {_COLUMNS} FROM webhooks w WHERE account_id = $1 AND form = $2
ORDER BY webhook_id"""  # noqa: S608 - the constant above
_GET = f"""
SELECT {_COLUMNS} FROM webhooks w
WHERE account_id = $1 AND webhook_id = $2 AND form = $3"""  # noqa: S608 - the constant above


async def listed(
    connection: Connection, account_id: int, form: WebhookForm = WebhookForm.STANDARD
) -> list[StoredWebhook]:
    """All of the account, the oldest first."""
    return [StoredWebhook(*row) for row in await connection.fetch(_LIST, account_id, form)]


async def get(
    connection: Connection,
    account_id: int,
    webhook_id: UUID,
    form: WebhookForm = WebhookForm.STANDARD,
) -> StoredWebhook | None:
    """One of the account; another account's is None, like one that never was."""
    return _read(await connection.fetchrow(_GET, account_id, webhook_id, form))


# Without a lease, what a process has under way for it comes to nothing, and is told again by the
# one that takes it next.
_CHANGE = f"""
UPDATE webhooks w SET url = coalesce($3, url), events = coalesce($4, events),
    name = coalesce($6, name),
    state = coalesce($5, state),
    reason = CASE $5 WHEN 'active' THEN '' WHEN 'disabled' THEN '{BY_OWNER}' ELSE reason END,
    failure_count = 0, failing_since = NULL, due_at = now(), updated_at = now(),
    retry_at = CASE WHEN retry_at IS NOT NULL THEN now() END,
    lease_id = NULL, leased_until = 'epoch'
WHERE account_id = $1 AND webhook_id = $2 AND form = $7
RETURNING {_COLUMNS}"""  # noqa: S608 - words of our own
_RETRY_NOW = "UPDATE webhook_retries SET due_at = now() WHERE webhook_id = $1"


class WebhookPatch(NamedTuple):
    """What is to be different about a webhook; None stays as it is."""

    url: str | None = None
    events: Sequence[str] | None = None
    state: str | None = None
    name: str | None = None


async def change(
    connection: Connection,
    account_id: int,
    webhook_id: UUID,
    wanted: WebhookPatch,
    form: WebhookForm = WebhookForm.STANDARD,
) -> StoredWebhook | None:
    """Set what is not None, and forget that it failed: what waits is told at once. In a
    transaction."""
    row = await connection.fetchrow(_CHANGE, account_id, webhook_id, *wanted, form)
    if row is not None:
        await connection.execute(_RETRY_NOW, webhook_id)
    return _read(row)


_ROTATE = f"""
UPDATE webhooks w SET sealed_old_secret = sealed_secret, sealed_secret = $3,
    old_secret_until = now() + interval '{OLD_SECRET_HOURS} hours', updated_at = now()
WHERE account_id = $1 AND webhook_id = $2 AND form = 'standard' RETURNING {_COLUMNS}"""  # noqa: S608 - words of our own


async def rotate(
    connection: Connection, account_id: int, webhook_id: UUID, sealed_secret: bytes
) -> StoredWebhook | None:
    """Sign with a new secret, and for a while with the one before as well."""
    return _read(await connection.fetchrow(_ROTATE, account_id, webhook_id, sealed_secret))


_DELETE = "DELETE FROM webhooks WHERE account_id = $1 AND webhook_id = $2 AND form = $3"


async def delete(
    connection: Connection,
    account_id: int,
    webhook_id: UUID,
    form: WebhookForm = WebhookForm.STANDARD,
) -> bool:
    """Take it away with its retries and tries; whether it was there."""
    done = await connection.execute(_DELETE, account_id, webhook_id, form)
    return bool(done == "DELETE 1")


_REPLAY = f"""
UPDATE webhooks w SET read_until = $3, due_at = now(), lease_id = NULL, leased_until = 'epoch'
WHERE account_id = $1 AND webhook_id = $2
  AND (SELECT last_sequence FROM event_heads WHERE account_id = $1) >= $3
RETURNING {_COLUMNS}"""  # noqa: S608 - the constant above
_FORGET_AFTER = "DELETE FROM webhook_retries WHERE webhook_id = $1 AND sequence > $2"


async def replay(
    connection: Connection, account_id: int, webhook_id: UUID, after: int
) -> StoredWebhook | None:
    """Tell it once more of all that follows `after`; None for a number that there is not yet, or if
    the account has no such webhook. In a transaction."""
    row = await connection.fetchrow(_REPLAY, account_id, webhook_id, after)
    if row is not None:
        await connection.execute(_FORGET_AFTER, webhook_id, after)
    return _read(row)


def _read(row: asyncpg.Record | None) -> StoredWebhook | None:
    return None if row is None else StoredWebhook(*row)


class StoredTry(NamedTuple):
    """One request to a webhook: about which event, when, and what came of it. `status` is 0 where
    no answer came."""

    page_id: int
    sequence: int
    status: int
    outcome: str
    tried_at: datetime


_TRIES = """
SELECT t.page_id, each.sequence, each.status, each.outcome, each.tried_at
FROM (
    SELECT t.* FROM webhook_tries t JOIN webhooks w USING (webhook_id)
    WHERE w.account_id = $1 AND t.webhook_id = $2 AND t.page_id < $3
    ORDER BY t.page_id DESC LIMIT $4
) t
CROSS JOIN LATERAL unnest(t.sequences, t.statuses, t.outcomes, t.tried_at)
    AS each (sequence, status, outcome, tried_at)
ORDER BY t.page_id DESC, each.tried_at DESC"""


async def tries(
    connection: Connection, account_id: int, webhook_id: UUID, before: int, page_count: int
) -> list[StoredTry]:
    """What was tried in the last rounds before a page, newest first; each round has at most as many
    tries as a pusher makes in one."""
    rows = await connection.fetch(_TRIES, account_id, webhook_id, before, page_count)
    return [StoredTry(*row) for row in rows]


_FORGET_TRIES = f"""
DELETE FROM webhook_tries WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM webhook_tries WHERE recorded_at < now() - interval '{TRIES_DAYS} days'
    ORDER BY recorded_at LIMIT $1 FOR UPDATE SKIP LOCKED))"""  # noqa: S608 - a number of our own


async def forget_tries(database: asyncpg.Pool) -> None:
    """Delete what was tried more than TRIES_DAYS ago."""
    await cleaning.by_pages(database, _FORGET_TRIES)
