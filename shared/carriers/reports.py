"""One receipt of a vendor as it is stored: the vendor's words, and by which segment it goes.

A vendor that cuts texts itself reports the whole message once, under an id that all of its parts
have. That is stored as a report of each part: the name the vendor gives back, `MESSAGE-PARTS`, says
of how many, so that each is found by its own name too when the answer with the id was lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec

from shared.carriers import contract
from shared.sms import causes, receipts

_REFERENCE = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,2})")
PART_COUNT_MAX = 255
_NO_ERROR = "0"


class SegmentReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """`state` and `code` are the vendor's words; `reference` is `Segment.reference` where the
    vendor gives it back."""

    id: str
    state: str
    code: str = ""
    phone: str = ""
    reference: str = ""


class EchoedName(NamedTuple):
    """A name of ours that a vendor gave back; `number` is a part's, or how many there are."""

    message_id: UUID
    number: int


def name_of_whole(segment: contract.Segment) -> str:
    """Our name of a whole message, which says of how many parts it is; at most 36 characters. What
    is left of a message whose other parts another carrier took is named by its id alone."""
    name = segment.message_id.hex
    return name if segment.udh else f"{name}-{segment.part_count}"


def named(reference: str) -> EchoedName | None:
    """The name that a vendor gave back, or None where it is none of ours."""
    found = _REFERENCE.fullmatch(reference)
    if found is None or int(found[2]) > PART_COUNT_MAX:
        return None
    return EchoedName(UUID(found[1]), int(found[2]))


def of_parts(whole: SegmentReport) -> tuple[bytes, ...]:
    """The report of each part of a whole message, to be stored; of one where the name is not given
    back, and none where id or state are not."""
    if not whole.id or not whole.state:
        return ()
    name = named(whole.reference)
    if name is None:
        return (msgspec.json.encode(msgspec.structs.replace(whole, reference="")),)
    return tuple(
        msgspec.json.encode(
            msgspec.structs.replace(whole, reference=f"{name.message_id.hex}-{part}")
        )
        for part in range(1, name.number + 1)
    )


def of_part(part: SegmentReport) -> tuple[bytes, ...]:
    """The report of one part, to be stored; none without id or state."""
    return (msgspec.json.encode(part),) if part.id and part.state else ()


def read(
    body: bytes,
    state_of: Callable[[SegmentReport], receipts.ReceiptState | None],
    meanings: Mapping[str, causes.Cause],
) -> receipts.Receipt | None:
    """One stored report in our words; None for garbage and for what `state_of` does not know. A
    code that `meanings` has is told to producers in a sentence."""
    try:
        report = msgspec.json.decode(body, type=SegmentReport)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    state = state_of(report)
    if state is None or not report.id:
        return None
    name = named(report.reference)
    phone = receipts.digits(report.phone)
    cause = meanings.get(report.code)
    return receipts.Receipt(
        report.id,
        state,
        report.state if report.code in ("", _NO_ERROR) else report.code,
        (phone,) if phone else (),
        None if name is None else receipts.echo_of(name.message_id, name.number),
        reason="" if cause is None else causes.SENTENCES[cause],
    )
