"""The types of events: what has happened, and to what, in the words that producers read."""

from __future__ import annotations

from typing import Final

from shared.sms.states import MessageStatus

MESSAGE: Final = "message"
"""The family of what becomes of messages: the word after the point is the message's status."""
INBOUND: Final = "inbound"
OPT_OUT: Final = "opt_out"
WEBHOOK: Final = "webhook"
INBOUND_RECEIVED: Final = f"{INBOUND}.received"
OPT_OUT_CREATED: Final = f"{OPT_OUT}.created"
OPT_OUT_DELETED: Final = f"{OPT_OUT}.deleted"
WEBHOOK_DISABLED: Final = f"{WEBHOOK}.disabled"
DEPOSIT: Final = "deposit"
DEPOSIT_PENDING: Final = f"{DEPOSIT}.pending"
DEPOSIT_CREDITED: Final = f"{DEPOSIT}.credited"
DEPOSIT_FAILED: Final = f"{DEPOSIT}.failed"

FAMILIES: Final = (MESSAGE, INBOUND, OPT_OUT, WEBHOOK, DEPOSIT)
TYPES: Final = frozenset(
    {
        *(f"{MESSAGE}.{status.value}" for status in MessageStatus),
        INBOUND_RECEIVED,
        OPT_OUT_CREATED,
        OPT_OUT_DELETED,
        WEBHOOK_DISABLED,
        DEPOSIT_PENDING,
        DEPOSIT_CREDITED,
        DEPOSIT_FAILED,
    }
)


def family_of(kind: str) -> str:
    """What an event of this type is about: "message", "inbound", "opt_out", "webhook",
    "deposit"."""
    return kind.partition(".")[0]
