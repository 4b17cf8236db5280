"""The command line as a whole: one command is read, the others are only listed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import NamedTuple

import cyclopts

from shared.runtime import variables

_EPILOGUE = """\
Every variable is explained in docs/settings.md; those of a role in its own help. In a checkout
where ./run has been, what is not set comes from .run/env.

Exit status: 0 done, 1 a check failed, 2 bad usage or input, 3 a server cannot be reached."""
_ROLES = cyclopts.Group("Roles (each is one process; start as many as you like)", sort_key=1)
_OPERATION = cyclopts.Group("Operation", sort_key=2)


class Command(NamedTuple):
    """One line of the list; `place` is module:function or module:app."""

    name: str
    place: str
    sentence: str


def made(
    roles: Sequence[Command], operation: Sequence[Command], arguments: Sequence[str]
) -> cyclopts.App:
    """The command line. A command that `arguments` name tells its own help, and a role's ends with
    the variables it reads; the others are listed by their sentence, unread."""
    app = cyclopts.App(
        name="sluice",
        help="A queue-driven SMS platform: send, operate, audit.",
        help_epilogue=_EPILOGUE,
        help_format="markdown",
        version_flags=[],
    )
    for group, commands in ((_ROLES, roles), (_OPERATION, operation)):
        for command in commands:
            if [command.name] != [*arguments[:1]]:
                app.command(command.place, name=command.name, help=command.sentence, group=group)
            elif command.place.endswith(":main"):
                told = variables.as_help(_read_by(command))
                app.command(command.place, name=command.name, group=group, help_epilogue=told)
            else:
                app.command(command.place, name=command.name, group=group)
    return app


def _read_by(role: Command) -> list[variables.Variable]:
    from shared.runtime import lifecycle

    module = importlib.import_module(role.place.partition(":")[0])
    return [*variables.of(module.Settings), *variables.of(lifecycle.Process)]
