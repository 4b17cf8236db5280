"""Opt-outs, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg

from tests.integration.commands.sluice import Command

ACCOUNT = '[[account]]\nname = "demo"\ncurrency = "EUR"\n'
PHONE, OTHER = "+33612345678", "+33612345679"


async def test_an_operator_opts_phones_out_and_in_and_what_is_exported_can_be_imported(
    command: Command, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "account.toml"
    file.write_text(ACCOUNT)
    assert (await command("apply", str(file))).code == 0
    # Given a phone that is opted out, and a list with it, another, and what is no number
    assert (await command("opt-out", "add", "demo", PHONE, "--reason", "letter")).code == 0
    phones = tmp_path / "phones.csv"
    phones.write_text(f"number\n{PHONE}\n{OTHER},whatever\n06\n")
    refused = await command("opt-out", "import", "demo", str(phones), "--reason", "list")
    assert (refused.code, PHONE in refused.errors) == (2, False)
    assert "number 3: " in refused.errors
    # When the list is right, and imported twice
    phones.write_text(f"number\n{PHONE}\n{OTHER},whatever\n")
    said = [
        (await command("opt-out", "import", "demo", str(phones), "--reason", "list")).output
        for _ in range(2)
    ]
    assert said == ["opted out: 1\n", "opted out: 0\n"]
    # Then both are there, each with its own reason, and come in by what comes out
    listed = json.loads((await command("opt-out", "list", "demo", "--json")).output)
    assert [(one["recipient"], one["source"], one["reason"]) for one in listed] == [
        (PHONE, "operator", "letter"),
        (OTHER, "operator", "list"),
    ]
    phones.write_text((await command("opt-out", "export", "demo")).output)
    again = await command("opt-out", "import", "demo", str(phones), "--reason", "again")
    assert again.output == "opted out: 0\n"
    # When one of them is to end, Then only with a reason, and once
    assert (await command("opt-out", "remove", "demo", PHONE, "--reason", " ")).code == 2
    assert (await command("opt-out", "remove", "demo", PHONE, "--reason", "call")).code == 0
    assert (await command("opt-out", "remove", "demo", PHONE, "--reason", "call")).code == 2
    owner = await asyncpg.connect(database_url, timeout=10)
    try:
        kept = await owner.fetch("SELECT ended_by, end_reason FROM opt_outs ORDER BY opt_out_id")
    finally:
        await owner.close(timeout=10)
    assert [tuple(row) for row in kept] == [("operator", "call"), (None, None)]
