"""One arena for the whole ring: its servers are durable, its own, and may be hurt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests import fleet, servers
from tests.chaos import arena, scenario

_LONGEST = ("test_kills", "test_stops", "test_named_points")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files of this folder first, so that no worker has one left at the end."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    return _LONGEST.index(item.path.stem) if item.path.stem in _LONGEST else len(_LONGEST)


@pytest.fixture(scope="session")
def standing_arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[arena.Arena]:
    """Started once; every test has accounts and lines of its own in it."""
    folder = tmp_path_factory.mktemp("arena")
    with servers.throwaway(durable=True) as private, fleet.fleet(private, folder) as processes:
        processes.environment.update(scenario.SIMULATOR)
        processes.environment["SLUICE_RECEIPT_OVERDUE_EVERY_SECONDS"] = "1"
        built = arena.Arena(processes, private)
        scenario.configure(built)
        asyncio.run(built.open())
        yield built


@pytest.fixture
async def battered(standing_arena: arena.Arena) -> arena.Arena:
    """The arena with everything alive, whatever the test before has done."""
    await standing_arena.repair()
    return standing_arena
