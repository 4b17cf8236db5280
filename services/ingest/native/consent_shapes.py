"""What a producer writes and reads of consents."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from services.ingest.native.answers import NotImported
from services.ingest.native.requests import IMPORT_COUNT_MAX, Time, To
from shared.rules.purposes import Purpose
from shared.shapes.consent import Consent

PLACE_LENGTH_MAX = 500
WORDING_LENGTH_MAX = 2_000


class ConsentBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A consent as it is to be proved: to which words, when, where, up to which purpose."""

    purpose: Annotated[
        Purpose,
        Meta(
            description="The most that was agreed to: marketing includes automated, which "
            "includes conversation."
        ),
    ]
    given_at: Time
    place: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=PLACE_LENGTH_MAX,
            description="Where it was given: a page, a form, a call.",
            examples=["https://shop.example.com/sign-up"],
        ),
    ]
    wording: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=WORDING_LENGTH_MAX,
            description="The words that were agreed to.",
        ),
    ]


class NumberedConsent(ConsentBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, with whose it is."""

    number: To


class ConsentImport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Consents to record. What is on record already stays as it is, so it may be sent twice."""

    consents: Annotated[list[NumberedConsent], Meta(min_length=1, max_length=IMPORT_COUNT_MAX)]


body_decoder = msgspec.json.Decoder(ConsentBody)
import_decoder = msgspec.json.Decoder(ConsentImport)


class ConsentPage(msgspec.Struct, frozen=True):
    """Consents that are in force, in the order of numbers; `cursor` leads to the next page and is
    null on the last."""

    consents: list[Consent]
    cursor: str | None


class ConsentProof(msgspec.Struct, frozen=True):
    """All consents of one phone, the newest first, which alone may be in force."""

    consents: list[Consent]


class ConsentsImported(msgspec.Struct, frozen=True, kw_only=True):
    """How many consents were recorded, how many had been before, and what was none."""

    recorded_count: int = msgspec.field(name="recorded")
    known_count: int = msgspec.field(name="known")
    failed: list[NotImported]
