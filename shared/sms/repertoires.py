"""Which characters an SMSC can take without UCS-2: all of GSM 03.38, or those it shares with less.

A text of other characters travels, and is counted, as UCS-2; so a carrier's repertoire decides,
like the length of its references, how many segments a text has there.
"""

from __future__ import annotations

from typing import Literal

Repertoire = Literal["gsm7", "latin-1", "ascii"]
"""Named as Python names the alphabets beside GSM's own."""


def holds(repertoire: Repertoire, text: str) -> bool:
    """Whether the text, all of it in GSM 03.38, is also in this repertoire."""
    if repertoire == "gsm7":
        return True
    try:
        text.encode(repertoire)
    except UnicodeEncodeError:
        return False
    return True
