"""Which characters an SMSC can take without UCS-2: all of GSM 03.38, or those it shares with less.

A text of other characters travels, and is counted, as UCS-2; so a carrier's repertoire decides,
like the length of its references, how many segments a text has there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Repertoire = Literal["gsm7", "latin-1", "ascii"]
"""Named as Python names the alphabets beside GSM's own."""
REPERTOIRES: Final[tuple[Repertoire, ...]] = ("gsm7", "latin-1", "ascii")

Alphabet = Literal["gsm7", "gsm7_packed", "latin1", "ascii"]
"""What a carrier's setting `alphabet` says of its default."""
BY_ALPHABET: Final[Mapping[object, Repertoire]] = {
    "gsm7": "gsm7",
    "gsm7_packed": "gsm7",
    "latin1": "latin-1",
    "ascii": "ascii",
}


def holds(repertoire: Repertoire, text: str) -> bool:
    """Whether the text, all of it in GSM 03.38, is also in this repertoire."""
    if repertoire == "gsm7":
        return True
    try:
        text.encode(repertoire)
    except UnicodeEncodeError:
        return False
    return True
