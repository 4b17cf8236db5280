"""What a producer asks to be sent: read whole, and judged in the vendor's order."""

from __future__ import annotations

from typing import Final

import msgspec

from services.ingest.mailjet import faults
from services.ingest.web import bodies
from services.ingest.web import faults as document_faults
from services.ingest.web.entrance import Visit
from shared.web.problems import Refused

MEMBERS: Final = ("From", "To", "Text")
NAME_LENGTH_MIN: Final = 3
TO_LENGTH_MIN: Final = 8
NUMBER_LENGTH_MAX: Final = 16
"""A plus and the 15 digits of E.164; the shortest numbers of networks have seven."""

_NAME_LENGTH_SHOWN = 64


class SmsBody(msgspec.Struct, frozen=True, rename="pascal"):
    """A message to send; each member is a text of the right type, and nothing else is checked."""

    sender: str = msgspec.field(name="From")
    to: str
    text: str

    def __repr__(self) -> str:
        """Without the number and the text."""
        return f"SmsBody(sender={self.sender!r})"


async def read(visit: Visit) -> dict[str, object]:
    """The request's body, an object. Raises Refused."""
    raw = await bodies.read(visit.request, bodies.SINGLE_SIZE_MAX)
    try:
        document = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        raise Refused(document_faults.of_syntax(raw)) from None
    if not isinstance(document, dict):
        raise faults.invalid("wrong_type", "Expected an object; each message has a request.")
    if fault := document_faults.of_repeated_field(raw):
        raise Refused(fault)
    return document


async def read_sms(visit: Visit) -> SmsBody:
    """The message that a request asks for. Raises Refused."""
    document = await read(visit)
    unknown = next((name for name in document if name not in MEMBERS), None)
    values = [_text(document, name) for name in MEMBERS]
    if unknown is not None:
        detail = f"There is no such property; a message has {', '.join(MEMBERS)}."
        raise faults.invalid("unknown_field", detail, unknown[:_NAME_LENGTH_SHOWN])
    return SmsBody(*values)


def _text(document: dict[str, object], name: str) -> str:
    value = document.get(name)
    if value is None:
        raise faults.invalid("missing_field", f"{name} is required.", name)
    if not isinstance(value, str):
        detail = "Expected a string: one message goes from one sender to one number."
        raise faults.invalid("wrong_type", detail, name)
    return value


def check_recipient(to: str) -> None:
    """Raises Refused for what no number is as long as, or as short."""
    if len(to) < TO_LENGTH_MIN:
        raise faults.invalid("too_short", "Too short for a number with its country code.", "To")
    if len(to) > NUMBER_LENGTH_MAX:
        raise faults.invalid("too_long", "Longer than '+' and 15 digits.", "To")


def check_text(text: str) -> None:
    """Raises Refused for what no database keeps."""
    if "\0" in text:
        raise faults.invalid("invalid_text", "The text holds a NUL character.", "Text")
