"""The command `sluice`: the list of everything that runs.

What a command needs is imported when it is called, so that each process loads its own role only.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from services.commands import exits
from services.simulator.options import InvalidOptions, Options
from shared.runtime import settings

_EPILOGUE = """\
Servers and keys come from SLUICE_DATABASE_URL, SLUICE_AMQP_URL, SLUICE_REDIS_URL and
SLUICE_SECRET_KEY; in a checkout where ./run has been, from .run/env.

Exit status: 0 done, 1 a check failed, 2 bad usage or input, 3 a server cannot be reached."""

Json = Annotated[bool, Parameter(name="--json", negative="")]
"""Print JSON, for programs."""

app = cyclopts.App(
    name="sluice",
    help="A queue-driven SMS platform: send, operate, audit.",
    help_epilogue=_EPILOGUE,
    help_format="markdown",
    version_flags=[],
)
_roles = cyclopts.Group("Roles (each is one process; start as many as you like)", sort_key=1)
_operation = cyclopts.Group("Operation", sort_key=2)
_token = cyclopts.App(name="token", help="Bearer tokens of an account.", group=_operation)
_account = cyclopts.App(name="account", help="Accounts, their money, counts.", group=_operation)
_simulator = cyclopts.App(
    name="simulator",
    group=_roles,
    config=cyclopts.config.Env("SLUICE_SIMULATOR_", command=False),
)
for _part in (_token, _account, _simulator):
    app.command(_part)


@app.command(group=_roles)
def ingest() -> int:
    """Take requests of producers: the HTTP API.

    Example: SLUICE_INGEST_PORT=8080 sluice ingest
    """
    from services.ingest import app as role

    return role.main()


@app.command(group=_roles)
def dispatcher() -> int:
    """Hold messages to their limits and submit them to carriers.

    Example: sluice dispatcher
    """
    from services.dispatcher import app as role

    return role.main()


@app.command(group=_roles)
def dlr() -> int:
    """Take the carriers' receipts and tell producers what became of their messages.

    Example: SLUICE_DLR_PORT=8081 sluice dlr
    """
    from services.dlr import app as role

    return role.main()


@_simulator.default
def simulator(options: Annotated[Options | None, Parameter(name="*")] = None) -> int:
    """Be a carrier to practise on, over SMPP and HTTP.

    Example: sluice simulator --smpp-port 2775 --http-port 8089 --undelivered-share 0.05
             --delivered-share 0.95 --receipt-max-ms 2000
    """
    from services.simulator import simulator as role
    from shared.runtime import lifecycle

    wanted = options or Options()
    return lifecycle.run("simulator", lambda stop: role.run(wanted, stop))


@app.command(group=_operation)
def migrate(*, wait: float = 0.0) -> int:
    """Bring the database to the newest schema, while services run. Running it twice does no harm.

    A roll-out: run `sluice migrate` of the new version, start new processes, stop the old ones, run
    it again. What the new version adds is applied at once, and old processes live on; what would
    take something from them waits, is named, and is applied when the last of them is gone.

    Connects by SLUICE_MIGRATION_DATABASE_URL, if that is set, as the schema's owner.

    Example: sluice migrate

    Parameters
    ----------
    wait
        Seconds to wait for old processes to end; then exit status 1 if some still run.
    """
    from services.commands import migrate as command

    return _run(command.run(wait_seconds=wait))


@app.command(group=_operation)
def apply(
    file: Path, /, *, dry_run: Annotated[bool, Parameter(name="--dry-run", negative="")] = False
) -> int:
    """Load accounts, lines, prices, carriers, routes and limits from a TOML file.

    The whole file is checked and the difference shown before anything is written; running
    processes follow within two seconds. What the file does not name stays as it is, but the routes
    of a country it names are replaced.

    Example: sluice apply operator.toml --dry-run

    Parameters
    ----------
    file
        The file.
    dry_run
        Show the difference and write nothing.
    """
    from services.commands.configuration import apply as command

    return _run(command.run(file, dry_run=dry_run))


@app.command(group=_operation)
def openapi() -> int:
    """Print the description of the HTTP API, OpenAPI 3.1 in JSON.

    Example: sluice openapi > openapi.json
    """
    from services.ingest.native import openapi as description

    sys.stdout.buffer.write(description.encoded())
    return exits.OK


@_token.command(name="create")
def token_create(
    account: str, name: str, /, *, expires_in: str | None = None, as_json: Json = False
) -> int:
    """Make a token for an account and show it, once.

    Example: sluice token create demo laptop --expires-in 90d --json

    Parameters
    ----------
    account
        The account's name.
    name
        What to know the token by; an account has ten at most.
    expires_in
        For how long it is good: 30m, 12h, 90d. Without it: until it is revoked.
    as_json
        Print {"account", "name", "token"}.
    """
    from services.commands import tokens as command

    return _run(command.create(account, name, expires_in=expires_in, as_json=as_json))


@_token.command(name="list")
def token_list(
    account: str,
    /,
    *,
    ended: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> int:
    """List an account's tokens: name, creation, expiry, last use to the minute; never the token.

    Example: sluice token list demo --ended

    Parameters
    ----------
    account
        The account's name.
    ended
        Also those that were revoked or have expired.
    as_json
        Print {"tokens": [...]}.
    """
    from services.commands import tokens as command

    return _run(command.show_all(account, ended=ended, as_json=as_json))


@_token.command(name="revoke")
def token_revoke(account: str, name: str, /) -> int:
    """End a token: no process serves it after a second. Its name may be used again.

    Example: sluice token revoke demo laptop

    Parameters
    ----------
    account
        The account's name.
    name
        The token's name.
    """
    from services.commands import tokens as command

    return _run(command.revoke(account, name))


@_account.command(name="show")
def account_show(name: str, /, *, as_json: Json = False) -> int:
    """Show an account's balance, limits, and messages by status.

    Example: sluice account show demo --json

    Parameters
    ----------
    name
        The account's name.
    as_json
        Print JSON, for programs.
    """
    from services.commands import account as command

    return _run(command.show(name, as_json=as_json))


@_account.command(name="credit")
def account_credit(
    name: str, amount: Annotated[str, Parameter(allow_leading_hyphen=True)], /, *, reason: str
) -> int:
    """Put money into an account's wallet.

    Example: sluice account credit demo 250.00 --reason "invoice 2031"

    Parameters
    ----------
    name
        The account's name.
    amount
        A decimal such as 12.50, in the account's currency.
    reason
        Kept with the transfer.
    """
    from services.commands import account as command

    return _run(command.credit(name, amount, reason=reason))


@_account.command(name="list")
def account_list() -> int:
    """List all accounts with their balances.

    Example: sluice account list
    """
    from services.commands import account as command

    return _run(command.show_all())


@app.command(group=_operation)
def audit(*, as_json: Json = False) -> int:
    """Prove on one snapshot that money, states, work and events agree; name each row that does not.

    Example: sluice audit --json

    Parameters
    ----------
    as_json
        Print {"ok", "checks": [...]}.
    """
    from services.commands import audit as command

    return _run(command.run(as_json=as_json))


@app.command(group=_operation)
def send(
    file: Path,
    /,
    *,
    follow: Annotated[bool, Parameter(negative="")] = False,
    timeout: float = 300.0,
    as_json: Json = False,
) -> int:
    """Send a file of messages through the API, as any producer would.

    CSV with a heading, or JSON lines: to,text and if you like from, reference, class, delivery,
    send_at, valid_for, max_segments, max_price. Needs SLUICE_API_URL and SLUICE_TOKEN.

    Example: sluice send campaign.csv --follow

    Parameters
    ----------
    file
        The file.
    follow
        Wait until every message has come to its end, and show how.
    timeout
        Seconds to wait for that.
    as_json
        Print the result as JSON.
    """
    from services.commands import send as command

    return _run(command.run(file, follow=follow, timeout_seconds=timeout, as_json=as_json))


def _run(command: Coroutine[None, None, int]) -> int:
    return asyncio.run(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    checkout = Path(__file__).resolve().parents[1]
    for name, value in settings.read_file(checkout / ".run" / "env").items():
        os.environ.setdefault(name, value)
    try:
        answer = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except cyclopts.CycloptsError as error:
        return _complain(f"{error} See sluice --help.", exits.BAD_INPUT)
    except (InvalidOptions, settings.SettingsError) as error:
        return _complain(str(error), exits.BAD_INPUT)
    except exits.Refusal as refusal:
        return _complain(str(refusal), refusal.code)
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
