"""The text form of a delivery receipt, read from anything and written for practice (spec app. B).

    id:IIII sub:SSS dlvrd:DDD submit date:YYMMDDhhmm done date:YYMMDDhhmm stat:DDDDDDD err:E text:T

Every carrier writes it its own way, so fields may come in any order, case and spacing, or not at
all. What follows `text:` is part of a message and is neither read nor passed on.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

# The spec's own form, taken whole: a tenth of the time that reading any other form takes.
_USUAL = re.compile(
    rb"(id:([!-9;-~]{1,64}) sub:[0-9]{3} dlvrd:[0-9]{3}"
    rb" submit date:([0-9]{10}|[0-9]{12}) done date:[0-9]{10,12}"
    rb" stat:([A-Z]{7}) err:([0-9A-Za-z]{1,3}))(?: text:|\Z)"
)
_FIELD = re.compile(
    rb"""
    (?P<key> submit[ _]?date | done[ _]?date | dlvrd | stat | sub | err | id | text )
    [ ]* : [ ]*
    """,
    re.VERBOSE | re.IGNORECASE,
)
_VALUES = {
    "id": re.compile(rb"[^\s:]{1,255}"),
    "stat": re.compile(rb"[A-Za-z0-9_-]{1,40}"),
    "err": re.compile(rb"[0-9A-Za-z_-]{1,16}"),
    "submitdate": re.compile(rb"[0-9]{10,14}(?![0-9])"),
    "donedate": re.compile(rb"[0-9]{10,14}(?![0-9])"),
    "sub": re.compile(rb"[0-9]{1,5}(?![0-9])"),
    "dlvrd": re.compile(rb"[0-9]{1,5}(?![0-9])"),
}
_BYTES_MAX = 4096


class ReceiptText(NamedTuple):
    """What a receipt's text says; a missing or unreadable field is empty.

    `submit_date` is in a zone the carrier does not name. The done date is not read.
    """

    id: str = ""
    stat: str = ""
    err: str = ""
    submit_date: datetime | None = None


def parse(raw: bytes) -> ReceiptText | None:
    """Whatever can be read; None for bytes that name neither an id nor a stat."""
    usual = _USUAL.match(raw)
    if usual is not None:
        _, name, when, stat, err = usual.groups()
        return ReceiptText(name.decode(), stat.decode(), err.decode(), _date(when))
    found = {name: value.decode("latin-1") for name, (_, value) in _fields(raw).items()}
    if not found.get("id") and not found.get("stat"):
        return None
    return ReceiptText(
        id=found.get("id", ""),
        stat=found.get("stat", "").upper(),
        err=found.get("err", ""),
        submit_date=_date(found.get("submitdate", "").encode()),
    )


_DATES = {10: "%y%m%d%H%M", 12: "%y%m%d%H%M%S", 14: "%Y%m%d%H%M%S"}


@lru_cache(maxsize=4096)
def _date(written: bytes) -> datetime | None:
    form = _DATES.get(len(written))
    if form is None:
        return None
    try:
        return datetime.strptime(written.decode(), form)  # noqa: DTZ007 - it has no zone
    except ValueError:
        return None


def without_text(raw: bytes) -> bytes:
    """The receipt's known fields as the carrier spelt them, and nothing else of it.

    Keeping what is known, rather than cutting what follows `text:`, also holds for receipts that
    quote the message without that mark.
    """
    usual = _USUAL.match(raw)
    if usual is not None:
        return usual[1]
    return b" ".join(b"%b:%b" % (key, value) for key, value in _fields(raw).values())


def render(
    *,
    message_id: str,
    stat: str,
    err: str = "000",
    submit_date: datetime,
    done_date: datetime,
    text: bytes = b"",
) -> bytes:
    """A receipt as the spec writes it, for one segment; at most 20 octets of text are quoted."""
    delivered = 1 if stat == "DELIVRD" else 0
    head = (
        f"id:{message_id} sub:001 dlvrd:{delivered:03} submit date:{submit_date:%y%m%d%H%M}"
        f" done date:{done_date:%y%m%d%H%M} stat:{stat} err:{err} text:"
    )
    return head.encode("latin-1", "replace") + text[:20]


def _fields(raw: bytes) -> dict[str, tuple[bytes, bytes]]:
    """Each known field's spelling and value, first mention first, before any `text:`."""
    plain = raw[:_BYTES_MAX].replace(b"\0", b"")  # Latin letters of UCS-2 become themselves.
    fields: dict[str, tuple[bytes, bytes]] = {}
    marks = list(_FIELD.finditer(plain))
    for number, mark in enumerate(marks):
        key = mark["key"]
        name = key.decode("ascii").lower().replace(" ", "").replace("_", "")
        if name == "text":
            break
        end = marks[number + 1].start() if number + 1 < len(marks) else len(plain)
        value = _VALUES[name].match(plain, mark.end(), end)
        if value is not None:
            fields.setdefault(name, (key, value[0]))
    return fields
