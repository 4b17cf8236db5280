"""Named habits of real carriers, each a few options' values; docs/simulator.md lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Personality(NamedTuple):
    """What it does, for people, and the values by which `Options` do it."""

    meaning: str
    options: Mapping[str, object]


def _of(meaning: str, **options: object) -> Personality:
    return Personality(meaning, MappingProxyType(options))


PERSONALITIES: Mapping[str, Personality] = MappingProxyType(
    {
        "slow": _of(
            "answers within seconds, and reports within many",
            answer_min_ms=200,
            answer_max_ms=2_000,
            receipt_min_ms=500,
            receipt_max_ms=8_000,
        ),
        "throttling": _of(
            "has a limit that it does not tell and that comes and goes like a tide",
            limit_low_per_second=60.0,
            limit_high_per_second=300.0,
            limit_period_seconds=20.0,
        ),
        "hex_ids": _of("answers in decimal and reports in hexadecimal", receipt_ids="hex"),
        "decimal_ids": _of("answers in hexadecimal and reports in decimal", receipt_ids="decimal"),
        "padded_ids": _of("reports under ids with leading zeros", receipt_ids="padded"),
        "upper_ids": _of("reports under ids in capitals", receipt_ids="upper"),
        "receipts_first": _of(
            "answers some submits only when their receipt was taken", receipt_first_share=0.7
        ),
        "duplicate_receipts": _of("reports again what it has reported", duplicate_share=0.5),
        "contradicting_receipts": _of(
            "also reports the contrary, before or after", contradicting_share=0.5
        ),
        "lost_answers": _of("takes some submits without an answer", unanswered_share=0.03),
        "cuts": _of("cuts the link within some answers, at any octet", cut_share=0.005),
        "wrong_sequences": _of(
            "answers under wrong numbers and twice, and refuses what nobody asked",
            wrong_sequence_share=0.03,
        ),
        "reused_ids": _of("has few ids, and gives them again and again", id_count=300),
        "fake_receipts": _of(
            "reports on ids of nobody, and on an id under another phone", fake_share=0.3
        ),
        "bind_refusals": _of(
            "lets nobody in at first, and many a bind not later",
            bind_refused_seconds=3.0,
            bind_refused_share=0.5,
        ),
        "inbound": _of("has phones that answer, some with texts like receipts", inbound_share=0.3),
        "odd_receipts": _of(
            "writes receipts in orders, cases, words and packets of its own", odd_share=1.0
        ),
        "poison": _of("has phones that never have room for a message", poisoned_share=0.05),
        "outage": _of("is gone for some seconds now and then", outage_every_seconds=8.0),
    }
)


class UnknownPersonality(ValueError):
    """A name that none has, or two that cannot be had together; the sentence says which there
    are."""


def options_of(names: Sequence[str]) -> dict[str, object]:
    """The options of all these personalities together. Raises UnknownPersonality."""
    chosen: dict[str, object] = {}
    owners: dict[str, str] = {}
    for name in names:
        personality = PERSONALITIES.get(name)
        if personality is None:
            known = ", ".join(sorted(PERSONALITIES))
            raise UnknownPersonality(f"there is no {name!r}; expected of {known}")
        for option, value in personality.options.items():
            if chosen.setdefault(option, value) != value:
                raise UnknownPersonality(
                    f"{owners[option]} and {name} do not go together: both set {option}"
                )
            owners[option] = name
    return chosen
