"""What a phone asks for with a word is done in the transaction that stores its message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from shared.db import auto_replies, opt_outs
from shared.db.auto_replies import AutoReply
from shared.db.connection import Connection
from shared.db.opt_outs import NewOptOut, OptOutSource, PhoneOfAccount
from shared.runtime import ids
from shared.sms import keywords
from shared.sms.keywords import HeardWord, PhoneWord


class _Asked(NamedTuple):
    phone: PhoneOfAccount
    line: str
    heard: HeardWord


# A phone whose number is none cannot be written to.
_ASKED = r"""
SELECT i.inbound_id, i.account_id, i.sender, i.recipient, l.country
FROM inbound i JOIN lines l USING (line_id)
WHERE i.inbound_id = ANY ($1::uuid[]) AND i.sender ~ '^\+\d+$' ORDER BY i.inbound_id"""


async def prepare(connection: Connection, said: Iterable[tuple[str, str, str]]) -> None:
    """Lock what `obey` needs for (phone, line's sender, text) that may be words, before the caller
    locks anything that a claim may lock."""
    await opt_outs.take_turn(connection)
    stops = [way for *way, text in said if keywords.may_mean(text, PhoneWord.STOP)]
    if stops and not await opt_outs.all_out(connection, stops):
        await opt_outs.hold_claims(connection)


async def obey(connection: Connection, texts: Mapping[UUID, str]) -> None:
    """Do what was asked with these texts, by the ids of messages that the caller has just stored in
    its turn of `opt_outs`. Of several wishes of one phone in a batch the last one counts; it is
    answered if it has changed something. Messages of nobody change nothing."""
    rows = await connection.fetch(_ASKED, list(texts))
    changes: dict[PhoneOfAccount, _Asked] = {}
    cries: dict[PhoneOfAccount, _Asked] = {}
    for inbound_id, account_id, phone, line, country in rows:
        if heard := keywords.word_of(texts[inbound_id], country):
            asked = _Asked(PhoneOfAccount(account_id, phone), line, heard)
            kind = cries if heard.word is PhoneWord.HELP else changes
            kind[asked.phone] = asked
    ended = await _start(connection, changes)
    created = await _stop(connection, changes)
    await opt_outs.tell(connection, created, ended)
    answers = [changes[each.phone] for each in (*ended, *created)]
    await auto_replies.owe(connection, list(map(_reply, answers)))
    await auto_replies.owe(connection, list(map(_reply, cries.values())))


async def _start(
    connection: Connection, changes: Mapping[PhoneOfAccount, _Asked]
) -> list[opt_outs.OptOutChange]:
    wanted = [each.phone for each in changes.values() if each.heard.word is PhoneWord.START]
    return await opt_outs.end(connection, wanted, OptOutSource.PHONE, PhoneWord.START)


async def _stop(
    connection: Connection, changes: Mapping[PhoneOfAccount, _Asked]
) -> list[opt_outs.OptOutChange]:
    return await opt_outs.create(
        connection,
        [
            NewOptOut(ids.uuid7(), *each.phone, OptOutSource.PHONE, PhoneWord.STOP, each.line)
            for each in changes.values()
            if each.heard.word is PhoneWord.STOP
        ],
    )


def _reply(asked: _Asked) -> AutoReply:
    return AutoReply(
        ids.uuid7(), asked.phone.account_id, asked.line, asked.phone.recipient, *asked.heard
    )
