"""What a producer is told of a message's fate in three words, and why in a sentence."""

from __future__ import annotations

from services.dlr import evidence
from shared.db import opt_outs, recall
from shared.sms import outcome_words
from shared.sms.outcome_words import OUTCOMES, MessageOutcome
from shared.sms.states import MessageStatus


def test_m52_m53_m54_each_status_has_one_outcome() -> None:
    assert set(OUTCOMES) == set(MessageStatus)
    assert outcome_words.statuses_of(MessageOutcome.DELIVERED) == [MessageStatus.DELIVERED]
    # M53: sent, and no final result is known
    assert OUTCOMES[MessageStatus.SUBMITTED] is MessageOutcome.PENDING
    assert OUTCOMES[MessageStatus.UNKNOWN] is MessageOutcome.PENDING
    # M54: not delivered, whoever refused it
    assert OUTCOMES[MessageStatus.REJECTED] is MessageOutcome.REJECTED
    assert OUTCOMES[MessageStatus.CANCELED] is MessageOutcome.REJECTED


def test_m55_details_are_words_for_people_and_empty_where_no_cause_was_reported() -> None:
    assert outcome_words.details("") == ""
    reasons = [
        opt_outs.REASON,
        recall.REASON,
        recall.OPERATOR_REASON,
        *(meaning.reason for meaning in evidence.MEANINGS.values() if meaning.reason),
        "the carrier refused the recipient",
    ]
    for reason in reasons:
        assert " " in outcome_words.details(reason), reason


def test_a_status_and_an_outcome_filter_together() -> None:
    within = outcome_words.statuses_within
    assert within(None, None) is None
    assert within(MessageStatus.FAILED, None) == ["failed"]
    assert within(MessageStatus.FAILED, MessageOutcome.REJECTED) == ["failed"]
    assert within(MessageStatus.FAILED, MessageOutcome.DELIVERED) == []
