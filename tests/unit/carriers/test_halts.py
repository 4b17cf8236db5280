"""A carrier that does not let us send is waited for, ever longer, and said to be so once."""

from __future__ import annotations

import prometheus_client
from structlog.testing import capture_logs

from shared.carriers.halts import HALT_SECONDS_MAX, HALT_SECONDS_MIN, Halts
from shared.carriers.outcomes import Outcome, OutcomeKind

ACCEPTED = Outcome(OutcomeKind.ACCEPTED, "id")
HALTED = Outcome(OutcomeKind.HALTED, code="0x0000000E")
STRANGE = Outcome(OutcomeKind.REJECTED, code="0x00000417", understood=False)
REFUSED = Outcome(OutcomeKind.REJECTED, code="0x0000000B")


def gauge(carrier: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value(
        "sluice_carrier_halted", {"carrier": carrier}
    )


def test_it_waits_ever_longer_and_tells_once() -> None:
    halts, now, waits = Halts("halted", 20), 1_000.0, []
    with capture_logs() as logs:
        for _ in range(12):
            waits.append(halts.heed(HALTED, now))
            # what was under way says the same, and counts for nothing
            assert halts.heed(HALTED, now + 0.01) == 0.0
            assert halts.on(now + waits[-1] / 2)
            now += waits[-1] + 1
            assert not halts.on(now)
        assert gauge("halted") == 1
        assert halts.heed(ACCEPTED, now) == 0.0
    assert HALT_SECONDS_MIN / 2 <= waits[0] <= HALT_SECONDS_MIN
    assert HALT_SECONDS_MAX / 2 <= waits[-1] <= HALT_SECONDS_MAX
    assert [each["event"] for each in logs] == ["carrier_halted", "carrier_lets_us_send"]
    assert gauge("halted") == 0
    assert not halts.watching


def test_refusals_that_nobody_understands_halt_when_there_are_many_in_a_row() -> None:
    halts = Halts("strange", 20)
    assert not any(halts.heed(STRANGE, 1.0) for _ in range(19))
    halts.heed(ACCEPTED, 1.0)
    assert not any(halts.heed(STRANGE, 1.0) for _ in range(19))
    assert halts.heed(STRANGE, 1.0) > 0
    # and after the wait each further one does
    assert halts.heed(STRANGE, 1_000.0) > 0


def test_what_is_understood_is_about_messages_and_0_turns_it_off() -> None:
    halts = Halts("understood", 20)
    assert not any(halts.heed(REFUSED, 1.0) for _ in range(1_000))
    halts = Halts("off", 0)
    assert not any(halts.heed(STRANGE, 1.0) for _ in range(1_000))
