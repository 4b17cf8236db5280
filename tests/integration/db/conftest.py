"""The room of SQL, tried on real databases; and `sluice` as operators run it."""

from __future__ import annotations

from tests.integration.commands.conftest import command

__all__ = ["command"]
