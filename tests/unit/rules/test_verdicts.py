"""Who may send what, from which line, to where: all combinations, judged by a table of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import NamedTuple

import pytest

from shared.rules.doors import DoorName
from shared.rules.line_kinds import LineKind, LineMode
from shared.rules.lines import Limits, Line
from shared.rules.purposes import ConsentPolicy, Purpose
from shared.rules.registrations import Registration, RegistrationState
from shared.rules.snapshot import Account
from shared.rules.verdicts import Case, Facts, Reason, Rule, Verdict, judge

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
"""A Wednesday, also in Paris; in New York it is seven, which is too early for marketing."""
AFTERNOON = NOON + timedelta(hours=5)
ZONES = {"US": ("America/New_York",), "CA": ("America/Toronto",), "FR": ("Europe/Paris",)}
ASKED = (None, *Purpose)
NOTHING = Facts(answers=False, consent=None)


def account(
    *,
    international: bool = False,
    consent: ConsentPolicy = ConsentPolicy.NORTH_AMERICA,
    enforced: bool = True,
    plan: str = "professional",
) -> Account:
    return Account(
        1,
        "demo",
        "EUR",
        200,
        60,
        1,
        2,
        plan=plan,
        international=international,
        consent=consent,
        registration_enforced=enforced,
    )


def line(
    kind: LineKind,
    country: str,
    *,
    registered: bool = False,
    purpose: Purpose | None = None,
    mode: LineMode = LineMode.APPLICATION,
) -> Line:
    state = RegistrationState.APPROVED if registered else RegistrationState.PENDING
    return Line(
        1,
        1,
        "sender",
        kind,
        country,
        False,
        Limits(None, None, None),
        registration=Registration(state),
        purpose=purpose,
        mode=mode,
    )


def case(
    from_: Line,
    to: str,
    asked: Purpose | None = None,
    of: Account | None = None,
    door: DoorName = DoorName.NATIVE,
    moment: datetime = AFTERNOON,
) -> Case:
    since = moment - timedelta(days=30)
    return Case(
        from_, of or account(), "+1", to, asked, door, moment, since, ZONES.get(to, ("UTC",))
    )


def judged(wanted: Case, facts: Facts = NOTHING) -> Verdict:
    verdict = judge(wanted, facts)
    assert verdict is not None
    return verdict


# One row a rule: which messages it is about, and the rule that refuses them. Any of a cell's words
# fits, "*" always; the first row that fits decides, and what no row fits is allowed. Written from
# the requirements, not from the code.
TABLE = """
line           | to      | abroad | enforced | counts as            | registered | answers | consent    | rule
alphanumeric   | US CA   | *      | yes      | *                    | *          | *       | *          | sender
number         | foreign | no     | *        | *                    | *          | *       | *          | domestic
french mobile  | *       | *      | yes      | automated marketing  | *          | *       | *          | conversation
french mobile  | *       | *      | yes      | *                    | *          | no      | *          | conversation
north american | *       | *      | yes      | automated marketing  | no         | *       | *          | registration
*              | *       | *      | *        | *                    | *          | *       | missing    | consent
"""  # noqa: E501 - a table


class Told(NamedTuple):
    """A combination, in the table's words."""

    line: set[str]
    to: set[str]
    abroad: str
    enforced: str
    counts_as: str
    registered: str
    answers: str
    consent: str


def rows() -> Iterator[tuple[list[str], str]]:
    for text in TABLE.strip().splitlines()[1:]:
        *cells, rule = (cell.strip() for cell in text.split("|"))
        yield cells, rule


def expected(told: Told) -> str | None:
    for cells, rule in rows():
        if all(cell == "*" or fits(cell, value) for cell, value in zip(cells, told, strict=True)):
            return rule
    return None


def fits(cell: str, value: Collection[str]) -> bool:
    if isinstance(value, str):
        return value in cell.split()
    return cell in value or not set(cell.split()).isdisjoint(value)


def test_the_table_is_read_as_it_is_meant() -> None:
    told = Told({"number"}, {"foreign", "GB"}, "no", "yes", "automated", "yes", "no", "given")
    assert expected(told) == "domestic"
    assert expected(told._replace(abroad="yes")) is None
    assert len(list(rows())) == 6


KINDS = tuple(LineKind)
COUNTRIES = ("US", "CA", "FR", "GB")
AGREED = (None, *Purpose)
COMBINATIONS = list(product(KINDS, COUNTRIES))


def words_of_line(kind: LineKind, country: str) -> set[str]:
    words = {"alphanumeric" if kind is LineKind.ALPHANUMERIC else "number"}
    if kind is LineKind.MOBILE and country == "FR":
        words.add("french mobile")
    if kind is not LineKind.ALPHANUMERIC and country in ("US", "CA"):
        words.add("north american")
    return words


def words_of_place(kind: LineKind, country: str, to: str) -> set[str]:
    neighbours = {country, to} <= {"US", "CA"}
    return {to, "home" if country == to or neighbours else "foreign"}


def counted(asked: Purpose | None, answers: bool) -> Purpose:
    if asked is not None:
        return asked
    return Purpose.CONVERSATION if answers else Purpose.AUTOMATED


def consent_word(policy: ConsentPolicy, kind: set[str], counts: Purpose, given: object) -> str:
    asked_for = policy is ConsentPolicy.REQUIRED or (
        policy is ConsentPolicy.NORTH_AMERICA
        and "north american" in kind
        and counts in ("automated", "marketing")
    )
    enough = {
        "conversation": ("conversation", "automated", "marketing"),
        "automated": ("automated", "marketing"),
        "marketing": ("marketing",),
    }[counts]
    return "missing" if asked_for and given not in enough else "given"


@pytest.mark.parametrize(("kind", "country"), COMBINATIONS)
def test_a02_a03_a04_a05_a06_a13_m10_every_combination_has_the_verdict_of_the_table(
    kind: LineKind, country: str
) -> None:
    # Given every destination, purpose, registration, consent and account
    combinations = product(
        ("US", "CA", "FR", "GB"),
        ASKED,
        (False, True),
        (False, True),
        AGREED,
        ConsentPolicy,
        (False, True),
        (False, True),
    )
    yes = ("no", "yes")
    for to, asked, registered, answers, agreed, policy, abroad, enforced in combinations:
        of = account(international=abroad, consent=policy, enforced=enforced)
        facts = Facts(answers, agreed)

        # When it is judged, with what is on record, if that matters
        verdict = judged(case(line(kind, country, registered=registered), to, asked, of), facts)

        # Then it is what the table says
        counts = counted(asked, answers)
        words = words_of_line(kind, country)
        told = Told(
            words,
            words_of_place(kind, country, to),
            yes[abroad],
            yes[enforced],
            counts.value,
            yes[registered],
            yes[answers],
            consent_word(policy, words, counts, agreed),
        )
        assert verdict.rule == expected(told), told
        assert verdict.allowed is (verdict.rule is None)
        assert verdict.version == 1
        assert not (verdict.allowed and not verdict.reasons)


def test_a02_a14_the_verdict_is_the_same_whatever_the_door() -> None:
    # Given every line, destination and purpose, and a line's mode that the door is for
    for kind, country, to, asked, known in product(
        KINDS, COUNTRIES, COUNTRIES, ASKED, (NOTHING, Facts(True, Purpose.MARKETING), None)
    ):
        verdicts = [
            judge(case(line(kind, country, mode=mode), to, asked, door=door), known)
            for door, mode in (
                (DoorName.NATIVE, LineMode.APPLICATION),
                (DoorName.MAILJET, LineMode.APPLICATION),
                (DoorName.AIRCALL, LineMode.API),
            )
        ]

        # Then all doors say the same
        assert verdicts[0] == verdicts[1] == verdicts[2]


def test_a13_a_number_sends_within_its_own_country_and_the_us_to_canada_and_back() -> None:
    us, ca = line(LineKind.LONG_CODE, "US"), line(LineKind.TOLL_FREE, "CA")
    talk = Purpose.CONVERSATION

    assert judged(case(us, "US", talk)).reasons == {Reason.DOMESTIC}
    assert judged(case(us, "CA", talk)).reasons == {Reason.US_AND_CANADA}
    assert judged(case(ca, "US", talk)).reasons == {Reason.US_AND_CANADA}
    assert judged(case(us, "GB", talk)).rule is Rule.DOMESTIC
    assert judged(case(line(LineKind.MOBILE, "GB"), "US", talk)).rule is Rule.DOMESTIC
    # And abroad only where the operator lets the account
    abroad = judged(case(us, "GB", talk, account(international=True)))
    assert abroad.reasons == {Reason.INTERNATIONAL}


def test_a03_a_registration_holds_on_its_days_only() -> None:
    # Given a line that is registered until tomorrow, and a phone that has agreed
    until = AFTERNOON.date() + timedelta(days=1)
    registration = Registration(RegistrationState.APPROVED, until=until)
    us = line(LineKind.LONG_CODE, "US")
    us = us._replace(registration=registration)
    agreed = Facts(False, Purpose.AUTOMATED)

    # Then what is to be sent the day after that is refused
    now, later = AFTERNOON, AFTERNOON + timedelta(days=2)
    assert judged(case(us, "US", Purpose.AUTOMATED, moment=now), agreed).allowed
    late = judged(case(us, "US", Purpose.AUTOMATED, moment=later), agreed)
    assert late.rule is Rule.REGISTRATION


def test_a04_consent_to_the_one_purpose_is_not_consent_to_the_other() -> None:
    us = line(LineKind.LONG_CODE, "US", registered=True)
    agreed = Facts(False, Purpose.AUTOMATED)

    assert judged(case(us, "US", Purpose.AUTOMATED), agreed).allowed
    assert judged(case(us, "US", Purpose.MARKETING), agreed).rule is Rule.CONSENT
    assert Reason.CONSENT in judged(case(us, "US", Purpose.AUTOMATED), agreed).reasons


@pytest.mark.parametrize("purpose", [Purpose.AUTOMATED, Purpose.MARKETING])
def test_a05_a_french_mobile_line_sends_nothing_automated_whatever_is_on_record(
    purpose: Purpose,
) -> None:
    everything = Facts(True, Purpose.MARKETING)

    # When it is said with the message, or of the line
    asked = judge(case(line(LineKind.MOBILE, "FR"), "FR", purpose))
    set_ = judge(case(line(LineKind.MOBILE, "FR", purpose=purpose), "FR"))

    # Then it is refused without a look at what is on record, and with one
    assert asked is not None
    assert set_ is not None
    assert asked.rule is set_.rule is Rule.CONVERSATION
    assert judged(case(line(LineKind.MOBILE, "FR"), "FR", purpose), everything).rule is (
        Rule.CONVERSATION
    )


@pytest.mark.parametrize("asked", [None, Purpose.CONVERSATION])
def test_a06_a_french_mobile_line_answers_who_has_written_to_it(asked: Purpose | None) -> None:
    mobile = line(LineKind.MOBILE, "FR")

    assert judge(case(mobile, "FR", asked)) is None
    answer = judged(case(mobile, "FR", asked), Facts(True, None))
    assert answer.purpose is Purpose.CONVERSATION
    assert answer.reasons == {Reason.DOMESTIC, Reason.ANSWER}
    assert judged(case(mobile, "FR", asked)).rule is Rule.CONVERSATION


def test_what_nothing_hangs_on_asks_for_no_facts() -> None:
    # Given what most messages are: from a name; from a number of a country without rules
    name, number = line(LineKind.ALPHANUMERIC, "FR"), line(LineKind.FIXED, "GB")
    # And what an account sends that answers for its consents, from a registered line
    own = account(consent=ConsentPolicy.OWN)
    registered = line(LineKind.LONG_CODE, "US", registered=True)

    # Then each has its verdict at once, whatever it is for
    for asked in ASKED:
        assert judge(case(name, "FR", asked)) is not None
        assert judge(case(number, "GB", asked)) is not None
        assert judge(case(registered, "US", asked, own)) is not None
    unknown = judge(case(registered, "US", None, own))
    assert unknown is not None
    assert unknown.purpose is None


def test_an_account_of_before_the_rules_of_countries_goes_on() -> None:
    old = account(international=True, consent=ConsentPolicy.OWN, enforced=False)

    for kind, country, to, asked in product(KINDS, COUNTRIES, COUNTRIES, ASKED):
        verdict = judge(case(line(kind, country), to, asked, old))
        assert verdict is not None
        assert verdict.allowed


def test_marketing_is_refused_in_quiet_hours_with_the_earliest_time() -> None:
    # Given noon in London, which is seven in New York
    own = account(consent=ConsentPolicy.OWN)
    us = line(LineKind.LONG_CODE, "US", registered=True)
    early = judged(case(us, "US", Purpose.MARKETING, own, moment=NOON))

    # Then marketing is possible an hour later, and anything else at once
    assert (early.rule, early.possible_at) == (Rule.QUIET_HOURS, NOON + timedelta(hours=1))
    assert judged(case(us, "US", Purpose.AUTOMATED, own, moment=NOON)).allowed
    later = judged(case(us, "US", Purpose.MARKETING, own, moment=NOON + timedelta(hours=1)))
    assert Reason.OUTSIDE_QUIET_HOURS in later.reasons


def test_a09_a_line_in_api_mode_is_for_the_api_alone_and_the_others_are_not() -> None:
    talk = Purpose.CONVERSATION
    for mode, door, rule in (
        (LineMode.API, DoorName.NATIVE, Rule.MODE),
        (LineMode.API, DoorName.MAILJET, Rule.MODE),
        (LineMode.API, DoorName.AIRCALL, None),
        (LineMode.API, DoorName.ANSWER, None),
        (LineMode.APPLICATION, DoorName.AIRCALL, Rule.MODE),
        (LineMode.APPLICATION, DoorName.NATIVE, None),
    ):
        us = line(LineKind.LONG_CODE, "US", mode=mode)
        assert judged(case(us, "US", talk, door=door)).rule is rule, (mode, door)


def test_a22_the_api_is_for_accounts_whose_plan_has_it() -> None:
    us = line(LineKind.LONG_CODE, "US", mode=LineMode.API)
    talk = Purpose.CONVERSATION

    essentials = account(plan="essentials")
    refused = judged(case(us, "US", talk, essentials, door=DoorName.AIRCALL))
    assert refused.rule is Rule.PLAN
    assert judged(case(us, "US", talk, door=DoorName.AIRCALL)).allowed


def test_a_phone_is_answered_to_its_word_without_a_look_and_without_consent() -> None:
    strict = account(consent=ConsentPolicy.REQUIRED)
    for kind, country in ((LineKind.MOBILE, "FR"), (LineKind.LONG_CODE, "US")):
        verdict = judge(case(line(kind, country), country, None, strict, door=DoorName.ANSWER))
        assert verdict is not None
        assert verdict.reasons == {Reason.DOMESTIC, Reason.ANSWER}
