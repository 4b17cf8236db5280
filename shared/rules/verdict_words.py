"""What a producer is told of a verdict that is against a message."""

from __future__ import annotations

from typing import Final, NamedTuple

from shared.rules.refusals import Code, Refusal, Subject
from shared.rules.verdicts import Rule, Verdict


class _Words(NamedTuple):
    code: Code
    detail: str
    subject: Subject | None = None


_WORDS: Final = {
    Rule.MODE: _Words(
        Code.WRONG_MODE, "The line is in another mode than such a send needs.", Subject.SENDER
    ),
    Rule.PLAN: _Words(Code.PLAN, "The account's plan does not have this API."),
    Rule.SENDER: _Words(
        Code.SENDER_NOT_ALLOWED,
        "The recipient's country does not take messages from names.",
        Subject.SENDER,
    ),
    Rule.DOMESTIC: _Words(
        Code.ABROAD,
        "A number sends within its own country only, one of the US or Canada within both.",
        Subject.RECIPIENT,
    ),
    Rule.CONVERSATION: _Words(
        Code.CONVERSATION_ONLY,
        "The line may only answer those who have written to it lately, person to person.",
        Subject.PURPOSE,
    ),
    Rule.REGISTRATION: _Words(
        Code.NOT_REGISTERED,
        "The line is not registered for messages that are automated or marketing.",
        Subject.SENDER,
    ),
    Rule.CONSENT: _Words(
        Code.NO_CONSENT,
        "It is not on record that the recipient has agreed to such messages.",
        Subject.RECIPIENT,
    ),
    Rule.QUIET_HOURS: _Words(
        Code.QUIET_HOURS,
        "Marketing may not be sent to the recipient's country at this hour.",
        Subject.PURPOSE,
    ),
}


def refusal(verdict: Verdict) -> Refusal:
    """The refusal. Raises ValueError for a verdict that allows the message."""
    if verdict.rule is None:
        raise ValueError("no rule is against it")
    code, detail, subject = _WORDS[verdict.rule]
    if verdict.possible_at is not None:
        moment = verdict.possible_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        detail = f"{detail} It may from {moment} on."
    return Refusal(code, detail, subject, verdict.rule, verdict.version, verdict.possible_at)
