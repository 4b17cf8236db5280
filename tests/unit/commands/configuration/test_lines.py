"""Lines and accounts in the operator's file: what is named is judged, what is not stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from services.commands.configuration import difference, file
from shared.db import apply
from tests.unit.architecture import tree

ACCOUNT = '[[account]]\nname = "demo"\ncurrency = "EUR"\n'
LINE = '[[line]]\naccount = "demo"\nsender = "+12025550123"\nkind = "long_code"\ncountry = "US"\n'
FULL = """\
name = "Support"
capabilities = ["mms", "sms"]
mode = "api"
use_case = "appointment reminders"
purpose = "automated"
time_zone = "America/Chicago"
limits = { second = 3 }

[line.registration]
state = "approved"
brand = "B1"
campaign = "C1"
from = 2026-01-01
until = 2026-12-31
"""
PLAIN = apply.Line("demo", "+12025550123", "long_code", "US", False, 1000, 10_000, 50_000)
KEPT = apply.Line(
    "demo",
    "+12025550123",
    "long_code",
    "US",
    False,
    1000,
    10_000,
    50_000,
    name="Support",
    capabilities=("sms", "mms"),
    mode="api",
    registration="approved",
    brand="B1",
    campaign="C1",
    registered_from=date(2026, 1, 1),
    registered_until=date(2026, 12, 31),
    use_case="appointment reminders",
    purpose="automated",
    time_zone="America/Chicago",
)


def read(text: str, *current: apply.Row) -> list[apply.Row]:
    rows, faults = file.read(ACCOUNT + text, {row.key: row for row in current})
    assert faults == []
    return rows


def line(text: str, *current: apply.Row) -> apply.Line:
    (found,) = [row for row in read(LINE + text, *current) if isinstance(row, apply.Line)]
    return found


def test_a07_a_line_says_what_it_can_whom_it_serves_and_what_it_is_registered_for() -> None:
    assert line(FULL) == replace(KEPT, second_limit=3)


def test_the_example_on_the_page_can_be_applied() -> None:
    page = (tree.ROOT / "docs/lines.md").read_text("utf-8")
    example = page.split("```toml\n")[1].split("```")[0]
    (found,) = [row for row in read(example) if isinstance(row, apply.Line)]
    assert (found.hour_limit, found.day_limit) == (500, 10_000)
    assert found.registered_until == date(2026, 12, 31)


def test_what_a_file_does_not_name_of_a_line_stays_as_it_stands() -> None:
    # Given a line whose owner has put it into API mode, When a file without a word of it is read
    assert line("", KEPT) == KEPT
    # Then it is as it was; and a part of a registration leaves the others alone
    assert line('registration = { campaign = "C2" }', KEPT).brand == "B1"


def test_an_empty_word_takes_away_what_stands() -> None:
    emptied = line(
        'name = ""\nuse_case = ""\ntime_zone = ""\npurpose = "none"\nmode = "application"\n'
        'capabilities = ["sms"]\nregistration = { state = "none" }',
        KEPT,
    )
    assert emptied == PLAIN


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ('mode = "app"', "line[0].mode: Invalid enum value 'app'"),
        ('capabilities = ["fax"]', "line[0].capabilities[0]: Invalid enum value 'fax'"),
        ('purpose = "fun"', "line[0].purpose: Invalid enum value 'fun'"),
        ('time_zone = "Paris"', "line[0].time_zone: expected a time zone's name (IANA)"),
        ('use_case = "a\\nb"', "line[0].use_case: expected at most 200 characters in one line"),
        ('registration = "approved"', "line[0].registration: Expected `object`, got `str`"),
        ('registration = { state = "ok" }', "line[0].registration.state: Invalid enum value 'ok'"),
        ("registration = { day = 1 }", "line[0].registration: Object contains unknown field `day`"),
        (
            "registration = { from = 2026-02-01, until = 2026-01-31 }",
            "line[0].registration.until: expected no day before 2026-02-01",
        ),
        ("limits = { second = -1 }", "line[0].limits.second: Expected `int` >= 0"),
    ],
)
def test_each_fault_of_a_line_has_its_place(named: str, fault: str) -> None:
    _, faults = file.read(ACCOUNT + LINE + named, {})
    assert len(faults) == 1
    assert faults[0].startswith(fault)


def test_a08_a_line_that_can_neither_sms_nor_mms_has_no_api_mode() -> None:
    said = "line[0].mode: a line that can neither SMS nor MMS has no API mode"
    for named in ('mode = "api"\ncapabilities = []', "capabilities = []"):
        _, faults = file.read(ACCOUNT + LINE + named, {KEPT.key: KEPT})
        assert faults == [said]
    # But in the other mode, it is a line for calls
    assert line('mode = "application"\ncapabilities = []', KEPT).capabilities == ()


def test_a22_an_account_has_the_professional_plan_unless_it_is_named() -> None:
    assert [getattr(row, "plan", "") for row in read("")] == ["professional"]


def test_an_account_of_before_keeps_what_it_may_and_a_new_one_is_held_to_the_rules() -> None:
    # Given an account as the migration left it
    older = apply.Account(
        "demo",
        "EUR",
        200,
        60,
        international=True,
        consent="own",
        registration_enforced=False,
        senders_restricted=True,
    )
    # When a file names nothing of it, Then it stays; and what a file names is so
    assert read("", older) == [older]
    (named,) = read('international = false\nconsent = "required"\nplan = "essentials"', older)
    assert isinstance(named, apply.Account)
    assert (named.international, named.consent, named.plan) == (False, "required", "essentials")
    # And one that was not there is held to what is stricter
    assert read("") == [apply.Account("demo", "EUR", 200, 60)]


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ('plan = "Gold!"', "account[0].plan: expected 1 to 32 of a-z, 0-9, _ and -"),
        ('consent = "maybe"', "account[0].consent: Invalid enum value 'maybe'"),
        ("international = 1", "account[0].international: Expected `bool | null`, got `int`"),
    ],
)
def test_each_fault_of_an_account_has_its_place(named: str, fault: str) -> None:
    _, faults = file.read(ACCOUNT + named, {})
    assert len(faults) == 1
    assert faults[0].startswith(fault)


def test_the_difference_shows_a_lines_registration() -> None:
    found = difference.between({PLAIN.key: PLAIN}, [KEPT])
    assert list(difference.lines(found)) == [
        "~ line demo +12025550123: capabilities sms → sms mms, mode application → api,"
        " registration none → approved, name none → Support, brand none → B1, campaign none → C1,"
        " registered_from none → 2026-01-01, registered_until none → 2026-12-31,"
        " use_case none → appointment reminders, purpose none → automated,"
        " time_zone none → America/Chicago"
    ]
