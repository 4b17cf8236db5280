"""The command `sluice` as operators run it: a process, with a migrated database of its own."""

from __future__ import annotations

import pytest

from tests.integration.commands import sluice
from tests.servers import as_services


@pytest.fixture
def command(database_url: str) -> sluice.Command:
    return sluice.Command(
        {
            "SLUICE_DATABASE_URL": as_services(database_url),
            "SLUICE_MIGRATION_DATABASE_URL": database_url,
            "SLUICE_SECRET_KEY": sluice.SECRET_KEY,
        }
    )
