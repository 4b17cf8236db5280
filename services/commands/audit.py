"""`sluice audit`: the verdict on the platform's books, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import rich.console
import rich.table

from services.commands import database
from services.commands.arguments import Json
from shared.db import audit
from shared.runtime import exits


async def run(*, as_json: Json = False) -> int:
    """Prove on one snapshot that money, states, work and events agree; name each row that does not.

    Example: sluice audit --json

    Parameters
    ----------
    as_json
        Print {"ok", "checks": [...]}.
    """
    async with database.connected(statement_seconds=audit.STATEMENT_SECONDS) as connection:
        findings = await audit.examine(connection)
    ok = not any(finding.is_breach for finding in findings)
    if as_json:
        print(json.dumps({"ok": ok, "checks": [_as_data(finding) for finding in findings]}))
    else:
        _print(findings, ok)
    return exits.OK if ok else exits.FAILED


def _as_data(finding: audit.Finding) -> dict[str, object]:
    return {
        "name": finding.check.name,
        "proves": finding.check.proves,
        "examined": finding.examined_count,
        "breaches": finding.breach_count,
        "warning": finding.check.warns_only,
        "rows": finding.rows,
    }


def _print(findings: Sequence[audit.Finding], ok: bool) -> None:
    console = rich.console.Console(highlight=False)
    table = rich.table.Table("check", "what it proves", box=None)
    table.add_column("rows", justify="right")
    table.add_column("breaches", justify="right")
    for finding in findings:
        style = "red" if finding.is_breach else "yellow" if finding.breach_count else "green"
        table.add_row(
            finding.check.name,
            finding.check.proves,
            f"{finding.examined_count:,}",
            f"[{style}]{finding.breach_count:,}[/]",
        )
    console.print(table)
    for finding in findings:
        for row in finding.rows:
            named = " ".join(f"{name}={value}" for name, value in row.items())
            word = "breach" if finding.is_breach else "warning"
            console.print(f"{word} of {finding.check.name}: {named}", markup=False, soft_wrap=True)
    console.print("audit: all books agree" if ok else "audit: BREACHED", style="bold")
