"""The difference says what would change, in an order that can be written, and hides credentials."""

from __future__ import annotations

from collections.abc import Sequence

from services.commands.configuration import difference
from shared.db import apply

ACCOUNT = apply.Account("demo", "EUR", 200, 60)
LINE = apply.Line("demo", "Sluice", "alphanumeric", "FR", True, 500, 2000, 20_000)
SETTINGS = {"host": "sms.example", "port": 2775, "system_id": "us", "password": "hush-hush"}
CARRIER = apply.Carrier("acme", "smpp", 0, SETTINGS)


def _keyed(*rows: apply.Row) -> dict[apply.Key, apply.Row]:
    return {row.key: row for row in rows}


def _worded(current: apply.Rows, wanted: Sequence[apply.Row]) -> list[str]:
    return list(difference.lines(difference.between(current, wanted)))


def test_nothing_changes_when_all_is_as_wanted() -> None:
    assert _worded(_keyed(ACCOUNT, LINE, CARRIER), [ACCOUNT, CARRIER]) == [
        "nothing to change (2 entries as they should be)"
    ]


def test_a_changed_password_is_told_and_not_shown() -> None:
    # Given a carrier whose password is to change
    wanted = apply.Carrier("acme", "smpp", 5, {**SETTINGS, "password": "sesame"})

    # When the difference is worded, Then it is there without either word
    assert _worded(_keyed(CARRIER), [wanted]) == [
        "~ carrier acme: segments_per_second 0 → 5, password *** → ***"
    ]


def test_every_setting_is_hidden_when_its_adapter_does_not_know_it_any_more() -> None:
    # Given a stored carrier whose settings no longer fit, When it is replaced
    stored = apply.Carrier("acme", "smpp", 0, {"hots": "sms.example", "password": "hush-hush"})
    (line,) = _worded(_keyed(stored), [CARRIER])

    # Then nothing of what was stored is shown
    assert "hots *** → none" in line
    assert "hush-hush" not in line


def test_routes_of_a_named_country_are_replaced_and_others_stay() -> None:
    # Given routes to two countries, When one of them is wanted otherwise
    current = _keyed(
        apply.Route("FR", "acme", 1), apply.Route("FR", "old", 2), apply.Route("DE", "old", 1)
    )
    assert _worded(current, [apply.Route("FR", "acme", 3)]) == [
        "- route FR old",
        "~ route FR acme: priority 1 → 3",
    ]


def test_the_old_default_line_gives_way_first() -> None:
    # Given a default line that the file does not name, When another one becomes the default
    new = apply.Line("demo", "Other", "alphanumeric", "FR", True, 500, 2000, 20_000)
    assert _worded(_keyed(LINE), [new])[0] == "~ line demo Sluice: is_default True → False"


def test_a_default_that_moves_within_the_file_is_written_after_the_one_that_ends() -> None:
    # Given two lines that exchange their part
    other = apply.Line("demo", "Other", "alphanumeric", "FR", False, 500, 2000, 20_000)
    now_default = apply.Line("demo", "Other", "alphanumeric", "FR", True, 500, 2000, 20_000)
    no_longer = apply.Line("demo", "Sluice", "alphanumeric", "FR", False, 500, 2000, 20_000)

    # When they are compared, Then the one that ends comes first
    found = difference.between(_keyed(LINE, other), [now_default, no_longer])
    assert [change.after for change in found.changes] == [no_longer, now_default]


def test_a_credit_is_topped_up_and_never_lowered() -> None:
    # Given 10 credited so far
    current = _keyed(ACCOUNT, apply.Credit("demo", "EUR", 10_000_000))

    # When more or less is wanted, Then only more changes anything
    more = [apply.Credit("demo", "EUR", 15_000_000)]
    assert _worded(current, more) == ["~ credit demo EUR: amount 10.00 → 15.00"]
    less = [apply.Credit("demo", "EUR", 5_000_000)]
    assert _worded(current, less) == ["nothing to change (1 entries as they should be)"]
