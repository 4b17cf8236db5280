"""Why a message is not accepted, in words that know no door: each face has its own table from
them to what its callers read."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Code(StrEnum):
    """The decisions that go against a message; a closed set."""

    INVALID_RECIPIENT = "invalid_recipient"
    SPECIAL_NUMBER = "special_number"
    UNSUPPORTED_COUNTRY = "unsupported_country"
    NO_DEFAULT_LINE = "no_default_line"
    OPTED_OUT = "opted_out"
    INVALID_SENDER = "invalid_sender"
    UNKNOWN_SENDER = "unknown_sender"
    EMPTY_TEXT = "empty_text"
    TEXT_TOO_LONG = "text_too_long"
    INVALID_TEXT = "invalid_text"
    OVER_MAX_SEGMENTS = "over_max_segments"
    OVER_LINE_LIMIT = "over_line_limit"
    OVER_MAX_PRICE = "over_max_price"
    CURRENCY_CHANGED = "currency_changed"
    DAILY_LIMIT_REACHED = "daily_limit_reached"
    SPEND_CAP_REACHED = "spend_cap_reached"
    VELOCITY_GUARD = "velocity_guard"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    WRONG_MODE = "wrong_mode"
    PLAN = "plan"
    SENDER_NOT_ALLOWED = "sender_not_allowed"
    ABROAD = "abroad"
    CONVERSATION_ONLY = "conversation_only"
    NOT_REGISTERED = "not_registered"
    NO_CONSENT = "no_consent"
    QUIET_HOURS = "quiet_hours"
    CANNOT_LEAVE_IN_TIME = "cannot_leave_in_time"
    NOT_YET = "not_yet"


class Subject(StrEnum):
    """What of a message is at fault; a closed set."""

    RECIPIENT = "recipient"
    SENDER = "sender"
    TEXT = "text"
    SEGMENT_CEILING = "segment_ceiling"
    PRICE_CEILING = "price_ceiling"
    PURPOSE = "purpose"


class Refusal(NamedTuple):
    """Why a message is not accepted; nothing of it is stored or charged. `detail` quotes neither
    its number nor its text; `subject` is None where the message itself is not at fault. `rule` and
    the version of the rules are named where one of `verdicts.Rule` refuses; `possible_at` is from
    when on the same message is not refused for this, where that is known."""

    code: Code
    detail: str
    subject: Subject | None = None
    rule: str | None = None
    rules_version: int | None = None
    possible_at: datetime | None = None
