"""Phones by the thousand, a carrier that delivers what they send until it is taken, and what must
come of it."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from shared.smpp import codes, pdu, session, smsc, terms, window
from shared.sms import segmentation

LINES = ("+33698765432", "36180", "+33698765439")
"""Two that are an account's, and one that is nobody's."""
WINDOW = 100
MESSAGES_A_PHONE = 5


class Sent(NamedTuple):
    """What a phone sent, and the numbers of its parts that the carrier lost."""

    phone: str
    line: str
    text: str
    parts: Sequence[segmentation.Part]
    lost: tuple[int, ...]

    @property
    def arrives(self) -> str:
        """The text that can arrive."""
        return "".join(part.text for part in self.parts if part.number not in self.lost)

    def deliveries(self) -> Iterator[pdu.DeliverSm]:
        """Its parts as the carrier delivers them."""
        for part in self.parts:
            if part.number not in self.lost:
                yield pdu.DeliverSm(
                    self.phone.removeprefix("+"),
                    self.line.removeprefix("+"),
                    part.udh + part.payload,
                    segmentation.data_coding(part.encoding),
                    codes.ESM_CLASS_UDHI if part.udh else codes.ESM_CLASS_DEFAULT,
                    source_addr_ton=1,
                    dest_addr_ton=1 if self.line.startswith("+") else 0,
                )


def sent(count: int, chance: random.Random) -> list[Sent]:
    """Messages of 1 to 5 parts, in both alphabets; one in 20 of the long ones lacks a part. Every
    phone counts its references alike, so that thousands share each."""
    return [_message(number, chance) for number in range(count)]


def _message(number: int, chance: random.Random) -> Sent:
    phone, turn = divmod(number, MESSAGES_A_PHONE)
    filling = chance.choice(("yes, I am coming ", "да, я приду ", "😀€^"))
    text = f"{number}: " + filling * chance.choice((1, 1, 12, 20, 25))
    parts = segmentation.split(text, turn, 8)
    is_damaged = len(parts) > 1 and chance.random() < 0.05
    lost = (chance.randint(1, len(parts)),) if is_damaged else ()
    return Sent(f"+3361{phone:07}", chance.choice(LINES), text, parts, lost)


def shuffled(messages: Sequence[Sent], chance: random.Random) -> list[pdu.DeliverSm]:
    """All that is delivered, one in 20 of the parts twice, far from its place. What has no part to
    name it comes again only unanswered: once the answer is heard, the same is a phone's own."""
    deliveries = [each for message in messages for each in message.deliveries()]
    named = [each for each in deliveries if each.esm_class & codes.ESM_CLASS_UDHI]
    deliveries += chance.sample(named, len(named) // 20)
    chance.shuffle(deliveries)
    return deliveries


class Centre:
    """A carrier's centre: whoever has bound gets what phones send, again and again until it is
    taken."""

    def __init__(self, server: smsc.Server) -> None:
        self._server = server
        self._waiting: deque[pdu.DeliverSm] = deque()
        self._unanswered = 0
        self.taken_count = 0
        self.repeated_count = 0

    async def deliver(self, deliveries: Sequence[pdu.DeliverSm]) -> None:
        """Return when all of it is taken."""
        self._waiting.extend(deliveries)
        while self._waiting or self._unanswered:
            for bound in self._server.sessions:
                while self._waiting and bound.room:
                    self._hand_over(bound, self._waiting.popleft())
            await asyncio.sleep(0.005)

    def _hand_over(self, bound: session.Session, delivery: pdu.DeliverSm) -> None:
        self._unanswered += 1
        answered = bound.deliver(delivery)

        def end(said: asyncio.Future[window.Answer]) -> None:
            self._unanswered -= 1
            answer = said.result()
            if answer.kind is window.AnswerKind.ANSWERED and answer.status == codes.ESME_ROK:
                self.taken_count += 1
            else:
                self.repeated_count += 1
                self._waiting.append(delivery)

        answered.add_done_callback(end)


@asynccontextmanager
async def centre(port: int) -> AsyncIterator[Centre]:
    """A centre on this port while the body runs."""
    server = await smsc.serve(
        "127.0.0.1",
        port,
        terms.Terms(WINDOW),
        session.Handlers(lambda _peer, _request: None, authenticate=lambda _asked: codes.ESME_ROK),
    )
    try:
        yield Centre(server)
    finally:
        await server.close()
