"""Texts to try: the alphabets of the trade, and random texts from a printed seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = "\f^{}\\[~]|€"

_BMP = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x10000)]))
_ASTRAL = "".join(map(chr, range(0x10000, 0x110000)))

# Each profile is the alphabets that share its texts evenly.
PROFILES: dict[str, tuple[str, ...]] = {
    "plain": (GSM_BASIC[:20], "abcdefghijklmnopqrstuvwxyz ", "ABC 0123456789"),
    "gsm": (GSM_BASIC, GSM_BASIC, GSM_BASIC, GSM_EXTENSION),
    "escapes": (GSM_EXTENSION,),
    "bmp": (_BMP,),
    "emoji": (_ASTRAL, GSM_BASIC, _BMP),
    "astral": (_ASTRAL,),
}

_POOL_LENGTH = 20_000


def random_texts(seed: int, profile: str, count: int, longest: int) -> Iterator[str]:
    """`count` texts of 1 to `longest` characters, slices of one random pool."""
    rng = random.Random(seed)
    alphabets = PROFILES[profile]
    pool = "".join([rng.choice(rng.choice(alphabets)) for _ in range(_POOL_LENGTH)])
    for _ in range(count):
        start = int(rng.random() * (_POOL_LENGTH - longest))
        yield pool[start : start + 1 + int(rng.random() * longest)]
