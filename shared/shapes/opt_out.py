"""An opt-out, as the account that may not write to the phone reads it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from shared.db.opt_outs import StoredOptOut
from shared.shapes.message import Time


class OptOut(msgspec.Struct, frozen=True, kw_only=True):
    """A phone that must not be written to, until it has an end. `source` made it, `ended_by` ended
    it: the phone with a word, the producer, or an operator. `line` is the number that the phone
    wrote to."""

    opt_out_id: UUID = msgspec.field(name="id")
    recipient: str = msgspec.field(name="number")
    source: Literal["phone", "producer", "operator"]
    reason: str
    sender: str | None = msgspec.field(name="line")
    created_at: Time
    ended_at: Time | None
    ended_by: Literal["phone", "producer", "operator"] | None
    end_reason: str | None


def shown(stored: StoredOptOut) -> OptOut:
    """The opt-out as it stands."""
    return msgspec.convert({name: getattr(stored, field) for field, name in _NAMES.items()}, OptOut)


_NAMES = dict(zip(OptOut.__struct_fields__, OptOut.__struct_encode_fields__, strict=True))
