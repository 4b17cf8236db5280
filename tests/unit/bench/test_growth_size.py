"""How large the larger of two Sluices is made."""

from __future__ import annotations

import pytest

from tests.bench.growth import command
from tests.bench.growth.case import Size


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ("", Size(500_000, 10_000, 100, 100_000)),
        ("--stored 7 --backlog 5", Size(7, 10_000, 100, 5)),
        ("--full", Size(10_000_000, 100_000, 1_000, 1_000_000)),
        ("--full --stored 200000", Size(200_000, 100_000, 1_000, 1_000_000)),
    ],
)
def test_what_is_given_counts_and_the_rest_is_usual(asked: str, size: Size) -> None:
    assert command.large(command._parser().parse_args(asked.split())) == size
