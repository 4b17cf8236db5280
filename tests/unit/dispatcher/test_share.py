"""What becomes of a number's tokens where lines of several accounts wait for them."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as some

from services.dispatcher.share import shared_out
from shared.db.parking import Head


def _head(line_id: int, segment_count: int = 1, message_class: int = 1) -> Head:
    return Head(line_id, line_id, "FR", segment_count, UUID(int=line_id), message_class)


def test_one_token_at_a_time_goes_to_each_in_turn() -> None:
    heads = [_head(line_id) for line_id in (1, 2, 3)]
    firsts = [line_id for turn in range(6) for line_id in shared_out(heads, 1, turn)]
    assert Counter(firsts) == {1: 2, 2: 2, 3: 2}


def test_a_long_message_gets_all_it_needs_when_its_turn_has_come() -> None:
    heads = [_head(1, 3), _head(2), _head(3)]
    assert shared_out(heads, 4, 0)[1].segments == 3
    assert 1 not in shared_out(heads, 4, 1) or shared_out(heads, 4, 1)[1].segments == 3


_HEADS = some.lists(
    some.tuples(some.integers(1, 8), some.integers(0, 2)), min_size=1, max_size=6
).map(lambda each: [_head(n, *one) for n, one in enumerate(each)])


@given(_HEADS, some.integers(1, 100), some.integers(0, 1_000))
def test_no_more_goes_than_there_is_and_nothing_before_what_is_more_urgent(
    heads: list[Head], room: int, turn: int
) -> None:
    parts = shared_out(heads, room, turn)
    assert sum(part.segments for part in parts.values()) <= room
    most_urgent = min(head.message_class for head in heads)
    by_line = {head.line_id: head for head in heads}
    for line_id, part in parts.items():
        assert by_line[line_id].message_class == part.class_max == most_urgent
        assert part.segments >= by_line[line_id].segment_count
    # somebody goes whenever the message whose turn it is fits
    entitled = [head for head in heads if head.message_class == most_urgent]
    if all(head.segment_count <= room for head in entitled):
        assert parts
