"""How far a job is: bars on a terminal, a line now and then elsewhere; on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import rich.console
import rich.progress

_LINE_SECONDS: Final = 2.0


class Bar(Protocol):
    """Something that shows how far a job is."""

    def accepted(self, count: int, refused_count: int) -> None:
        """So many messages were accepted and refused until now."""

    def ended(self, count: int) -> None:
        """So many messages have come to their end until now."""


class _Bars:
    def __init__(self, drawn: rich.progress.Progress, total: int, *, follow: bool) -> None:
        self._drawn = drawn
        self._sending = drawn.add_task("accepted", total=total)
        self._following = drawn.add_task("ended", total=total) if follow else None

    def accepted(self, count: int, refused_count: int) -> None:
        self._drawn.update(self._sending, completed=count + refused_count)
        if self._following is not None:
            # Refused messages will not be heard of.
            total = self._drawn.tasks[self._sending].total or 0
            self._drawn.update(self._following, total=total - refused_count)

    def ended(self, count: int) -> None:
        if self._following is not None:
            self._drawn.update(self._following, completed=count)


class _Lines:
    def __init__(self, console: rich.console.Console, total: int) -> None:
        self._console = console
        self._total = total
        self._next_at = 0.0

    def accepted(self, count: int, refused_count: int) -> None:
        self._say(f"accepted {count:,}, refused {refused_count:,} of {self._total:,}")

    def ended(self, count: int) -> None:
        self._say(f"ended {count:,} of {self._total:,}")

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + _LINE_SECONDS
            self._console.print(text, highlight=False)


@contextmanager
def shown(total: int, *, follow: bool) -> Iterator[Bar]:
    """Show progress towards `total` messages while the body runs."""
    console = rich.console.Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console, total)
        return
    columns = (
        rich.progress.TextColumn("{task.description:<8}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
    )
    with rich.progress.Progress(*columns, console=console) as drawn:
        yield _Bars(drawn, total, follow=follow)
