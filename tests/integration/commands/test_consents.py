"""Consents, as an operator types and proves them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.commands.sluice import Command

ACCOUNT = '[[account]]\nname = "demo"\ncurrency = "EUR"\n'
PHONE, OTHER = "+12025550123", "+12025550124"
HEADING = "number,purpose,given_at,place,wording\n"
ROW = f'{OTHER},marketing,2026-05-02T10:00:00+00:00,"form, shop 3",Offers too.\n'


async def test_a04_an_operator_records_proves_and_withdraws_consents(
    command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "account.toml"
    file.write_text(ACCOUNT)
    assert (await command("apply", str(file))).code == 0
    # Given a consent, typed twice, and a list with one that is none
    given = ("--given-at", "2026-05-02T10:00:00", "--place", "form", "--wording", "Yes.")
    added = [
        (await command("consent", "add", "demo", PHONE, "--purpose", "automated", *given)).output
        for _ in range(2)
    ]
    assert added == ["recorded: 1\n", "recorded: 0\n"]
    consents = tmp_path / "consents.csv"
    consents.write_text(HEADING + ROW + f"{PHONE},everything,2026-05-02,form,Yes.\n06,,,,\n")
    refused = await command("consent", "import", "demo", str(consents))
    assert (refused.code, PHONE in refused.errors) == (2, False)
    assert "row 2: 'everything' is not a valid Purpose" in refused.errors
    assert "row 3: say where it was given, and to which words" in refused.errors
    # When the list is right, Then what comes out goes in, and changes nothing
    consents.write_text(HEADING + ROW)
    assert (await command("consent", "import", "demo", str(consents))).output == "recorded: 1\n"
    consents.write_text((await command("consent", "export", "demo")).output)
    assert (await command("consent", "import", "demo", str(consents))).output == "recorded: 0\n"
    listed = json.loads((await command("consent", "list", "demo", "--json")).output)
    assert [(one["recipient"], one["purpose"], one["source"]) for one in listed] == [
        (PHONE, "automated", "operator"),
        (OTHER, "marketing", "operator"),
    ]
    # When one is withdrawn, Then only with a reason and once, and the proof is still there
    assert (await command("consent", "withdraw", "demo", PHONE, "--reason", " ")).code == 2
    assert (await command("consent", "withdraw", "demo", PHONE, "--reason", "call")).code == 0
    assert (await command("consent", "withdraw", "demo", PHONE, "--reason", "call")).code == 2
    (proof,) = json.loads((await command("consent", "show", "demo", PHONE, "--json")).output)
    assert (proof["place"], proof["wording"], proof["end_reason"]) == ("form", "Yes.", "call")
    assert (await command("consent", "show", "demo", "+12025550125")).code == 2
