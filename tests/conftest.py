"""What every ring of tests may ask for."""

from __future__ import annotations

pytest_plugins = ["tests.servers"]
