"""Verdicts that are remembered: of each account, line and destination its own, and none that time
or the record may change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

from shared.rules import verdict_codes
from shared.rules.compose import Draft, Wish, compose, settle
from shared.rules.doors import DoorName
from shared.rules.line_kinds import Capability, LineKind, LineMode
from shared.rules.lines import Limits, Line, Lines
from shared.rules.purposes import ConsentPolicy, Purpose
from shared.rules.refusals import Code, Refusal
from shared.rules.registrations import Registration, RegistrationState
from shared.rules.snapshot import Account, Carrier, Configuration
from shared.rules.verdicts import Case, Facts, Reason, judge

ID = UUID(int=7)
NOW = datetime(2030, 1, 2, 17, tzinfo=UTC)
ACCOUNT = Account(1, "demo", "EUR", 200, 60, 1, 2)
LONDON = Line(1, 1, "+442079460123", LineKind.FIXED, "GB", True, Limits(None, None, None))
BOSTON = LONDON._replace(
    line_id=2,
    sender="+16175550123",
    kind=LineKind.LONG_CODE,
    country="US",
    registration=Registration(RegistrationState.APPROVED, until=NOW.date()),
)


def configuration(line: Line) -> Configuration:
    return Configuration(
        version=1,
        accounts={1: ACCOUNT},
        lines=Lines.of([line]),
        prices={(country, "EUR"): 40_000 for country in ("FR", "GB", "US")},
        special_prices={},
        carriers={1: Carrier(1, "acme", "smpp", 0, {})},
        routes={"*": (1,)},
        country_limits={},
    )


def composed(line: Line, account: Account, wish: Wish, now: datetime = NOW) -> Draft | Refusal:
    return compose(configuration(line), account, wish, ID, now)


def reasons(fate: Draft | Refusal) -> set[Reason]:
    assert isinstance(fate, Draft)
    assert fate.case is None
    return set(verdict_codes.decode(fate.verdict).reasons)


def test_a_change_of_line_or_account_takes_effect_at_the_next_message() -> None:
    # Given a message to the country of the line, and one abroad
    home, abroad = Wish("+442079460999", "hi"), Wish("+33612345678", "hi")

    # When the account may send abroad, and no more, and its line is another's
    for _ in range(2):
        may = replace(ACCOUNT, international=True)
        assert reasons(composed(LONDON, ACCOUNT, home)) == {Reason.DOMESTIC}
        assert reasons(composed(LONDON, may, abroad)) == {Reason.INTERNATIONAL}
        refusal = composed(LONDON, ACCOUNT, abroad)
        assert isinstance(refusal, Refusal)
        assert refusal.code is Code.ABROAD
        french = LONDON._replace(country="FR")
        assert reasons(composed(french, ACCOUNT, abroad)) == {Reason.DOMESTIC}


def test_what_hangs_on_time_or_on_the_record_is_judged_each_time() -> None:
    own = replace(ACCOUNT, consent=ConsentPolicy.OWN)
    wish = Wish("+12125550123", "hi", purpose=Purpose.AUTOMATED)

    # Then a registration ends with its last day
    assert reasons(composed(BOSTON, own, wish)) == {Reason.DOMESTIC, Reason.REGISTERED}
    late = composed(BOSTON, own, wish, NOW + timedelta(days=1))
    assert isinstance(late, Refusal)
    assert (late.code, late.rule, late.rules_version) == (Code.NOT_REGISTERED, "registration", 1)
    # And what asks for a consent is open until the record is known
    asking = composed(BOSTON, ACCOUNT, wish)
    assert isinstance(asking, Draft)
    assert asking.case is not None
    assert reasons(settle(asking, Facts(False, Purpose.AUTOMATED))) >= {Reason.CONSENT}
    assert isinstance(settle(asking, Facts(True, None)), Refusal)
    assert "12125550123" not in repr(asking) + repr(asking.case)


def test_what_is_remembered_of_alike_lines_is_what_each_would_be_judged() -> None:
    # Given every line and account that verdicts tell apart, each with all else set to something
    whole_line = BOSTON._replace(
        name="desk",
        capabilities=frozenset(Capability),
        use_case="parcels",
        time_zone="America/New_York",
    )
    whole_account = replace(ACCOUNT, special_numbers=True, requests_per_minute=7)
    remembered_count = 0
    for kind, home, mode, purpose, enforced, abroad, consent, asked, door in product(
        LineKind,
        ("GB", "FR", "US"),
        LineMode,
        (None, Purpose.AUTOMATED, Purpose.MARKETING),
        (False, True),
        (False, True),
        ConsentPolicy,
        (None, Purpose.CONVERSATION),
        (DoorName.NATIVE, DoorName.AIRCALL),
    ):
        line = whole_line._replace(kind=kind, country=home, mode=mode, purpose=purpose)
        account = replace(
            whole_account,
            registration_enforced=enforced,
            international=abroad,
            consent=consent,
            plan="essentials" if abroad else "professional",
        )
        wish = Wish("+33612345678", "hi", purpose=asked, door=door)

        # When a message is composed
        fate = composed(line, account, wish)

        # Then what was told of it at once is what the line and the account themselves are judged
        if isinstance(fate, Draft) and fate.case is None:
            verdict = judge(Case(line, account, wish.to, "FR", asked, door, NOW, NOW))
            assert verdict is not None
            assert fate.verdict == verdict_codes.encode(verdict)
            remembered_count += 1
    assert remembered_count > 400
