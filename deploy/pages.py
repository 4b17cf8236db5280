"""Writes the pages that are made from the code: `python -m deploy.pages` in a checkout.

They are docs/settings.md and deploy/env.example; a test compares them with what this makes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from deploy.local import kept
from services.commands import api, carrier, database, limits, tokens, user
from services.dispatcher import app as dispatcher
from services.dlr import app as dlr
from services.ingest import app as ingest
from services.simulator import options
from services.webhooks import app as webhooks
from shared.runtime import lifecycle, settings, variables

ROOT = Path(__file__).resolve().parents[1]


class Section(NamedTuple):
    """One table of the page. What an earlier section has, a later one does not repeat."""

    title: str
    sentence: str
    kinds: tuple[type, ...]
    prefix: str = variables.PREFIX


SECTIONS = (
    Section("Every process", "Services and the simulator.", (lifecycle.Process,)),
    Section("Every service", "But the simulator.", (settings.ServiceVariables,)),
    Section("Ingest, dispatcher and dlr", "Who works for the queues.", (settings.Servers,)),
    Section("sluice ingest", "The HTTP API and its relay.", (ingest.Settings,)),
    Section("sluice dispatcher", "From the queues to the carriers.", (dispatcher.Settings,)),
    Section("sluice dlr", "From the carriers' receipts to statuses.", (dlr.Settings,)),
    Section("sluice webhooks", "From the log of events to producers.", (webhooks.Settings,)),
    Section(
        "Commands",
        "What is asked at a terminal: `sluice apply`, `sluice send` and the others.",
        (
            database.Database,
            database.Migration,
            limits.Memory,
            tokens.Key,
            carrier.OpeningKey,
            user.HashingCost,
            api.Producer,
        ),
    ),
    Section(
        "sluice simulator",
        "A carrier to practise on. Each is an option of the command too, as in `--smpp-port 2775`;"
        " none can come from a file.",
        (options.Options,),
        options.PREFIX,
    ),
)

_HEAD = """\
# Settings

Made by `python -m deploy.pages` from the definitions in the code; do not edit it here.

A process is told what differs from machine to machine by variables of its environment; accounts,
lines, prices, carriers, routes and limits are data (`sluice apply`). A variable that is missing or
out of its range ends the process before it starts anything, with status 2 and a sentence for each
fault that never shows a value.

- An empty variable counts as not set.
- `NAME_FILE` names a file that holds the value of `NAME` (its ends trimmed), for every variable
  below that is not the simulator's: so secrets stay out of the environment. Where both are set, the
  file counts.
- In a checkout where `./run` has been, the command `sluice` takes what is not set from `.run/env`.
"""

_ENV_HEAD = """\
# Sluice's variables, as docs/settings.md explains them. Made by `python -m deploy.pages`.
# What is required stands alone; the rest shows its default.
"""


def found() -> Iterator[tuple[Section, list[variables.Variable]]]:
    """Each section with the variables that no section before it has."""
    seen: set[str] = set()
    for section in SECTIONS:
        every = [one for kind in section.kinds for one in variables.of(kind, section.prefix)]
        new = [one for one in every if one.name not in seen]
        seen.update(one.name for one in new)
        yield section, new


def settings_page() -> str:
    """docs/settings.md."""
    parts = [_HEAD]
    for section, new in found():
        rows = [(f"`{one.name}`", one.meaning, one.takes, _default(one)) for one in _unique(new)]
        parts.append(
            f"## {section.title}\n\n{section.sentence}\n\n"
            + _table(("variable", "meaning", "takes", "default"), rows)
        )
    launchers = [(f"`{name}`", meaning) for name, meaning in kept.OF_LAUNCHERS.items()]
    given = ", ".join(f"`{name}`" for name in kept.SERVER_URLS)
    parts.append(
        f"## ./run and ./test\n\nThey use your servers for each of {given} that is set, and"
        " private ones for the rest.\n\n" + _table(("variable", "meaning"), launchers)
    )
    return "\n".join(parts)


def env_example() -> str:
    """deploy/env.example."""
    parts = [_ENV_HEAD]
    for section, new in found():
        lines = [f"# {section.title}"]
        for one in _unique(new):
            lines.append(f"# {one.meaning} Takes {one.takes}.")
            value = one.example if one.is_required else one.default
            lines.append(f"{'' if one.is_required else '#'}{one.name}={value}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


PAGES = {"docs/settings.md": settings_page, "deploy/env.example": env_example}


def _unique(several: Iterable[variables.Variable]) -> list[variables.Variable]:
    return list({one.name: one for one in several}.values())


def _default(one: variables.Variable) -> str:
    if one.is_required:
        return "**required**"
    return f"`{one.default}`" if one.default else "none"


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    """Write every page anew; the exit status."""
    for name, make in PAGES.items():
        (ROOT / name).write_text(make(), "utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
