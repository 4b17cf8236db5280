"""Why a segment did not arrive, where the network said so: a closed set, each a sentence.

Networks tell it in numbers of their own; an adapter, or a carrier's settings, say which number is
which of these. Producers, statistics and the faces read the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """What stood in the way, in a word for settings."""

    UNREACHABLE = "unreachable"
    UNKNOWN_NUMBER = "unknown_number"
    NO_MOBILE = "no_mobile"
    BARRED = "barred"
    MEMORY_FULL = "memory_full"
    UNFIT_PHONE = "unfit_phone"
    DO_NOT_DISTURB = "do_not_disturb"
    OPTED_OUT = "opted_out"
    CONTENT = "content"
    SENDER = "sender"
    FLOOD = "flood"
    DAILY_LIMIT = "daily_limit"
    NO_CREDIT = "no_credit"
    ROAMING = "roaming"
    NETWORK = "network"


SENTENCES: Final[Mapping[Cause, str]] = {
    Cause.UNREACHABLE: "the phone is switched off or out of reach",
    Cause.UNKNOWN_NUMBER: "the number is not in use",
    Cause.NO_MOBILE: "the number cannot receive texts",
    Cause.BARRED: "the phone is barred from receiving it",
    Cause.MEMORY_FULL: "the phone's memory is full",
    Cause.UNFIT_PHONE: "the phone could not take it",
    Cause.DO_NOT_DISTURB: "the recipient does not want to be disturbed",
    Cause.OPTED_OUT: "the phone has opted out at the carrier",
    Cause.CONTENT: "the network refused the text",
    Cause.SENDER: "the network refused the sender",
    Cause.FLOOD: "too many messages to the phone at once",
    Cause.DAILY_LIMIT: "too many messages to the phone today",
    Cause.NO_CREDIT: "the phone's contract does not pay for it",
    Cause.ROAMING: "the phone is abroad, where it is not delivered",
    Cause.NETWORK: "the phone's network failed",
}
"""What a producer may read."""
