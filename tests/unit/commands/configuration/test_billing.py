"""Who issues invoices, caps and guards, as an operator writes them: judged where they stand."""

from __future__ import annotations

import pytest

from services.commands.configuration import file
from shared.db import apply, billing, spending

GOOD = """
[platform.legal_entity]
code = "ACME"
name = "Acme SARL"
address = ["1 rue X", "75001 Paris"]
country = "FR"
vat = [{ treatment = "domestic", percent = "8.1" }, { treatment = "abroad", percent = "0" }]
[[account]]
name = "demo"
currency = "EUR"
[[billing]]
account = "demo"
name = "Demo"
address = ["2 rue Y"]
country = "DE"
[[spending_cap]]
account = "demo"
day = "50"
[[velocity_guard]]
account = "demo"
"""


def test_what_is_not_said_of_taxes_is_as_it_usually_is() -> None:
    rows, faults = file.read(GOOD, {})
    assert faults == []
    rates = {
        row.treatment: (row.basis_points, bool(row.note_en))
        for row in rows
        if isinstance(row, billing.VatRate)
    }
    assert rates == {
        "domestic": (810, False),
        "eu_consumer": (810, False),
        "eu_business": (0, True),
        "abroad": (0, False),
    }
    # The entity comes before its rates, which name it.
    kinds = [type(row) for row in rows]
    assert kinds.index(billing.LegalEntity) < kinds.index(billing.VatRate)
    assert spending.OperatorCap("demo", "*", None, 50_000_000, None) in rows
    assert spending.Guarding("demo", 100, 3) in rows


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('"ACME"', '"Acme"', "platform.legal_entity.code: "),
        ('["1 rue X", "75001 Paris"]', "[]", "platform.legal_entity.address: "),
        ('"8.1"', '"100.5"', "platform.legal_entity.vat[0].percent: expected a percentage"),
        ('"8.1"', '"8.125"', "platform.legal_entity.vat[0].percent: expected a percentage"),
        ('"domestic"', '"home"', "platform.legal_entity.vat[0].treatment: "),
        (
            '"domestic"',
            '"eu_consumer"',
            'platform.legal_entity.vat: expected a rate with treatment = "domestic"',
        ),
        ("vat = [", "vats = [", "platform.legal_entity.vats: unknown key"),
        ('"DE"', '"de"', "billing[0].country: expected the two"),
        ('day = "50"', 'day = "-1"', "spending_cap[0].day: an amount is not negative"),
        ('day = "50"', 'week = "1"', "spending_cap[0].week: unknown key"),
        ('day = "50"', 'day = "1"\ncountry = "x"', "spending_cap[0].country: expected the two"),
        (
            '[[velocity_guard]]\naccount = "demo"',
            '[[velocity_guard]]\naccount = "who"',
            "velocity_guard[0].account: there is no account 'who'",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(before: str, after: str, fault: str) -> None:
    assert before in GOOD
    _, faults = file.read(GOOD.replace(before, after, 1), {})
    assert any(sentence.startswith(fault) for sentence in faults), faults


def test_nothing_is_lifted_that_does_not_stand() -> None:
    # Given entries that lift a cap and end a guard
    text = '[[spending_cap]]\naccount = "demo"\n[[velocity_guard]]\naccount = "demo"\nfactor = 0\n'
    account = apply.Account("demo", "EUR", 200, 60)
    current: dict[apply.Key, apply.Row] = {account.key: account}
    assert file.read(text, current) == ([], [])

    # When both stand, Then both are rows to write
    cap = spending.OperatorCap("demo", "*", 1, None, None)
    guard = spending.Guarding("demo", 5, 3)
    rows, faults = file.read(text, current | {cap.key: cap, guard.key: guard})
    assert faults == []
    assert rows == [
        spending.OperatorCap("demo", "*", None, None, None),
        spending.Guarding("demo", 100, 0),
    ]
