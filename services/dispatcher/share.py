"""Who may go from a number that lines of several accounts share: the most urgent first, and of
these each account its part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.db.parking import Head


class LineShare(NamedTuple):
    """Segments that may go from a line now, and the least urgent class of them."""

    segments: int
    class_max: int


def shared_out(heads: Sequence[Head], room: int, turn: int) -> Mapping[int, LineShare]:
    """line → its part of the room; who is left out has its turn when more returns. `heads` are one
    for each line; with every `turn` another is the first to get what cannot be divided."""
    most_urgent = min(head.message_class for head in heads)
    entitled = sorted(head for head in heads if head.message_class == most_urgent)
    begin = turn % len(entitled)
    equal = room // len(entitled)
    parts: dict[int, LineShare] = {}
    for head in (*entitled[begin:], *entitled[:begin]):
        # A long message at the head takes more than its part, if there is so much.
        wanted = max(equal, head.segment_count)
        if head.segment_count <= room:
            parts[head.line_id] = LineShare(min(wanted, room), most_urgent)
            room -= min(wanted, room)
    return parts
