"""How urgent a message is: a word outside, and inside its place in the list."""

from __future__ import annotations

from typing import Final, Literal, get_args

ClassName = Literal["urgent", "normal", "bulk"]

CLASSES: Final[tuple[ClassName, ...]] = get_args(ClassName)
"""Most urgent first: each overtakes those behind it."""
NORMAL: Final = CLASSES.index("normal")
"""What a message is unless its producer says otherwise."""
