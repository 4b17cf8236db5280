"""What a person at the terminal sees: one line a step, with the time it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Exit codes of ./run and ./test besides those of what they run.
EXIT_REFUSED = 2
EXIT_UNAVAILABLE = 3


class Stop(Exception):
    """Ends the launcher with a message a person can act on, and an exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def say(text: str = "") -> None:
    """Print a line now."""
    print(text, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Show `title` while the block runs, then whether it worked and its seconds."""
    live = sys.stdout.isatty()
    if live:
        print(f"  …  {title}", end="", flush=True)
    began = time.monotonic()
    mark = "failed"
    try:
        yield
        mark = "ok"
    finally:
        start = "\r\033[K" if live else ""
        say(f"{start}  {mark:<6} {title} ({time.monotonic() - began:.1f} s)")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn the launcher's own stops, and nothing else, into a message and an exit code."""
    try:
        yield
    except Stop as stop:
        print(f"\n{stop}", file=sys.stderr, flush=True)
        sys.exit(stop.exit_code)
    except PermissionError as error:
        print(f"\nNot allowed: {error}. Was it made by another user?", file=sys.stderr, flush=True)
        sys.exit(EXIT_REFUSED)
    except KeyboardInterrupt:
        sys.exit(130)
