"""A platform's books with a message in every place, and services to read them."""

from __future__ import annotations

import asyncpg
import pytest

from tests.integration.audit import books
from tests.integration.commands.conftest import command

__all__ = ["command"]


@pytest.fixture
async def written(owner: asyncpg.Connection) -> books.Books:
    """Two accounts that can pay for anything, the first with a message in every place."""
    written = await books.write(owner)
    await owner.execute("UPDATE wallets SET balance_micro = 1e15 WHERE book = 'customer'")
    return written
