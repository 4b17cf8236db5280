"""The numbered files: their names and marks, and which code may live on which database."""

from __future__ import annotations

import pytest

from shared.db import schema
from shared.db.schema import Applied, Migration
from shared.sms import states


def expand(number: int, sql: str = "") -> Migration:
    return Migration(number, f"{number:04d}_more.sql", sql)


def contract(number: int, serves_from: int) -> Migration:
    return Migration(number, f"{number:04d}_less.sql", "", serves_from)


def seen(*migrations: Migration) -> dict[int, Applied]:
    return {m.number: Applied(m.number, m.name, m.sha256, m.serves_from) for m in migrations}


def test_the_files_are_numbered_once_each_and_say_what_they_are() -> None:
    # Given every file of the house, read by the rules for names and first lines
    known = schema.known()
    # Then they count from one, with no gap, and the newest is the code's
    numbers = [migration.number for migration in known]
    assert numbers == list(range(1, numbers[-1] + 1))
    assert schema.number_of(known) == numbers[-1]
    # and a contract serves at least itself
    assert [m.name for m in known if m.serves_from > m.number] == []


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("2_roles.sql", "-- expand\n"),
        ("0002-roles.sql", "-- expand\n"),
        ("0002_Roles.sql", "-- expand\n"),
        ("0002_roles.sql", "CREATE TABLE t ();\n-- expand\n"),
        ("0002_roles.sql", "-- contract\n"),
        ("0002_roles.sql", "-- contract: serves code from\n"),
        ("0002_roles.sql", "-- expands\n"),
    ],
)
def test_a_file_is_refused_when_its_name_or_first_line_is_not_of_the_house(
    name: str, sql: str
) -> None:
    with pytest.raises(ValueError, match=name):
        schema.parse(name, sql)


def test_a_file_says_whom_it_serves() -> None:
    assert schema.parse("0002_roles.sql", "-- expand\nSELECT 1").serves_from == 0
    assert schema.parse("0007_bye.sql", "-- contract: serves code from 6\n").serves_from == 6
    assert schema.parse("0001_spine.sql", "-- The spine\n").serves_from == 0


@pytest.mark.parametrize(
    ("name", "number"),
    [("sluice-ingest", 1), ("sluice-ingest/4", 4), ("sluice-command/12", 12), ("sluice-x/", 1)],
)
def test_a_process_tells_the_number_of_its_code(name: str, number: int) -> None:
    assert schema.code_number(name) == number


def test_a_process_calls_itself_by_its_role_and_the_newest_file() -> None:
    newest = schema.known()[-1].number
    assert schema.code_number(schema.application_name("ingest")) == newest


OURS = [expand(1), expand(2), contract(3, serves_from=2)]

GOES = {
    "all is there": seen(*OURS),
    "a contract waits": seen(expand(1), expand(2)),
    "a later expand": seen(*OURS, expand(4)),
    "a later contract that serves us still": seen(*OURS, contract(4, serves_from=3)),
}

REFUSED = {
    "empty": ({}, "run `sluice migrate`"),
    "older": (seen(expand(1)), "lacks 0002_more.sql"),
    "changed": (seen(expand(1), expand(2, "other")), "0002_more.sql was changed"),
    "missing here": (
        seen(expand(1), expand(2)) | {0: Applied(0, "0000_gone.sql", "", 0)},
        "0000_gone.sql, and this code has no such file",
    ),
    "newer, and not for us": (seen(*OURS, contract(4, serves_from=4)), "start a newer version"),
}


@pytest.mark.parametrize("name", GOES)
def test_code_lives_on_a_database_that_has_what_it_needs(name: str) -> None:
    schema.refuse_strangers(OURS, GOES[name])
    schema.refuse_gaps(OURS, GOES[name])


@pytest.mark.parametrize("name", REFUSED)
def test_code_refuses_a_database_with_a_word_that_helps(name: str) -> None:
    applied, word = REFUSED[name]
    with pytest.raises(schema.SchemaMismatch, match=word):
        _both(applied)


def _both(applied: dict[int, Applied]) -> None:
    schema.refuse_strangers(OURS, applied)
    schema.refuse_gaps(OURS, applied)


def test_a_sealed_text_stays_in_just_those_statuses_from_which_its_message_may_be_submitted() -> (
    None
):
    # Given the statuses that the database spares, and what `submitting` is shown as
    (sealed,) = [m.sql for m in schema.known() if m.name == "0022_sealed_texts.sql"]
    spared = sealed.partition("NEW.status NOT IN (")[2].partition(")")[0]

    assert {word.strip(" '") for word in spared.split(",")} == {
        states.status_of([state]) for state in states.TO_SUBMIT
    }
