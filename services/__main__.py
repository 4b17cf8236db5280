"""The command `sluice`: the list of everything that runs.

A command is a function, or the app of a noun, in a file of its own. It is imported when it is named
and not before, so that each process loads its own role only, and the list costs no more than this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cyclopts

from services.commands import command_line
from services.commands.command_line import Command
from shared.runtime import exits, settings

RUN_FILE = Path(__file__).resolve().parents[1] / ".run" / "env"
"""What ./run wrote, where the command is called in a checkout."""

ROLES = (
    Command("ingest", "services.ingest.app:main", "Take requests of producers: the HTTP API."),
    Command(
        "dispatcher",
        "services.dispatcher.app:main",
        "Hold messages to their limits and submit them to carriers.",
    ),
    Command(
        "dlr",
        "services.dlr.app:main",
        "Take the carriers' receipts and tell producers what became of their messages.",
    ),
    Command("webhooks", "services.webhooks.app:main", "Tell producers' webhooks what happened."),
    Command(
        "simulator",
        "services.simulator.command:app",
        "Be a carrier to practise on, over SMPP and HTTP.",
    ),
)
OPERATION = (
    Command(
        "migrate",
        "services.commands.migrate:run",
        "Bring the database to the newest schema, while services run. Running it twice does no"
        " harm.",
    ),
    Command(
        "apply",
        "services.commands.configuration.apply:run",
        "Load accounts, lines, prices, carriers, routes and limits from a TOML file.",
    ),
    Command(
        "carrier",
        "services.commands.carrier:app",
        "Carriers: what they are set to, what they answer, a test through one.",
    ),
    Command("token", "services.commands.tokens:app", "Bearer tokens of an account."),
    Command("account", "services.commands.account:app", "Accounts, their money, counts."),
    Command("user", "services.commands.user:app", "People who sign in to an account."),
    Command(
        "line",
        "services.commands.line:app",
        "Lines: what they can, whom they serve, what they are registered for.",
    ),
    Command(
        "stats",
        "services.commands.stats:run",
        "Show what an account has sent in three months, counted by day and more.",
    ),
    Command(
        "route",
        "services.commands.route:app",
        "Where messages go, and how carriers fare.",
    ),
    Command("limits", "services.commands.limits:app", "What is used of limits."),
    Command("price", "services.commands.price:app", "What a segment costs by country, and when."),
    Command(
        "invoice",
        "services.commands.invoice:app",
        "Invoices: what was issued to whom, and the documents.",
    ),
    Command(
        "spending",
        "services.commands.spending:app",
        "What accounts may spend, what they have spent, and what is held back.",
    ),
    Command(
        "support", "services.commands.support:app", "What accounts have asked the operator for."
    ),
    Command(
        "message",
        "services.commands.message:app",
        "A message and its whole way; another time, or none.",
    ),
    Command(
        "inbound",
        "services.commands.inbound:run",
        "List what phones have sent that belongs to no account, the newest first.",
    ),
    Command(
        "opt-out", "services.commands.opt_outs:app", "Phones that an account must not write to."
    ),
    Command(
        "consent",
        "services.commands.consents:app",
        "Phones that have agreed to an account's messages.",
    ),
    Command(
        "audit",
        "services.commands.audit:run",
        "Prove on one snapshot that money, states, work and events agree; name each row that does"
        " not.",
    ),
    Command(
        "ledger",
        "services.commands.ledger:app",
        "The chain of hashes over all movements of money.",
    ),
    Command(
        "deposit",
        "services.commands.deposits:app",
        "Deposits by card: what is held, judged, disputed.",
    ),
    Command("terms", "services.commands.terms:app", "The text that payers agree to with an order."),
    Command(
        "send",
        "services.commands.send:run",
        "Send a file of messages through the API, as any producer would.",
    ),
    Command(
        "openapi",
        "services.ingest.native.openapi:show",
        "Print the description of the HTTP API, OpenAPI 3.1 in JSON.",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, and leaves the environment as it was."""
    with settings.completed_from(RUN_FILE):
        return _run(sys.argv[1:] if arguments is None else arguments)


def _run(given: Sequence[str]) -> int:
    try:
        answer = command_line.made(ROLES, OPERATION, given)(
            given, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except cyclopts.CycloptsError as error:
        return _complain(f"{error} See sluice --help.", exits.BAD_INPUT)
    except settings.SettingsError as error:
        return _complain(str(error), exits.BAD_INPUT)
    except exits.NotDone as ended:
        return _complain(str(ended), ended.code)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    return answer if isinstance(answer, int) else exits.OK


def _complain(text: str, code: int) -> int:
    for line in text.splitlines():
        print(f"sluice: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
