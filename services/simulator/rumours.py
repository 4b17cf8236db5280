"""What the carrier says beside the receipt that it owes: the same again, the contrary, receipts
that nobody is owed, and what phones answer."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from services.simulator import chance, moods, options, outbox

SOON_SECONDS = 0.5
"""How far from its receipt a rumour comes."""
ANSWERS = ("Thanks!", "Who is this? Пожалуйста, не пишите мне", "STOP IT id:1 ok?")


class Rumours:
    """Its chance is its own, so that moods are the same with rumours and without."""

    def __init__(self, wanted: options.Options) -> None:
        self._wanted = wanted
        self._chance = chance.Chance(wanted.seed, "rumours")
        self._latest = "", ""
        self._of_another = ""

    def beside(
        self, receipt: outbox.Receipt, delay_seconds: float
    ) -> Iterator[tuple[outbox.Receipt, float]]:
        """Further receipts, each with the seconds until it is due, which those of the receipt that
        is owed are near."""
        wanted = self._wanted
        if self._chance.happens(wanted.duplicate_share):
            for _ in range(self._chance.randint(1, 2)):
                yield self._copy(receipt), self._near(delay_seconds)
        if self._chance.happens(wanted.contradicting_share):
            yield self._copy(receipt, stat=_contrary(receipt.stat)), self._near(delay_seconds)
        if self._chance.happens(wanted.fake_share):
            yield self._fake(receipt), self._near(delay_seconds)

    def of_phone(self, phone: str, message_id: str) -> str:
        """What the phone answers that got this message; empty: nothing. It may look like a receipt
        for what another phone has got."""
        if phone != self._latest[0]:
            self._of_another = self._latest[1]
        self._latest = phone, message_id
        if not self._chance.happens(self._wanted.inbound_share):
            return ""
        forged = f"id:{self._of_another} sub:001 dlvrd:000 stat:UNDELIV err:099 text:"
        return self._chance.choice((*ANSWERS, forged))

    def _fake(self, receipt: outbox.Receipt) -> outbox.Receipt:
        phone = f"{receipt.recipient[:-7]}{self._chance.randrange(10**7):07}"
        nobody = self._chance.happens(0.5)
        return self._copy(
            receipt,
            message_id=f"9{receipt.message_id[1:]}{self._chance.randrange(1000):03}"
            if nobody
            else receipt.message_id,
            recipient=phone,
            stat=_contrary(receipt.stat),
        )

    def _copy(self, receipt: outbox.Receipt, **changes: object) -> outbox.Receipt:
        return msgspec.structs.replace(receipt, on_settled=None, attempts=0, **changes)

    def _near(self, delay_seconds: float) -> float:
        return max(0.0, delay_seconds + self._chance.uniform(-SOON_SECONDS, SOON_SECONDS))


def _contrary(stat: moods.Stat) -> moods.Stat:
    return moods.Stat.UNDELIV if stat is moods.Stat.DELIVRD else moods.Stat.DELIVRD
