"""Where a sampled role's CPU goes: by function, by our functions with all they call, by package."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import fleet

Frame = tuple[str, str]
"""Where the code lives, and the function's qualified name."""

_PACKAGES = "site-packages/"


@dataclass(frozen=True, slots=True)
class Profile:
    """Samples counted. `own`: a function itself, with C that it calls; `under`: functions of ours
    with everything they call; `packages`: the package of the innermost Python function."""

    sample_count: int
    own: Counter[Frame]
    under: Counter[Frame]
    packages: Counter[str]


def profile(samples: Path, started_at: float, ended_at: float) -> Profile:
    """Count the samples taken between two Unix times in seconds."""
    own: Counter[Frame] = Counter()
    under: Counter[Frame] = Counter()
    packages: Counter[str] = Counter()
    count = 0
    for at, stack in _read(samples):
        if not started_at <= at <= ended_at or not stack:
            continue
        count += 1
        own[stack[0]] += 1
        packages[_package(stack[0][0])] += 1
        under.update({frame for frame in stack if _is_ours(frame[0])})
    return Profile(count, own, under, packages)


def _read(samples: Path) -> Iterator[tuple[float, list[Frame]]]:
    with samples.open() as lines:
        for line in lines:
            at, frames = json.loads(line)
            yield at, _named([(_place(path), name) for path, _, name in frames])


def _named(stack: list[Frame]) -> list[Frame]:
    """The stack with code that has no file of its own named after its caller."""
    while len(stack) > 1 and stack[0][0].startswith("<"):
        (_, name), (place, caller) = stack[:2]
        stack = [(place, f"{name.rpartition('.')[2]} in {caller}"), *stack[2:]]
    return stack


def _place(path: str) -> str:
    if _PACKAGES in path:
        return path.rpartition(_PACKAGES)[2]
    if path.startswith(f"{fleet.ROOT}/"):
        return path.removeprefix(f"{fleet.ROOT}/")
    return path.rpartition("/lib/")[2]


def _is_ours(place: str) -> bool:
    return place.startswith(("services/", "shared/"))


def _package(place: str) -> str:
    parts = place.split("/")
    if _is_ours(place):
        return "/".join(parts[:2])
    if parts[0].startswith("python3"):
        return f"stdlib {parts[1].removesuffix('.py')}" if len(parts) > 1 else parts[0]
    return parts[0].removesuffix(".py")
