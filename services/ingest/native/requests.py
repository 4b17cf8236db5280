"""What a producer may ask: the shapes of bodies, and how a body becomes a wish."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.ingest.web import faults
from shared.ledger import money
from shared.rules import destinations
from shared.rules.compose import SEND_AHEAD_DAYS_MAX, VALID_SECONDS_MAX, Wish
from shared.rules.purposes import Purpose
from shared.sms import segmentation
from shared.sms.classes import CLASSES, NORMAL, ClassName
from shared.web import problems
from shared.web.problems import Problem

BATCH_COUNT_MAX = 1_000
REFERENCE_LENGTH_MAX = 100
PATTERN_COUNT_MAX = 32
IMPORT_COUNT_MAX = 500
REASON_LENGTH_MAX = 200

To = Annotated[
    str, Meta(description="The recipient's number in E.164: '+' and digits, nothing else.")
]
_Text = Annotated[
    str,
    Meta(
        description="The text. GSM 03.38 or UCS-2 is chosen by its characters; "
        f"{segmentation.SEGMENT_COUNT_MAX} segments at most."
    ),
]
_From = Annotated[
    str, Meta(description="The sender of one of the account's lines. Default: its default line.")
]
_Purpose = Annotated[
    Purpose,
    Meta(
        description="What the message is for: rules by country depend on it. Default: what its "
        "line is for; else a conversation if the recipient has lately written to the line."
    ),
]
Time = Annotated[datetime, Meta(tz=True)]


class SendBody(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One message to send. A field that is not wanted is left out, not null."""

    to: To
    text: _Text
    sender: _From | UnsetType = msgspec.field(default=UNSET, name="from")
    reference: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=REFERENCE_LENGTH_MAX,
                description="The producer's own name for the message, given back in events.",
            ),
        ]
        | UnsetType
    ) = UNSET
    message_class: (
        Annotated[
            ClassName,
            Meta(description="Urgent overtakes normal, normal overtakes bulk. Default: normal."),
        ]
        | UnsetType
    ) = msgspec.field(default=UNSET, name="class")
    delivery: (
        Annotated[
            Literal["at_most_once", "at_least_once"],
            Meta(
                description="When a carrier's answer is lost: leave it, or send again. "
                "Default: at_most_once."
            ),
        ]
        | UnsetType
    ) = UNSET
    send_at: (
        Annotated[
            datetime,
            Meta(tz=True, description=f"When to send; {SEND_AHEAD_DAYS_MAX} days ahead at most."),
        ]
        | UnsetType
    ) = UNSET
    valid_for: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=VALID_SECONDS_MAX,
                description="Seconds after which the message is refunded rather than sent.",
            ),
        ]
        | UnsetType
    ) = UNSET
    max_segments: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=segmentation.SEGMENT_COUNT_MAX,
                description="Refuse the message if it takes more segments.",
            ),
        ]
        | UnsetType
    ) = UNSET
    max_price: (
        Annotated[
            str,
            Meta(
                description="Refuse the message if it costs more, in the account's currency.",
                examples=["0.0453"],
            ),
        ]
        | UnsetType
    ) = UNSET
    purpose: _Purpose | UnsetType = UNSET
    store_body: (
        Annotated[
            bool,
            Meta(
                description="False: the text is kept, sealed, only until it is submitted. True is "
                "what the account and the line have set, and changes nothing."
            ),
        ]
        | UnsetType
    ) = UNSET
    dry_run: (
        Annotated[bool, Meta(description="Check and price the message; store and charge nothing.")]
        | UnsetType
    ) = UNSET


class BatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many messages, each checked, accepted or refused on its own."""

    messages: Annotated[
        list[
            Annotated[
                msgspec.Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/SendBody"})
            ]
        ],
        Meta(min_length=1, max_length=BATCH_COUNT_MAX),
    ]


class MessageChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another time for a message that waits for its own."""

    send_at: Annotated[
        datetime,
        Meta(
            tz=True,
            description=f"When to send; {SEND_AHEAD_DAYS_MAX} days after it was accepted at most.",
        ),
    ]


class PreviewBody(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A text to be measured, and priced if its recipient is given."""

    text: _Text
    to: To | UnsetType = UNSET
    sender: _From | UnsetType = msgspec.field(default=UNSET, name="from")
    purpose: _Purpose | UnsetType = UNSET


_Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=destinations.URL_LENGTH_MAX,
        description="Where events are posted: https, and a public host.",
        examples=["https://hooks.example.com/sms"],
    ),
]
_Patterns = Annotated[
    list[Annotated[str, Meta(max_length=64)]],
    Meta(
        min_length=1,
        max_length=PATTERN_COUNT_MAX,
        description="Types of events, all of a family, or all.",
        examples=[["message.*", "inbound.received"]],
    ),
]


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A URL to be told of events."""

    url: _Url
    events: _Patterns


class WebhookChange(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What is to be different about a webhook. Any change, also of nothing, has what failed tried
    again at once."""

    url: _Url | UnsetType = UNSET
    events: _Patterns | UnsetType = UNSET
    state: Literal["active", "disabled"] | UnsetType = UNSET


Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=REASON_LENGTH_MAX,
        description="Why, in the producer's words; without numbers or texts of people.",
    ),
]


class OptOutBody(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Why a phone is opted out, if that is to be said."""

    reason: Reason | UnsetType = UNSET


class OptOutImport(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Phones to opt out. Whoever is out already stays as it is, so it may be sent twice."""

    numbers: Annotated[list[str], Meta(min_length=1, max_length=IMPORT_COUNT_MAX)]
    reason: Reason | UnsetType = UNSET


Body = TypeVar("Body", bound=msgspec.Struct)

send_decoder = msgspec.json.Decoder(SendBody)
batch_decoder = msgspec.json.Decoder(BatchBody)
message_change_decoder = msgspec.json.Decoder(MessageChange)
preview_decoder = msgspec.json.Decoder(PreviewBody)
webhook_decoder = msgspec.json.Decoder(WebhookBody)
change_decoder = msgspec.json.Decoder(WebhookChange)
opt_out_decoder = msgspec.json.Decoder(OptOutBody)
import_decoder = msgspec.json.Decoder(OptOutImport)


def decode(decoder: msgspec.json.Decoder[Body], raw: bytes) -> Body | Problem:
    """The body, or what is wrong with the first thing that is wrong."""
    return faults.decode(decoder, raw, has_raw=decoder is batch_decoder)


def wish_of(body: SendBody, now: datetime) -> Wish | Problem:
    """What the body asks for, in the types of the inside."""
    if fault := unstorable("text", body.text):
        return fault
    if body.reference is not UNSET and (fault := unstorable("reference", body.reference)):
        return fault
    if body.send_at is not UNSET and (fault := untimely(body.send_at, now)):
        return fault
    max_price_micro = None
    if body.max_price is not UNSET:
        try:
            max_price_micro = money.parse_amount(body.max_price)
        except money.InvalidAmount as error:
            return problems.of(422, "invalid_amount", problems.sentence(str(error)), "max_price")
    return Wish(
        to=body.to,
        text=body.text,
        sender=None if body.sender is UNSET else body.sender,
        reference=None if body.reference is UNSET else body.reference,
        message_class=NORMAL if body.message_class is UNSET else CLASSES.index(body.message_class),
        at_least_once=body.delivery == "at_least_once",
        send_at=None if body.send_at is UNSET else body.send_at,
        valid_seconds=None if body.valid_for is UNSET else body.valid_for,
        max_segments=None if body.max_segments is UNSET else body.max_segments,
        max_price_micro=max_price_micro,
        purpose=None if body.purpose is UNSET else body.purpose,
        store_body=None if body.store_body is UNSET else body.store_body,
    )


def unstorable(field: str, value: str) -> Problem | None:
    """A string with the one character that PostgreSQL cannot hold."""
    if "\0" not in value:
        return None
    return problems.of(422, f"invalid_{field}", f"The {field} holds a NUL character.", field)


def untimely(
    send_at: datetime, now: datetime, accepted_at: datetime | None = None
) -> Problem | None:
    """A time that has passed, or is too far from when the message was accepted, now or before."""
    if send_at <= now:
        return problems.of(422, "send_at_passed", "The time to send at has passed.", "send_at")
    if send_at > (accepted_at or now) + timedelta(days=SEND_AHEAD_DAYS_MAX):
        detail = f"The time to send at is more than {SEND_AHEAD_DAYS_MAX} days ahead."
        return problems.of(422, "send_at_too_far", detail, "send_at")
    return None
