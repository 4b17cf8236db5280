"""From: the account's line of this sender, or a name that becomes one when it is first used."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.ingest import accept
from services.ingest.mailjet import faults
from services.ingest.mailjet.requests import NAME_LENGTH_MIN, NUMBER_LENGTH_MAX
from services.ingest.web.entrance import Visit
from shared.db import configuration, lines
from shared.rules import line_limits
from shared.rules.compose import Draft, Wish, compose
from shared.rules.line_kinds import LineKind
from shared.rules.lines import Limits, Line
from shared.rules.refusals import Code, Refusal, Subject
from shared.runtime import ids
from shared.sms import sender_id
from shared.sms.sender_id import ALPHANUMERIC_LENGTH_MAX, SenderKind
from shared.web import problems

NAME_COUNT_MAX: Final = 100
"""Names that an account has before only an operator gives it more: each is kept in the memory of
every process."""
_REFRESH_COUNT_MAX = 3


def known(visit: Visit, sender: str) -> str | None:
    """The sender of the account's line that is meant: written as it is, or a number without its
    plus."""
    every = visit.context.watch.current.lines
    lines = (every.of_sender(visit.account_id, each) for each in (sender, f"+{sender}"))
    return next((line.sender for line in lines if line is not None), None)


def check(sender: str) -> SenderKind:
    """What kind of sender it is, of one that no line has yet. Raises Refused."""
    if len(sender) < NAME_LENGTH_MIN:
        detail = f"A sender has {NAME_LENGTH_MIN} characters or more."
        raise faults.invalid("too_short", detail, "From")
    is_number = sender.removeprefix("+").isdigit()
    most = NUMBER_LENGTH_MAX if is_number else ALPHANUMERIC_LENGTH_MAX
    if len(sender) > most:
        detail = f"A name has {ALPHANUMERIC_LENGTH_MAX} characters or fewer, a number 15 digits."
        raise faults.invalid("too_long", detail, "From")
    if is_number:
        return SenderKind.E164
    try:
        return sender_id.parse(sender).kind
    except sender_id.InvalidSender as error:
        detail = problems.sentence(str(error))
        raise faults.invalid(Code.INVALID_SENDER, detail, "From") from None


async def begin(visit: Visit, kind: SenderKind, wish: Wish, now: datetime) -> Refusal | None:
    """Make the wish's sender a line of the account, once, whatever else is asked for at the same
    time in this process and others; but not for a message that would be refused now: why. Raises
    Refused for an account that has too many names."""
    sender = wish.sender or ""
    if kind is not SenderKind.ALPHANUMERIC or visit.account.senders_restricted:
        detail = "The account has no line with this sender."
        return Refusal(Code.UNKNOWN_SENDER, detail, Subject.SENDER)
    async with visit.context.senders.turn(visit.account_id):
        if known(visit, sender) is not None:
            return None
        fate = _prospective(visit, wish, now)
        if not isinstance(fate, Refusal):
            async with visit.transaction() as opened:
                fate = await accept.foresee(opened, fate)
        if isinstance(fate, Refusal):
            return fate
        async with visit.transaction() as opened:
            line = _new_line(visit, sender, fate.country)
            if await lines.begin_name(opened, line, NAME_COUNT_MAX):
                await configuration.bump(opened)
        await _learn(visit, sender)
    return None


def _prospective(visit: Visit, wish: Wish, now: datetime) -> Draft | Refusal:
    """The message as it would be from the line that there is not yet."""
    line = _new_line(visit, wish.sender or "", "")
    current = visit.context.watch.current
    return compose(current, visit.account, wish, ids.uuid7(), now, from_line=line)


def _new_line(visit: Visit, sender: str, country: str) -> Line:
    """Where it is first used is its country."""
    usual = line_limits.default_for(country, LineKind.ALPHANUMERIC)
    limits = Limits(usual.hour, usual.day, usual.month)
    return Line(0, visit.account_id, sender, LineKind.ALPHANUMERIC, country, False, limits)


async def _learn(visit: Visit, sender: str) -> None:
    """Wait until this process knows the line. A look that began before the line was there may end
    after it, so one look is not always enough."""
    for _ in range(_REFRESH_COUNT_MAX):
        await visit.context.watch.refresh()
        if known(visit, sender) is not None:
            return
    detail = f"The account has {NAME_COUNT_MAX} names already; an operator can add further ones."
    raise faults.invalid("too_many_senders", detail, "From")
