"""What a producer is told of a message's fate in three words, and why it was not delivered in a
sentence: the terms of the statistics (M52-M55)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from shared.sms.states import MessageStatus


class MessageOutcome(StrEnum):
    """What has come of a message so far."""

    DELIVERED = "delivered"  # it has reached the phone (M52)
    PENDING = "pending"  # it waits, or was sent and nobody knows how it ended (M53)
    REJECTED = "rejected"  # it was not delivered, whoever refused it (M54)


OUTCOMES: Final[Mapping[MessageStatus, MessageOutcome]] = {
    MessageStatus.SCHEDULED: MessageOutcome.PENDING,
    MessageStatus.QUEUED: MessageOutcome.PENDING,
    MessageStatus.PARKED: MessageOutcome.PENDING,
    MessageStatus.SUBMITTED: MessageOutcome.PENDING,
    MessageStatus.IN_DOUBT: MessageOutcome.PENDING,
    MessageStatus.UNKNOWN: MessageOutcome.PENDING,
    MessageStatus.DELIVERED: MessageOutcome.DELIVERED,
    MessageStatus.UNDELIVERED: MessageOutcome.REJECTED,
    MessageStatus.REJECTED: MessageOutcome.REJECTED,
    MessageStatus.EXPIRED: MessageOutcome.REJECTED,
    MessageStatus.CANCELED: MessageOutcome.REJECTED,
    MessageStatus.FAILED: MessageOutcome.REJECTED,
}
"""Of each status. A late receipt may still move a message from one to another."""

SENTENCES: Final[Mapping[str, str]] = {
    "opted_out": "the recipient has opted out",
    "canceled_by_account": "the account has canceled it",
    "canceled_by_operator": "the operator of the platform has canceled it",
}
"""Reasons that are words for programs; all others are words for people already."""


def details(reason: str) -> str:
    """Why a message was not delivered, for people; "" where no cause was reported (M55)."""
    return SENTENCES.get(reason, reason)


def statuses_of(outcome: MessageOutcome) -> list[MessageStatus]:
    """The statuses that come to this."""
    return [status for status, each in OUTCOMES.items() if each is outcome]


def statuses_within(
    status: MessageStatus | None, outcome: MessageOutcome | None
) -> list[str] | None:
    """The statuses that fit both; None where neither is given."""
    if status is None and outcome is None:
        return None
    within = list(MessageStatus) if outcome is None else statuses_of(outcome)
    return [each.value for each in within if status is None or each is status]
