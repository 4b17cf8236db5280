"""When a carrier is sick or down, and how it comes back."""

from __future__ import annotations

from shared.rules import standings
from shared.rules.standings import AnswerCounts, CarrierStanding, Condition, ReceiptCounts

NOTHING = AnswerCounts()
FAILING = AnswerCounts(taken=4, failed=6)
FINE = AnswerCounts(taken=20, up=5, per_second=100.0)
GONE = AnswerCounts(down=5)


def sick(
    since: float, condition: Condition = Condition.SICK, share: float = 0.0
) -> CarrierStanding:
    return CarrierStanding(condition, share, since, 10.0, "")


def test_little_says_nothing_and_refusals_are_no_illness_until_nearly_all_are() -> None:
    assert standings.judge(None, NOTHING, NOTHING, 0) is None
    assert standings.judge(None, AnswerCounts(failed=9), NOTHING, 0) is None
    assert standings.judge(None, AnswerCounts(taken=6, failed=5), NOTHING, 0) is None
    assert standings.judge(None, AnswerCounts(refused=49), NOTHING, 0) is None
    assert standings.judge(None, AnswerCounts(taken=20, refused=80), NOTHING, 0) is None


def test_what_fails_half_the_time_or_refuses_nearly_everything_is_sick() -> None:
    for counts in (FAILING, AnswerCounts(taken=5, refused=45)):
        found = standings.judge(None, counts, NOTHING, 100)
        assert found is not None
        assert (found.condition, found.since_seconds) == (Condition.SICK, 100)


def test_a_carrier_none_of_whose_links_is_up_is_down_and_one_link_will_do() -> None:
    found = standings.judge(None, NOTHING, GONE, 100)
    assert found is not None
    assert found.condition is Condition.DOWN
    assert standings.judge(None, NOTHING, AnswerCounts(up=1, down=5), 100) is None
    # And it stays so, from when it began
    assert standings.judge(found, NOTHING, GONE, 500) == found


def test_it_rests_then_comes_back_with_a_few_a_second_then_more_then_all() -> None:
    resting = sick(100)
    assert standings.judge(resting, FAILING, FINE, 109) == resting
    trickle = standings.judge(resting, FAILING, FINE, 110)
    assert trickle is not None
    assert (trickle.condition, trickle.share) == (Condition.TRICKLE, 0.05)
    seconds, shares = 110.0, []
    while trickle is not None:
        shares.append(trickle.share)
        assert standings.judge(trickle, NOTHING, FINE, seconds + 4) == trickle
        seconds += standings.TRICKLE_SECONDS
        trickle = standings.judge(trickle, NOTHING, FINE, seconds)
    assert shares == [0.05, 0.2, 0.8, 1.0]


def test_what_fails_as_it_comes_back_rests_for_longer_each_time_and_ends_to_grow() -> None:
    rests = []
    found: CarrierStanding | None = sick(0)
    for _ in range(8):
        assert found is not None
        seconds = found.since_seconds + found.rest_seconds
        found = standings.judge(found, NOTHING, NOTHING, seconds)
        assert found is not None
        assert found.condition is Condition.TRICKLE
        found = standings.judge(found, NOTHING, AnswerCounts(failed=2), seconds + 1)
        assert found is not None
        rests.append(found.rest_seconds)
    assert rests == [20, 40, 80, 160, 300, 300, 300, 300]


def test_without_messages_that_show_anything_it_is_well_after_a_minute() -> None:
    trickle: CarrierStanding | None = sick(0, Condition.TRICKLE, 0.05)
    for seconds in (15, 30, 45):
        assert standings.judge(trickle, NOTHING, NOTHING, seconds - 1) == trickle
        trickle = standings.judge(trickle, NOTHING, NOTHING, seconds)
        assert trickle is not None
    assert trickle is not None
    assert trickle.share == 1.0
    assert standings.judge(trickle, NOTHING, NOTHING, 60) is None


def test_receipts_that_stay_away_where_they_usually_come_are_an_illness_for_a_while() -> None:
    usual = {"usually_due": 500, "usually_in_time": 450}
    found = standings.judge(None, NOTHING, NOTHING, 0, ReceiptCounts(200, 30, **usual))
    assert found is not None
    assert found.condition is Condition.SICK
    assert found.rest_seconds == standings.RECEIPT_REST_SECONDS
    for no_illness in (
        ReceiptCounts(99, 0, **usual),
        ReceiptCounts(200, 40, **usual),
        ReceiptCounts(200, 0, 99, 99),
        ReceiptCounts(200, 0, 500, 200),
    ):
        assert standings.judge(None, NOTHING, NOTHING, 0, no_illness) is None
