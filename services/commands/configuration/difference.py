"""What a file would change: pure comparison of what is with what is wanted, and its wording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

from services.commands.configuration import carriers
from shared.db import apply
from shared.ledger import money


@dataclass(frozen=True, slots=True)
class Change:
    """One row before and after; None: it is not there."""

    before: apply.Row | None
    after: apply.Row | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Changes in an order in which they can be written, and how many rows stay as they are."""

    changes: tuple[Change, ...]
    unchanged_count: int


def between(current: apply.Rows, wanted: Sequence[apply.Row]) -> Difference:
    """How to come from `current` to `wanted`; what `wanted` does not name stays, but for the
    routes of countries it names and the default line of an account that gets another."""
    changes = [*_given_up(current, wanted)]
    unchanged_count = 0
    for row in sorted(wanted, key=_writing_order):
        before = current.get(row.key)
        if row == before or _is_given(row, before):
            unchanged_count += 1
        else:
            changes.append(Change(before, row))
    return Difference(tuple(changes), unchanged_count)


def _writing_order(row: apply.Row) -> tuple[bool, bool]:
    """Credits last, for they need wallets; default lines after those that cease to be; and then
    routes, which name lines."""
    is_default_line = isinstance(row, apply.Line) and row.is_default
    return isinstance(row, apply.Credit), is_default_line or isinstance(row, apply.Route)


def _is_given(row: apply.Row, before: apply.Row | None) -> bool:
    """Whether a credit has been made in full: it is topped up, never taken back."""
    return (
        isinstance(row, apply.Credit)
        and isinstance(before, apply.Credit)
        and before.amount_micro >= row.amount_micro
    )


def _given_up(current: apply.Rows, wanted: Sequence[apply.Row]) -> Iterator[Change]:
    keys = {row.key for row in wanted}
    countries = {row.country for row in wanted if isinstance(row, apply.Route)}
    accounts = {row.account for row in wanted if isinstance(row, apply.Line) and row.is_default}
    for key, row in sorted(current.items()):
        if key in keys:
            continue
        if isinstance(row, apply.Route) and row.country in countries:
            yield Change(row, None)
        elif isinstance(row, apply.Line) and row.is_default and row.account in accounts:
            yield Change(row, replace(row, is_default=False))


def lines(difference: Difference) -> Iterator[str]:
    """The difference for people, one line a change, credentials hidden."""
    for change in difference.changes:
        row = change.after or change.before
        if row is not None:
            yield f"{_sign(change)} {' '.join(row.key)}{_detail(change)}"
    if not difference.changes:
        yield f"nothing to change ({difference.unchanged_count} entries as they should be)"
    elif difference.unchanged_count:
        yield f"= {difference.unchanged_count} more unchanged"


def _sign(change: Change) -> str:
    if change.before is None:
        return "+"
    return "-" if change.after is None else "~"


def _detail(change: Change) -> str:
    if change.after is None:
        return ""
    after = _shown(change.after)
    if change.before is None:
        parts: Iterable[str] = (f"{name} {value}" for name, value in after.items())
    else:
        before = _shown(change.before)
        parts = (
            f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}"
            for name in {**before, **after}
            if _differs(change, name, before, after)
        )
    return ": " + ", ".join(parts)


def _differs(change: Change, name: str, before: dict[str, str], after: dict[str, str]) -> bool:
    """Whether a value differs, also where both are hidden."""
    if before.get(name) != after.get(name):
        return True
    return (
        isinstance(change.before, apply.Carrier)
        and isinstance(change.after, apply.Carrier)
        and change.before.settings.get(name) != change.after.settings.get(name)
    )


def _shown(row: apply.Row) -> dict[str, str]:
    """What a row says besides its key."""
    shown: dict[str, str] = {}
    for place, item in enumerate(fields(row), 1):
        value = getattr(row, item.name)
        if item.name == "settings" or (place < len(row.key) and value in row.key[1:]):
            continue
        if value is None:
            continue
        if isinstance(value, tuple):
            shown[item.name] = " ".join(value) or "none"
        elif item.name.endswith("_micro"):
            shown[item.name.removesuffix("_micro")] = money.format_amount(value)
        else:
            shown[item.name] = str(value)
    if isinstance(row, apply.Carrier):
        shown.update(carriers.shown(row))
    return shown
