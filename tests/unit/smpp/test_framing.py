"""Frames come out whole however the bytes came in, and nothing large is ever held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.smpp import codes, encoder, framing
from tests.unit.smpp import samples

FRAMES = [encoder.encode(each) for each in samples.EACH]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_all_frames_come_out_in_order_when_the_stream_is_cut_anywhere(sizes: list[int]) -> None:
    stream, framer, frames = b"".join(FRAMES), framing.Framer(), []

    at = 0
    while at < len(stream):
        for size in sizes:
            frames += framer.feed(stream[at : at + size])
            at += size

    assert frames == FRAMES
    assert not framer.broken


@pytest.mark.parametrize("length", [0, 1, 15, codes.PDU_BYTES_MAX + 1, 0xFFFFFFFF])
def test_framing_is_lost_after_the_good_frames_when_a_length_is_absurd(length: int) -> None:
    framer = framing.Framer()

    frames = framer.feed(FRAMES[0] + length.to_bytes(4, "big") + b"\0" * 12)

    assert frames == [FRAMES[0]]
    assert framer.broken
    assert framer.feed(FRAMES[0]) == []


def test_the_largest_pdu_comes_out_when_it_arrives_in_pieces() -> None:
    framer = framing.Framer()
    largest = codes.PDU_BYTES_MAX.to_bytes(4, "big") + b"\x01" * (codes.PDU_BYTES_MAX - 4)

    assert framer.feed(largest[:3]) == []
    assert framer.feed(largest[3:-1]) == []
    assert framer.feed(largest[-1:] + FRAMES[1]) == [largest, FRAMES[1]]


@pytest.mark.parametrize("length", [0, 15, codes.PDU_BYTES_MAX + 1])
def test_framing_is_lost_at_once_when_an_absurd_length_arrives_in_pieces(length: int) -> None:
    framer = framing.Framer()
    head = length.to_bytes(4, "big")

    assert [framer.feed(head[:3]), framer.feed(head[3:])] == [[], []]
    assert framer.broken
