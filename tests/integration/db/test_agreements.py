"""What is written down once in Python, and again in the schema: both must say the same."""

from __future__ import annotations

import ast
import re
from enum import StrEnum
from importlib import import_module
from inspect import getsource, isfunction
from pkgutil import iter_modules
from types import FunctionType

import asyncpg
import pytest

from shared import db
from shared.db import apply, configuration, messages
from shared.ledger import money
from shared.rules.line_kinds import Capability, LineKind, LineMode
from shared.rules.purposes import ConsentPolicy, Purpose
from shared.rules.registrations import RegistrationState
from shared.sms.classes import CLASSES

_CHECKS = """
SELECT conrelid::regclass::text AS relation, pg_get_constraintdef(oid) AS said
FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"""


async def test_every_check_of_a_currency_knows_the_currencies(
    owner: asyncpg.Connection,
) -> None:
    # Given the constraints that are about a column named currency
    rows = await owner.fetch(_CHECKS)
    checks = {row["relation"]: row["said"] for row in rows if "(currency =" in row["said"]}

    # Then each table with such a column has one, and it lists what money lists; but for what is
    # written by those that have, or of them
    tables = await owner.fetch(
        "SELECT table_name FROM information_schema.columns "
        "WHERE column_name = 'currency' AND table_schema = 'public'"
    )
    assert checks.keys() == {row["table_name"] for row in tables} - {
        "messages",
        "statistics",
        "judged_message",
        "new_message",
    }
    for relation, said in checks.items():
        assert sorted(re.findall(r"'(\w+)'", said)) == sorted(money.CURRENCIES), relation


async def test_the_platform_has_its_books_in_every_currency(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT book, currency FROM wallets WHERE account_id IS NULL")

    expected = {
        (book, currency) for book in ("revenue", "funding") for currency in money.CURRENCIES
    }
    assert {tuple(row) for row in rows} == expected


async def test_a_message_has_one_of_the_classes(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(_CHECKS)

    (said,) = [row["said"] for row in rows if "class" in row["said"]]
    assert re.findall(r"\d+", said) == ["0", str(len(CLASSES) - 1)]


@pytest.mark.parametrize(
    ("relation", "column", "words"),
    [
        ("accounts", "consent", ConsentPolicy),
        ("lines", "capabilities", Capability),
        ("lines", "mode", LineMode),
        ("lines", "registration", RegistrationState),
        ("lines", "purpose", Purpose),
        ("consents", "purpose", Purpose),
    ],
)
async def test_a_column_takes_the_words_of_its_kind(
    owner: asyncpg.Connection, relation: str, column: str, words: type[StrEnum]
) -> None:
    rows = await owner.fetch(_CHECKS)
    (said,) = [
        row["said"]
        for row in rows
        if row["relation"] == relation and re.match(rf"CHECK \(\({column} [=<]", row["said"])
    ]
    assert sorted(re.findall(r"(?<=[{',])\w+(?=['},])", said)) == sorted(words)


async def test_a_line_stored_under_a_word_of_its_own_does_not_stop_the_configuration(
    owner: asyncpg.Connection,
) -> None:
    # Given a line as the release before let operators write it
    await apply.put(owner, apply.Account("demo", "EUR", 200, 60), None)
    line = apply.Line("demo", "+33142345678", "our_best", "FR", True, 1, 2, 3)
    await apply.put(owner, line, None)

    # When the configuration is loaded, Then the line is what its number is
    current = await configuration.load(owner)
    (loaded,) = current.lines.values()
    assert loaded.kind is LineKind.FIXED


def rows() -> dict[str, list[str]]:
    """The attributes of each tuple that says which composite type it is a row of, and of what each
    function returns that says so."""
    found: dict[str, list[str]] = {}
    for info in iter_modules(db.__path__):
        for value in vars(import_module(f"shared.db.{info.name}")).values():
            said = " ".join((getattr(value, "__doc__", None) or "").split())
            if type_name := _ROW.search(said):
                names = returned(value) if isfunction(value) else value._fields
                found[type_name[1]] = [
                    messages.SQL_NAMES.get(name, name) for name in names if name != left_out(said)
                ]
    return found


def returned(function: FunctionType) -> list[str]:
    """What a function calls the members of the tuple that it returns."""
    steps = ast.walk(ast.parse(getsource(function)))
    (members,) = [
        each.value.elts
        for each in steps
        if isinstance(each, ast.Return) and isinstance(each.value, ast.Tuple)
    ]
    return [each.attr if isinstance(each, ast.Attribute) else ast.unparse(each) for each in members]


def left_out(said: str) -> str | None:
    """A member that the row does not have."""
    found = re.search(r"all but its `(\w+)` is a row", said)
    return found and found[1]


_ROW = re.compile(r"row of the type `(\w+)`")
_OF_RELEASES_BEFORE = {"new_message"}
_OF_TRIGGERS = {"statistics_entry"}
_ATTRIBUTES = """
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) AS names
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind = 'c' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0
GROUP BY c.relname"""


async def test_rows_that_go_in_have_the_attributes_of_their_types_in_order(
    owner: asyncpg.Connection,
) -> None:
    # Given every composite type of the schema
    found = {row["relname"]: row["names"] for row in await owner.fetch(_ATTRIBUTES)}

    # Then each is written by one tuple that says so, and whose names and order are the type's
    assert found.keys() - rows().keys() == _OF_RELEASES_BEFORE | _OF_TRIGGERS
    assert {name: found[name] for name in rows()} == rows()
