"""The platform's key in tests that stand on parts of a process, and what is made with it."""

from __future__ import annotations

from shared.access.keys import Keys
from shared.access.seals import Seals

SECRET_KEY = "a key for tests that is long enough"
SEALS = Seals(Keys.read(SECRET_KEY))
