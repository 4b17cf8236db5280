"""Ours and Kannel in one run, in turn, so that what the machine does meanwhile meets both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from tests.bench import contender, course, figures, kannel, stage

_WARM_UP_COUNT = 500


@dataclass(frozen=True, slots=True)
class Ratio:
    """A load of ours against a rival: receipts recorded a second, and CPU per message."""

    rate: float
    cpu: float


def setups(windows: Sequence[int]) -> list[kannel.Setup]:
    """In memory and with its spool, with each of these windows."""
    return [kannel.Setup(with_spool, window) for window in windows for with_spool in (False, True)]


def in_turn(
    ours: Sequence[contender.Load], theirs: Sequence[kannel.Setup]
) -> list[contender.Load | kannel.Setup]:
    """One of ours, one of theirs, as long as there are any."""
    pairs = chain.from_iterable(zip_longest(ours, theirs))
    return [each for each in pairs if each is not None]


async def run(
    where: stage.Stage, setup: kannel.Setup, connections: int, first: int, count: int
) -> course.Run:
    """Start Kannel, warm it up with the messages from `first` on, measure it with the `count`
    messages after those, and stop it."""
    load = contender.Load(setup.name, 0, connections, face="sendsms")
    async with kannel.running(where, setup) as rival:
        await course.run(rival, load, first, _WARM_UP_COUNT)
        return await course.run(rival, load, first + _WARM_UP_COUNT, count)


def message_count(count: int) -> int:
    """Messages that `run` sends in all."""
    return _WARM_UP_COUNT + count


def ratios(found: Mapping[str, figures.Figures]) -> dict[str, dict[str, Ratio]]:
    """By rival, then by load of ours. What comes by the clock has no rate of its own."""
    theirs = {name: each for name, each in found.items() if not each.wal_bytes}
    ours = {name: found[name] for name in ("batch", "single") if name in found}
    return {
        rival: {name: _ratio(our, their) for name, our in ours.items()}
        for rival, their in theirs.items()
    }


def _ratio(ours: figures.Figures, theirs: figures.Figures) -> Ratio:
    return Ratio(
        ours.recorded_per_second / theirs.recorded_per_second,
        ours.cpu_micro_sum / theirs.cpu_micro_sum,
    )
