"""What is on record about messages whose verdicts hang on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from shared.db import consents
from shared.db.connection import Connection
from shared.rules.compose import Draft
from shared.rules.purposes import Purpose
from shared.rules.verdicts import Case, Facts

_OF = """
SELECT t.key,
    EXISTS (SELECT FROM inbound i WHERE i.line_id = t.line_id AND i.sender = t.recipient
            AND i.received_at >= t.since) AS answers,
    (SELECT c.purpose FROM consents c WHERE c.account_id = t.account_id
     AND c.recipient = t.recipient AND c.ended_at IS NULL LIMIT 1) AS consent
FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::timestamptz[])
    AS t (key, account_id, line_id, recipient, since)"""


async def of_drafts(connection: Connection, drafts: Iterable[Draft]) -> Mapping[UUID, Facts]:
    """Of those that ask for facts, by their messages' ids; as `of_cases`. Costs nothing where none
    does."""
    asking = {draft.message_id: draft.case for draft in drafts if draft.case is not None}
    return await of_cases(connection, asking) if asking else {}


async def of_cases(connection: Connection, cases: Mapping[UUID, Case]) -> Mapping[UUID, Facts]:
    """The facts of each, under its key: they stand until the transaction ends, in which no row is
    locked yet."""
    await consents.hold(connection)
    rows = await connection.fetch(
        _OF,
        list(cases),
        [case.account.account_id for case in cases.values()],
        [case.line.line_id for case in cases.values()],
        [case.recipient for case in cases.values()],
        [case.since for case in cases.values()],
    )
    return {
        key: Facts(answers, None if consent is None else Purpose(consent))
        for key, answers, consent in rows
    }
