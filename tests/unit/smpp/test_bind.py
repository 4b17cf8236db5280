"""The waits between a bind's tries grow, scatter and end at a cap."""

from __future__ import annotations

import pytest

from shared.smpp import bind


@pytest.mark.parametrize(
    ("attempt", "full"), [(0, 0.5), (1, 1.0), (5, 16.0), (6, 30.0), (10_000, 30.0)]
)
def test_waits_double_up_to_the_cap_when_tries_fail(attempt: int, full: float) -> None:
    waits = [bind.backoff(0.5, 30.0, attempt) for _ in range(500)]

    assert full / 2 <= min(waits)
    assert max(waits) <= full
    assert max(waits) - min(waits) > full / 4


def test_about_20_tries_fit_in_an_hour_when_the_peer_refuses() -> None:
    spent, tries = 0.0, 0

    while spent < 3600:
        spent += 0.75 * min(
            bind.REFUSED_RETRY_SECONDS_MAX, bind.REFUSED_RETRY_SECONDS_MIN * 2**tries
        )
        tries += 1

    assert tries <= 21
