"""An operator's file is judged as a whole, and each fault has its place."""

from __future__ import annotations

import pytest

from services.commands.configuration import file
from shared.db import apply

GOOD = """
[[account]]
name = "demo"
currency = "EUR"
credit = "12.5"

[[line]]
account = "demo"
sender = "+33612345678"
kind = "mobile"
country = "FR"
default = true
limits = { hour = 7 }

[[price]]
country = "FR"
currency = "EUR"
amount = "0.0453"

[[carrier]]
name = "practice"
adapter = "smpp"
host = "127.0.0.1"
port = 2775
system_id = "sluice"
password = "hush-hush"

[[route]]
country = "*"
carrier = "practice"
priority = 1

[[country_limit]]
account = "demo"
country = "CI"
limits = { day = 50 }
"""

GUESSABLE = """
adapter = "http"
url = "https://api.example/"
[carrier.callback]
auth = "hmac"
secret = "hush-hush"
id_field = "id"
state_field = "state"
states = { ok = "delivered" }

"""
"""A carrier that runs where it was set up long ago, and may not be set up any more."""


def test_rows_are_complete_when_the_file_leaves_out_what_has_a_default() -> None:
    # Given a good file, When it is read for an empty database
    rows, faults = file.read(GOOD, {})

    # Then every row is there, with the defaults of its country and kind
    assert faults == []
    assert rows == [
        apply.Account("demo", "EUR", 200, 60),
        apply.Credit("demo", "EUR", 12_500_000),
        apply.Carrier(
            "practice",
            "smpp",
            0,
            {
                "host": "127.0.0.1",
                "port": 2775,
                "system_id": "sluice",
                "password": "hush-hush",
            },
        ),
        apply.Line("demo", "+33612345678", "mobile", "FR", True, 7, 1000, 10_000),
        apply.Price("FR", "EUR", 45_300),
        apply.CountryLimit("demo", "CI", None, 50, None),
        apply.Route("*", "practice", 1),
    ]


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (
            'currency = "EUR"\ncredit',
            'currency = "XXX"\ncredit',
            "account[0].currency: expected one of EUR",
        ),
        ('name = "demo"\n', "", "account[0].name: is missing"),
        ('credit = "12.5"', "credit = 12.5", "account[0].credit: Expected `str`, got `float`"),
        ('credit = "12.5"', 'credit = "1e3"', "account[0].credit: an amount is written like"),
        ('credit = "12.5"', "daily_limit = -1", "account[0].daily_limit: Expected `int` >= 0"),
        ('credit = "12.5"', "daily_limits = 1", "account[0].daily_limits: unknown key"),
        ('credit = "12.5"', "daily_limit = true", "account[0].daily_limit: Expected `int`"),
        ('account = "demo"\nsender', 'account = "who"\nsender', "line[0].account: there is no"),
        ("+33612345678", "+3361", "line[0].sender: the number is too short"),
        ('kind = "mobile"', 'kind = "alphanumeric"', "line[0].kind: a sender that is e164"),
        (
            'kind = "mobile"',
            'kind = "Mobile!"',
            "line[0].kind: expected one of long_code, toll_free",
        ),
        ('country = "FR"\ndefault', 'country = "fr"\ndefault', "line[0].country: expected the two"),
        ("{ hour = 7 }", "{ hour = 7, week = 9 }", "line[0].limits: Object contains unknown"),
        ("{ hour = 7 }", '{ hour = "7" }', "line[0].limits.hour: Expected `int | null`, got `str`"),
        ('"0.0453"', "0.0453", "price[0].amount: Expected `str`, got `float`"),
        ('"0.0453"', '"1"\nkind = "gold"', "price[0].kind: Invalid enum value"),
        ('"0.0453"', '"1"\nuntil = 2030-01-01', "price[0].until: Expected `datetime"),
        (
            '"0.0453"',
            '"1"\nfrom = 2030-01-01T00:00:00Z\nuntil = 2030-01-01T00:00:00Z',
            "price[0].until: expected a moment after `from`",
        ),
        ('amount = "0.0453"', "", "price[0].amount: is missing (or `amounts`, by currency)"),
        (
            'amount = "0.0453"',
            'amounts = { EUR = "1" }',
            "price[0].amounts: expected this, or `currency` and `amount`, but not both",
        ),
        ('"0.0453"', '"0"', "price[0].amount: a price is more than 0"),
        ('"0.0453"', '"-1"', "price[0].amount: an amount is not negative"),
        ('"practice"\nadapter', '"Practice 1"\nadapter', "carrier[0].name: expected 1 to 64"),
        ('"smpp"', '"pigeon"', "carrier[0].adapter: there is no adapter named 'pigeon'"),
        ('"smpp"', '"registry"', "carrier[0].adapter: there is no adapter named 'registry'"),
        ("port = 2775", "prot = 2775", "carrier[0]: smpp: "),
        ("hush-hush", "hush-hush" * 8, "carrier[0]: smpp: password: expected at most 64"),
        (
            "port = 2775",
            "port = 2775\ntemporary_statuses = [-1]",
            "carrier[0]: smpp: temporary_statuses: expected 1 to",
        ),
        (
            GOOD[GOOD.index('adapter = "smpp"') : GOOD.index("[[route]]")],
            GUESSABLE,
            "carrier[0]: http: callback.secret: expected at least 16",
        ),
        ("port = 2775", "port = 2775\nsegments_per_second = -1", "carrier[0].segments_per_second"),
        ('carrier = "practice"', 'carrier = "nobody"', "route[0].carrier: there is no carrier"),
        ('country = "*"', 'country = "Europe"', "route[0].country: expected the two"),
        ("{ day = 50 }", "{}", "country_limit[0].limits: expected hour, day or month"),
        ("[[price]]", "[[prices]]", "prices: unknown table"),
        ("[[price]]", "[price]", "price: expected entries that begin with [[price]]"),
        ("[[price]]", "[[price", "not valid TOML: "),
    ],
)
def test_a_fault_is_named_with_its_place(before: str, after: str, fault: str) -> None:
    # Given a file with one thing wrong, When it is read
    assert before in GOOD
    _, faults = file.read(GOOD.replace(before, after, 1), {})

    # Then it is said what and where, and no credential is
    assert any(sentence.startswith(fault) for sentence in faults), faults
    assert "hush-hush" not in "".join(faults)


def test_all_faults_are_reported_at_once() -> None:
    # Given a file with faults in three tables, one of them twice in one entry
    text = """
    [[account]]
    name = "demo"
    [[price]]
    country = "FR"
    currency = "EUR"
    amount = 1
    [[price]]
    country = "XX"
    currency = "EUR"
    amount = "x"
    """

    # When it is read, Then all of them are named
    _, faults = file.read(text, {})
    assert [fault.partition(":")[0] for fault in faults] == [
        "account[0].currency",
        "price[0].amount",
        "price[1].country",
        "price[1].amount",
    ]


def test_a_price_may_be_named_in_several_currencies_and_for_a_time() -> None:
    # Given one entry with two currencies and a time, and one that says nothing
    text = """
    [[price]]
    country = "FR"
    amounts = { EUR = "0.045", USD = "0.05" }
    from = 2030-01-01T00:00:00+01:00
    until = 2030-02-01T00:00:00+01:00
    [[price]]
    country = "DE"
    amounts = {}
    """

    # When it is read, Then there is a price of each, and the other is a fault
    rows, faults = file.read(text, {})
    assert faults == ["price[1].amounts: expected some of EUR, GBP, USD"]
    assert [row.key for row in rows] == [
        ("price", "FR", currency, "from 2029-12-31T23:00:00+00:00") for currency in ("EUR", "USD")
    ]


def test_an_entry_given_twice_is_a_fault() -> None:
    # Given the same price twice and two default lines
    again = GOOD + GOOD[GOOD.index("[[price]]") : GOOD.index("[[carrier]]")]
    line = GOOD[GOOD.index("[[line]]") : GOOD.index("[[price]]")]
    text = again + line.replace("+33612345678", "+33612345679")

    # When it is read, Then both are named
    _, faults = file.read(text, {})
    assert "price[1]: says the same thing as price[0]" in faults
    assert "line[1].default: account 'demo' has several default lines" in faults


def test_names_of_the_database_are_known_when_the_file_does_not_repeat_them() -> None:
    # Given a file with a route to a carrier that only the database has
    current: dict[apply.Key, apply.Row] = {
        ("carrier", "old"): apply.Carrier("old", "smpp", 0, {}),
    }

    # When it is read, Then nothing is wrong with it
    text = '[[route]]\ncountry = "FR"\ncarrier = "old"\npriority = 1'
    assert file.read(text, current)[1] == []
    assert file.read(text, {})[1] != []


def test_the_platform_s_own_table_is_read_and_bounded() -> None:
    rows, faults = file.read("[platform]\nreceipt_deadline_hours = 96", {})
    assert (rows, faults) == ([apply.Platform(96, 90)], [])

    for text, fault in (
        ("[platform]\nreceipt_deadline_hours = 0", "platform.receipt_deadline_hours: "),
        ("[platform]\ndeadline = 1", "platform.deadline: unknown key"),
        ("[platform]\nretention_days = 44", "platform.retention_days: expected 45 or more"),
        ("[platform]\nreceipt_deadline_hours = 744", "platform.retention_days: expected 101 or"),
        ("[[platform]]\nreceipt_deadline_hours = 96", "platform: expected one table"),
    ):
        rows, faults = file.read(text, {})
        assert any(sentence.startswith(fault) for sentence in faults), faults


def test_places_that_are_allowed_take_the_place_of_those_before() -> None:
    # Given a file that allows places, one of them twice
    text = '[egress]\nallow = ["127.0.0.1:19000", "hooks.internal:80", "HOOKS.internal:80"]'

    # Then each stands there once; none stand there where the list is empty
    assert file.read(text, {}) == ([apply.Egress(("127.0.0.1:19000", "hooks.internal:80"))], [])
    assert file.read("[egress]\nallow = []", {}) == ([apply.Egress(())], [])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[egress]\nallow = ["127.0.0.1"]', "egress.allow[0]: expected a host and a port"),
        ('[egress]\nallow = "127.0.0.1:1"', "egress.allow: Expected `array`, got `str`"),
        ('[egress]\nhosts = ["127.0.0.1:1"]', "egress.hosts: unknown key"),
        ('[[egress]]\nallow = ["127.0.0.1:1"]', "egress: expected one table"),
    ],
)
def test_what_is_no_place_is_not_allowed(text: str, fault: str) -> None:
    _, faults = file.read(text, {})
    assert any(sentence.startswith(fault) for sentence in faults), faults


def line(account: str, keyword: str, sender: str = "36180") -> str:
    return (
        f'[[line]]\naccount = "{account}"\nsender = "{sender}"\nkind = "short_code"\n'
        f'country = "FR"\nkeyword = "{keyword}"\n'
    )


TWO = "".join(f'[[account]]\nname = "{name}"\ncurrency = "EUR"\n' for name in ("a", "b"))


def test_a_line_s_keyword_is_one_word_in_capitals() -> None:
    rows, faults = file.read(TWO + line("a", "été"), {})
    assert faults == []
    assert [row.keyword for row in rows if isinstance(row, apply.Line)] == ["ÉTÉ"]

    for keyword in ("", "two words", "stop!", "_", "x" * 33):
        _, faults = file.read(TWO + line("a", keyword), {})
        assert faults == ["line[0].keyword: expected one word of letters and digits, at most 32"]
    _, faults = file.read(TWO + line("a", "stop"), {})
    assert faults == [
        "line[0].keyword: phones use this word to opt out, to opt in or to ask for help"
    ]
    named = line("a", "JOIN", "Sluice").replace("short_code", "alphanumeric")
    _, faults = file.read(TWO + named, {})
    assert faults == ["line[0].keyword: phones cannot answer a sender that is alphanumeric"]


def test_two_lines_of_one_number_have_no_keyword_in_common() -> None:
    # Given the same word twice on a number, and once on another
    text = TWO + line("a", "JOIN") + line("b", "join") + line("b", "JOIN", "36181")
    _, faults = file.read(text, {})
    assert faults == [
        "line[0].keyword: account 'b' has 'JOIN' on this number",
        "line[1].keyword: account 'a' has 'JOIN' on this number",
    ]

    # Given a line of the database that has it, Then the file's may not, unless that one changes
    rows, _ = file.read(TWO + line("a", "JOIN"), {})
    current = {row.key: row for row in rows}
    assert file.read(line("b", "join"), current)[1] == [
        "line[0].keyword: account 'a' has 'JOIN' on this number"
    ]
    assert file.read(line("b", "JOIN") + line("a", "WIN"), current)[1] == []
