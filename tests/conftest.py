"""What every ring of tests may ask for."""

from __future__ import annotations

import hypothesis

pytest_plugins = ["tests.servers"]

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")
