"""Chance to play with; a seed makes it repeat itself."""

from __future__ import annotations

import random


class Chance(random.Random):
    """One part's own, so that parts do not share their luck; without a seed it never repeats."""

    def __init__(self, seed: int | None, part: str) -> None:
        super().__init__(None if seed is None else f"{seed} {part}")

    def happens(self, share: float) -> bool:
        """Whether something with this share, of 1, is the case now."""
        return share > 0 and self.random() < share
