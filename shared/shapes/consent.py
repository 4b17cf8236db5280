"""A consent, as the account that may write to the phone reads it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.db.consents import StoredConsent
from shared.rules.purposes import Purpose
from shared.shapes.message import Time


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """That a phone's owner has agreed to an account's messages, in force until it has an end: when
    and in which place, to which words, and up to which purpose. `source` recorded it and `ended_by`
    ended it: the producer or an operator."""

    consent_id: UUID = msgspec.field(name="id")
    recipient: str = msgspec.field(name="number")
    purpose: Purpose
    given_at: Time
    place: Annotated[str, Meta(examples=["https://shop.example.com/sign-up"])]
    wording: str
    source: Literal["producer", "operator"]
    created_at: Time
    ended_at: Time | None
    ended_by: Literal["producer", "operator"] | None
    end_reason: str | None


def shown(stored: StoredConsent) -> Consent:
    """The consent as it stands."""
    return msgspec.convert(
        {name: getattr(stored, field) for field, name in _NAMES.items()}, Consent
    )


_NAMES = dict(zip(Consent.__struct_fields__, Consent.__struct_encode_fields__, strict=True))
