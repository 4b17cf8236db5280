"""PDUs that no honest carrier writes: valid ones spoiled in every way, and plain noise.

None of them names anything of ours: their ids and phones are nobody's, and their sequence numbers
are beyond those of requests that wait for an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from shared.smpp import codes, encoder, pdu

PHONE = "33699999999"
"""Nobody's."""
SEQUENCE_MIN = 0x40000000
"""Of what is spoiled; a session counts its own requests from 1."""
KINDS: dict[str, int] = {
    "bits": 22,
    "cut": 14,
    "parameters": 14,
    "unasked answers": 12,
    "lengths inside": 10,
    "unknown commands": 8,
    "noise": 8,
    "of the other role": 5,
    "well formed": 5,
    "broken framing": 1,
    "unbind": 1,
}
"""Kinds, and how often each is made."""

_RECEIPT = (
    b"id:%b sub:001 dlvrd:001 submit date:2611260930 done date:2611260931 stat:%b err:000 text:"
)
_WORDS = (b"DELIVRD", b"UNDELIV", b"EXPIRED", b"REJECTD", b"ENROUTE", b"ACCEPTD", b"UNKNOWN", b"?")


class Spoiler:
    """Makes PDUs of all kinds by chance."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._makers: dict[str, Callable[[], bytes]] = {
            "bits": self._bits,
            "cut": self._cut,
            "parameters": self._parameters,
            "unasked answers": self._answer,
            "lengths inside": self._lengths,
            "unknown commands": self._unknown,
            "noise": self._noise,
            "of the other role": self._other_role,
            "well formed": self._honest,
            "broken framing": self._broken,
            "unbind": lambda: encoder.encode(pdu.Unbind(), self._sequence()),
        }

    def next(self) -> tuple[str, bytes]:
        """Its kind, and a PDU; only those of broken framing have a length that is not theirs."""
        [kind] = self._random.choices(list(KINDS), list(KINDS.values()))
        return kind, self._makers[kind]()

    def _sequence(self) -> int:
        return self._random.randint(SEQUENCE_MIN, codes.SEQUENCE_MAX)

    def _bytes(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randint(0, most))

    def _honest(self) -> bytes:
        """A receipt of nobody's message, a phone's message, or a question whether we live."""
        random = self._random
        name = b"ghost-%d" % random.randrange(10**9)
        text = _RECEIPT % (name, random.choice(_WORDS))
        tlvs = ((codes.TLV_RECEIPTED_MESSAGE_ID, name + b"\0"), (codes.TLV_MESSAGE_STATE, b"\x02"))
        is_receipt = random.random() < 0.7
        message = pdu.DeliverSm(
            PHONE,
            "Sluice",
            text if is_receipt else self._bytes(140),
            esm_class=codes.ESM_CLASS_RECEIPT if is_receipt else random.choice((0, 0x40)),
            tlvs=tlvs if random.random() < 0.5 else (),
        )
        if random.random() < 0.2:
            payload = ((codes.TLV_MESSAGE_PAYLOAD, text),)
            return encoder.encode(
                pdu.DataSm(PHONE, "Sluice", esm_class=message.esm_class, tlvs=tlvs + payload),
                self._sequence(),
            )
        if random.random() < 0.1:
            return encoder.encode(pdu.EnquireLink(), self._sequence())
        return encoder.encode(message, self._sequence())

    def _bits(self) -> bytes:
        """Bits turned anywhere behind the header."""
        spoiled = bytearray(self._honest())
        for _ in range(self._random.randint(1, 12)):
            if len(spoiled) > codes.HEADER_BYTES:
                at = self._random.randrange(codes.HEADER_BYTES, len(spoiled))
                spoiled[at] ^= 1 << self._random.randrange(8)
        return bytes(spoiled)

    def _cut(self) -> bytes:
        whole = self._honest()
        return _sized(whole[: self._random.randint(codes.HEADER_BYTES, len(whole))])

    def _parameters(self) -> bytes:
        """Garbage where the parameters are: lengths beyond the end, tags twice, sizes wrong."""
        random = self._random
        garbage = b"".join(
            random.choice((0x001E, 0x0427, 0x0423, 0x0204, 0x0424, random.randrange(0x10000)))
            .to_bytes(2, "big") + random.choice((0, 1, 2, 300, 0xFFFF)).to_bytes(2, "big")
            + self._bytes(12)
            for _ in range(random.randint(1, 8))
        )  # fmt: skip
        return _sized(self._honest() + garbage)

    def _answer(self) -> bytes:
        """An answer to nothing that was asked."""
        random = self._random
        command = random.choice(
            (
                codes.COMMAND_SUBMIT_SM_RESP,
                codes.COMMAND_DATA_SM_RESP,
                codes.COMMAND_GENERIC_NACK,
                codes.COMMAND_ENQUIRE_LINK_RESP,
                codes.COMMAND_BIND_TRANSCEIVER | codes.RESPONSE_BIT,
                codes.COMMAND_UNBIND_RESP,
                codes.COMMAND_DELIVER_SM_RESP,
            )
        )
        status = random.choice((0, 0, 0x58, 0x14, 0x0D, random.randrange(2**32)))
        return encoder.frame(command, status, self._sequence(), self._bytes(80))

    def _lengths(self) -> bytes:
        """The length of the text is not the text's."""
        spoiled = bytearray(self._honest())
        if len(spoiled) > 60:
            spoiled[self._random.randrange(40, 60)] = self._random.randrange(256)
        return bytes(spoiled)

    def _unknown(self) -> bytes:
        command = self._random.choice((0x0000000B, 0x00000003, 0x00000021, 0x00000102, 0x00010203))
        return encoder.frame(command, 0, self._sequence(), self._bytes(200))

    def _noise(self) -> bytes:
        """Any command with any body."""
        random = self._random
        command = random.choice((0x00000005, 0x00000103, 0x00000015, random.randrange(2**32)))
        body = random.randbytes(
            random.choice((0, 1, 17, 300, 60_000 if random.random() < 0.02 else 5))
        )
        return encoder.frame(command, random.randrange(2**32), self._sequence(), body)

    def _other_role(self) -> bytes:
        """What only we may ask."""
        asked: pdu.Pdu = pdu.SubmitSm("Sluice", PHONE, self._bytes(100))
        if self._random.random() < 0.5:
            asked = pdu.BindRequest("us", "pw", "", pdu.BindMode.TRANSCEIVER)
        return encoder.encode(asked, self._sequence())

    def _broken(self) -> bytes:
        """A length that no PDU has, up to 4 GiB; or one that its bytes do not fill."""
        length = self._random.choice((0, 15, 65_537, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
        return length.to_bytes(4, "big") + self._honest()[4:]


def _sized(frame: bytes) -> bytes:
    """The frame with the length it has."""
    return len(frame).to_bytes(4, "big") + frame[4:]
