"""`sluice price`, `spending`, `support` and `invoice`: what operators see and change of money."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import asyncpg
import pytest

from shared.db import support
from shared.runtime import ids
from tests.integration.commands.sluice import Command
from tests.integration.invoices import seller

OPERATOR = """
[platform.legal_entity]
code = "ACME"
name = "Acme SARL"
address = ["1 rue X", "75001 Paris"]
country = "FR"
time_zone = "Europe/Paris"
vat = [{ treatment = "domestic", percent = "20" }]
[[account]]
name = "demo"
currency = "EUR"
[[billing]]
account = "demo"
name = "Demo & Cie"
address = ["2 rue Y"]
country = "DE"
language = "de"
[[price]]
country = "FR"
amounts = { EUR = "0.04", USD = "0.05" }
[[price]]
country = "FR"
currency = "EUR"
amount = "0.06"
from = 2099-01-01T00:00:00+01:00
[[spending_cap]]
account = "demo"
day = "50"
[[spending_cap]]
account = "demo"
country = "FR"
hour = "2.50"
[[velocity_guard]]
account = "demo"
floor = 40
"""


@pytest.fixture
async def applied(command: Command, tmp_path: Path) -> Command:
    """What an operator has set."""
    file = tmp_path / "operator.toml"
    file.write_text(OPERATOR)
    first = await command("apply", str(file))
    assert first.code == 0, first.errors
    assert "+ price FR EUR from 2098-12-31T23:00:00+00:00: amount 0.06" in first.output
    assert "+ spending_cap demo FR: hour 2.50" in first.output
    assert "+ velocity_guard demo: floor 40, factor 3" in first.output
    assert "+ legal_entity ACME" in first.output
    # Applying it again changes nothing.
    second = await command("apply", str(file))
    assert "nothing to change" in second.output, second.output
    return command


async def test_m23_the_list_is_shown_and_what_was_announced_is_taken_back(
    applied: Command,
) -> None:
    shown = json.loads((await applied("price", "list", "FR", "--json")).output)
    assert [(each["currency"], each["amount"], each["until"]) for each in shown] == [
        ("EUR", "0.04", "2098-12-31T23:00:00Z"),
        ("EUR", "0.06", None),
        ("USD", "0.05", None),
    ]
    begins = shown[1]["from"]
    done = await applied("price", "take-back", "FR", "EUR", begins)
    assert done.code == 0, done.errors
    again = await applied("price", "take-back", "FR", "EUR", begins)
    assert (again.code, again.errors.count("\n")) == (2, 1)
    left = await applied("price", "list", "--currency", "EUR")
    assert left.output.count("FR") == 1


async def test_caps_and_the_guard_are_shown_and_the_guard_is_lifted(applied: Command) -> None:
    lifted = await applied("spending", "lift", "demo", "CI", "--reason", "asked by phone")
    assert lifted.code == 0, lifted.errors
    shown = json.loads((await applied("spending", "show", "demo", "--json")).output)
    assert [(cap["country"], cap["window"], cap["limit"]) for cap in shown["caps"]] == [
        (None, "day", "50.00"),
        ("FR", "hour", "2.50"),
    ]
    (country,) = shown["guard"]
    assert (country["country"], country["allowed"]) == ("CI", 40)
    assert country["lifted_until"] is not None
    assert (await applied("spending", "lift", "demo", "Mali", "--reason", "x")).code == 2
    assert "CI" in (await applied("spending", "show", "demo")).output


async def test_m03_requests_are_listed_and_answered(
    owner: asyncpg.Connection, applied: Command
) -> None:
    async with owner.transaction():
        asked, _ = await support.ask(
            owner, ids.uuid7(), 1, support.Topic.COUNTRY, "AQ", "[bold]penguins"
        )
    listed = await applied("support", "list")
    assert "AQ" in listed.output
    assert "[bold]penguins" in listed.output
    closed = await applied("support", "close", str(asked.support_request_id), "--answer", "Yes.")
    assert closed.code == 0, closed.errors
    assert json.loads((await applied("support", "list", "--json")).output) == []
    again = await applied("support", "close", str(asked.support_request_id), "--answer", "No.")
    assert again.code == 2


async def test_m40_an_invoice_is_shown_and_written_to_a_file(
    owner: asyncpg.Connection, applied: Command, tmp_path: Path
) -> None:
    # Given a deposit that was credited
    async with owner.transaction():
        issued = await seller.credit(owner, seller.deposit(1, 12_000_000))
    assert issued.name.startswith("ACME-")

    # Then the operator finds its invoice, with the tax that is usual for a consumer in the Union
    listed = json.loads((await applied("invoice", "list", "demo", "--json")).output)
    assert [each["number"] for each in listed] == [issued.name]
    assert (listed[0]["vat"], listed[0]["vat_treatment"]) == ("2.00", "eu_consumer")
    assert issued.name in (await applied("invoice", "list")).output

    # And its document, which is the same each time
    files = [tmp_path / name for name in ("one.pdf", "two.pdf")]
    for file in files:
        done = await applied("invoice", "show", issued.name, "--pdf", str(file))
        assert done.code == 0, done.errors
        assert hashlib.sha256(file.read_bytes()).hexdigest() in done.output
    assert files[0].read_bytes() == files[1].read_bytes()
    assert (await applied("invoice", "show", "ACME-1999-000001")).code == 2
