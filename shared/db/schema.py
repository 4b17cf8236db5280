"""The schema as numbered files, and which code may live on which of them.

A schema grows in two steps, so that a roll-out needs no silence. An *expand* only adds: code that
knows nothing of it lives on. A *contract* takes away what only old code needs, and says from which
number on code is served; it waits until no older process is left. The number of a code is that of
its newest file. Files that have been released are never edited.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import NamedTuple

from shared.runtime import exits

_NAME = re.compile(r"(\d{4})_[a-z][a-z0-9_]*\.sql")
_KIND = re.compile(r"-- (?:expand|contract: serves code from (\d+))")
_UNMARKED = "0001_spine.sql"
"""Released before files said what they are: an expand."""


class SchemaMismatch(exits.NotDone):
    """This database and this code do not go together; the text says what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(exits.FAILED, text)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `serves_from` is the least number of code that lives on after it; 0 is all."""

    number: int
    name: str
    sql: str
    serves_from: int = 0

    @property
    def sha256(self) -> str:
        """What tells an edited file from the one that was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Applied(NamedTuple):
    """What a database says of a migration it has seen; a row of `schema_migrations`."""

    number: int
    name: str
    sha256: str
    serves_from: int


def parse(name: str, sql: str) -> Migration:
    """The migration in a file. Raises ValueError when name or first line are not of the house."""
    named, kind = _NAME.fullmatch(name), _KIND.fullmatch(sql.partition("\n")[0])
    if not named:
        raise ValueError(f"{name}: a migration is named like 0002_roles.sql")
    if not kind and name != _UNMARKED:
        raise ValueError(
            f"{name}: its first line must say `-- expand` or `-- contract: serves ...`"
        )
    serves_from = kind and kind.group(1)
    return Migration(int(named.group(1)), name, sql, int(serves_from or 0))


@cache
def known() -> tuple[Migration, ...]:
    """Every migration this code knows, in order."""
    folder = resources.files("shared.db") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(parse(name, (folder / name).read_text("utf-8")) for name in names)


def number_of(migrations: Iterable[Migration]) -> int:
    """The number of the code that knows these."""
    return max((migration.number for migration in migrations), default=0)


def application_name(process: str) -> str:
    """How a process of this code calls itself to PostgreSQL, so that contracts can wait for it."""
    return f"sluice-{process}/{number_of(known())}"


def code_number(application_name: str) -> int:
    """The number of the code behind an application name; the first release told none."""
    number = application_name.rpartition("/")[2]
    return int(number) if number.isdecimal() else 1


def refuse_strangers(migrations: Iterable[Migration], applied: Mapping[int, Applied]) -> None:
    """Raise SchemaMismatch if code that knows these cannot live on what the database has seen."""
    files = {migration.number: migration for migration in migrations}
    code = number_of(files.values())
    for number, row in sorted(applied.items()):
        file = files.get(number)
        if file is None and number < code:
            raise SchemaMismatch(
                f"the database has {row.name}, and this code has no such file: "
                "it is incomplete, install it anew"
            )
        if file is not None and file.sha256 != row.sha256:
            raise SchemaMismatch(
                f"{row.name} was changed after it had been applied: "
                "install the version that the database was migrated with, or a later one"
            )
        if row.serves_from > code:
            raise SchemaMismatch(
                f"the database has {row.name}, which serves code from schema {row.serves_from} on, "
                f"and this code is of schema {code}: start a newer version"
            )


def refuse_gaps(migrations: Iterable[Migration], applied: Mapping[int, Applied]) -> None:
    """Raise SchemaMismatch if the database lacks what code that knows these builds on. Contracts
    may wait: nothing builds on them."""
    if not applied:
        raise SchemaMismatch("the database is empty: run `sluice migrate`")
    for migration in migrations:
        if not migration.serves_from and migration.number not in applied:
            raise SchemaMismatch(
                f"the database lacks {migration.name}, which this code needs: "
                "run `sluice migrate` of this version"
            )
