"""A message that is an operator's test of a carrier: stored and paid for as any other."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from shared.access.seals import Seals
from shared.db import concatenations, facts, ledger, messages, opt_outs, sealed_texts
from shared.db.connection import Connection
from shared.rules.compose import Draft, settle
from shared.rules.refusals import Code, Refusal, Subject
from shared.rules.verdicts import Facts

# Nobody else has the right to publish it at once, as ingest has to what it stores.
_LET_GO = "UPDATE work SET ready_at = now() WHERE message_id = $1 AND state = 'ready'"


async def accept(connection: Connection, draft: Draft, seals: Seals | None) -> Draft | Refusal:
    """Within a transaction of the caller: store the draft and debit it, or say why not. `seals` is
    for a text that is not to be kept. Caps on spending count it, and do not hold it back. Raises
    CheckViolationError when it cannot be paid for."""
    known: Mapping[UUID, Facts] = await facts.of_drafts(connection, [draft])
    phone = opt_outs.PhoneOfAccount(draft.account_id, draft.recipient)
    if await opt_outs.in_force(connection, [phone]):
        detail = "The phone has opted out of this account's messages."
        return Refusal(Code.OPTED_OUT, detail, Subject.RECIPIENT)
    settled = draft if draft.case is None else settle(draft, known[draft.message_id])
    if isinstance(settled, Refusal):
        return settled
    await ledger.lock_purses(connection, [draft.account_id])
    await messages.insert(connection, [settled])
    if not settled.store_body and seals is not None:
        await sealed_texts.keep_of_messages(connection, seals, {settled.message_id: settled.body})
    if settled.segment_count > 1:
        await concatenations.number(connection, [settled.message_id])
    await connection.execute(_LET_GO, settled.message_id)
    return settled
