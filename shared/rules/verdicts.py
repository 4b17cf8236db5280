"""Who may send what, from which line, to where: one verdict, with the rule and the reasons.

A13 is the domestic rule, A3 and A4 those of the US and Canada, A5 and A6 that of French mobiles,
M10 consent, A9 and A22 who may use a line at all. Whatever changes a verdict changes RULES_VERSION.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from shared.rules import purposes, quiet_hours, sender_countries
from shared.rules.doors import DoorName
from shared.rules.line_kinds import LineKind, LineMode
from shared.rules.lines import Line
from shared.rules.purposes import ConsentPolicy, Purpose
from shared.rules.snapshot import Account

RULES_VERSION: Final = 1
API_PLAN: Final = "professional"
_NORTH_AMERICA: Final = frozenset({"US", "CA"})
_BROADCAST: Final = frozenset({Purpose.AUTOMATED, Purpose.MARKETING})


class Rule(StrEnum):
    """What may refuse a message, in the order in which it does; a closed set."""

    MODE = "mode"
    PLAN = "plan"
    SENDER = "sender"
    DOMESTIC = "domestic"
    CONVERSATION = "conversation"
    REGISTRATION = "registration"
    CONSENT = "consent"
    QUIET_HOURS = "quiet_hours"


class Reason(StrEnum):
    """Why a message is allowed; each stands for a rule that it had to pass. Stored by their places,
    so new ones come last."""

    NAME_ALLOWED = "name_allowed"
    DOMESTIC = "domestic"
    US_AND_CANADA = "us_and_canada"
    INTERNATIONAL = "international"
    """The account may send abroad."""
    ANSWER = "answer"
    """The phone has written to the line within the period."""
    REGISTERED = "registered"
    NOT_ENFORCED = "not_enforced"
    """The account is older than the rules of countries."""
    CONSENT = "consent"
    """The phone's owner has agreed; it is on record."""
    OUTSIDE_QUIET_HOURS = "outside_quiet_hours"


class Case(NamedTuple):
    """What is judged: a message from this line to this country, `asked` to count as something or
    not, to be sent at this moment. What the phone has written `since` then may be answered; `zones`
    are its time zones (IANA names), which only marketing needs."""

    line: Line
    account: Account
    recipient: str
    country: str
    asked: Purpose | None
    door: DoorName
    moment: datetime
    since: datetime
    zones: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the number."""
        return f"Case(line_id={self.line.line_id}, country={self.country!r})"


class Facts(NamedTuple):
    """What is on record: whether the phone has written to the line within the period, and the most
    that it has agreed to."""

    answers: bool
    consent: Purpose | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Allowed for `reasons`, or refused by `rule`. `purpose` is what the message counts as, None
    where nothing hangs on it. `possible_at`: from when on the rule would let it pass, if it
    will."""

    purpose: Purpose | None
    rule: Rule | None = None
    reasons: frozenset[Reason] = frozenset()
    possible_at: datetime | None = None
    version: int = RULES_VERSION

    @property
    def allowed(self) -> bool:
        """Whether no rule is against it."""
        return self.rule is None


def judge(case: Case, facts: Facts | None = None) -> Verdict | None:
    """The verdict; None where it hangs on facts that were not given."""
    purpose = case.asked or case.line.purpose
    if case.door is DoorName.ANSWER:
        purpose = Purpose.CONVERSATION
    if rule := _against(case, purpose):
        return _refused(case, purpose, rule)
    if not _hangs_on_facts(case, purpose):
        return Verdict(purpose, reasons=frozenset(_reasons(case, purpose, None)))
    if facts is None:
        return None
    purpose = purpose or (Purpose.CONVERSATION if facts.answers else Purpose.AUTOMATED)
    if rule := _against(case, purpose) or _against_by_facts(case, purpose, facts):
        return _refused(case, purpose, rule)
    return Verdict(purpose, reasons=frozenset(_reasons(case, purpose, facts)))


def hangs_on_time(line: Line, purpose: Purpose | None) -> bool:
    """Whether the moment of a message from this line has any bearing on its verdict."""
    return purpose is Purpose.MARKETING or _is_north_american(line)


def _against(case: Case, purpose: Purpose | None) -> Rule | None:
    """The first rule that refuses a message of this purpose, whatever is on record."""
    if rule := _against_door(case):
        return rule
    place = _place(case)
    if isinstance(place, Rule):
        return place
    if purpose in _BROADCAST and case.account.registration_enforced:
        if _is_french_mobile(case.line):
            return Rule.CONVERSATION
        if _is_north_american(case.line) and not _is_registered(case):
            return Rule.REGISTRATION
    if purpose is Purpose.MARKETING and _quiet_until(case) is not None:
        return Rule.QUIET_HOURS
    return None


def _against_door(case: Case) -> Rule | None:
    if case.door is DoorName.ANSWER:
        return None
    if (case.line.mode is LineMode.API) is not (case.door is DoorName.AIRCALL):
        return Rule.MODE
    if case.door is DoorName.AIRCALL and case.account.plan != API_PLAN:
        return Rule.PLAN
    return None


def _place(case: Case) -> Reason | Rule:
    """Why this line may send to the country, or the rule that is against it."""
    line, country = case.line, case.country
    if line.kind is LineKind.ALPHANUMERIC:
        if sender_countries.takes_names(country):
            return Reason.NAME_ALLOWED
        return Rule.SENDER if case.account.registration_enforced else Reason.NOT_ENFORCED
    if line.country == country:
        return Reason.DOMESTIC
    if line.country in _NORTH_AMERICA and country in _NORTH_AMERICA:
        return Reason.US_AND_CANADA
    return Reason.INTERNATIONAL if case.account.international else Rule.DOMESTIC


def _hangs_on_facts(case: Case, purpose: Purpose | None) -> bool:
    if case.door is DoorName.ANSWER:
        return False
    if _must_answer(case) or _asks_consent(case, purpose):
        return True
    # Not known, and it would matter if it were that.
    return purpose is None and (
        _against(case, Purpose.AUTOMATED) is not None or _asks_consent(case, Purpose.AUTOMATED)
    )


def _against_by_facts(case: Case, purpose: Purpose, facts: Facts) -> Rule | None:
    if _must_answer(case) and not facts.answers:
        return Rule.CONVERSATION
    if _asks_consent(case, purpose) and not purposes.covers(facts.consent, purpose):
        return Rule.CONSENT
    return None


def _must_answer(case: Case) -> bool:
    return case.account.registration_enforced and _is_french_mobile(case.line)


def _asks_consent(case: Case, purpose: Purpose | None) -> bool:
    policy = case.account.consent
    return policy is ConsentPolicy.REQUIRED or (
        policy is ConsentPolicy.NORTH_AMERICA
        and purpose in _BROADCAST
        and _is_north_american(case.line)
    )


def _reasons(case: Case, purpose: Purpose | None, facts: Facts | None) -> Iterator[Reason]:
    """Of a message that no rule is against."""
    place = _place(case)
    if isinstance(place, Reason):
        yield place
    if case.door is DoorName.ANSWER or (facts is not None and facts.answers):
        yield Reason.ANSWER
    if purpose is not Purpose.CONVERSATION and _is_north_american(case.line):
        yield Reason.REGISTERED if _is_registered(case) else Reason.NOT_ENFORCED
    if _is_french_mobile(case.line) and not case.account.registration_enforced:
        yield Reason.NOT_ENFORCED
    if facts is not None and _asks_consent(case, purpose):
        yield Reason.CONSENT
    if purpose is Purpose.MARKETING:
        yield Reason.OUTSIDE_QUIET_HOURS


def _is_french_mobile(line: Line) -> bool:
    return line.kind is LineKind.MOBILE and line.country == "FR"


def _is_north_american(line: Line) -> bool:
    return line.kind is not LineKind.ALPHANUMERIC and line.country in _NORTH_AMERICA


def _is_registered(case: Case) -> bool:
    return case.line.registration.holds_at(case.moment)


def _quiet_until(case: Case) -> datetime | None:
    return quiet_hours.ends_at(case.country, case.zones, case.moment)


def _refused(case: Case, purpose: Purpose | None, rule: Rule) -> Verdict:
    possible_at = _quiet_until(case) if rule is Rule.QUIET_HOURS else None
    return Verdict(purpose, rule, possible_at=possible_at)
