"""The `smpp` adapter: a carrier spoken to over SMPP 3.4, by one or more transceiver binds.

How an answer's command_status is read; anything not listed here is REJECTED, for good, because a
message nobody understands must not be tried for ever:

| status | outcome |
|---|---|
| 0x00 | ACCEPTED, also without an id: it will be `unknown` at its deadline, but it was taken |
| 0x58 throttled, 0x14 queue full | THROTTLED; the bind pauses, ever longer |
| 0x08 system error, and the settings' `temporary_statuses` | THROTTLED; the bind pauses a second |
| no answer | LOST when bytes had left, UNAVAILABLE when not |

0x45 (submit failed), 0x67, 0xFE and 0xFF, which some carriers use for passing troubles, are for
good unless the settings list them: others use them for messages that will never pass.
"""

from __future__ import annotations

import asyncio
import operator
from functools import lru_cache, partial
from pathlib import Path
from uuid import UUID

import msgspec
import structlog

from shared.carriers import checks, contract, outcomes, secret, smpp_receipts
from shared.smpp import bind, codes, encoder, esme, life, pdu, session, terms, window
from shared.sms import receipts, segmentation

_log = structlog.get_logger()

TEMPORARY_PAUSE_SECONDS = 1.0
_DAY_SECONDS = 86_400
_WITH_RECEIPT = 1
_ALWAYS_TEMPORARY = codes.THROTTLING_STATUSES | {codes.ESME_RSYSERR}

# What a producer may read about a refusal.
_REASONS = {
    codes.ESME_RINVMSGLEN: "the carrier refused the message's length",
    codes.ESME_RINVSRCADR: "the carrier refused the sender",
    codes.ESME_RINVSRCTON: "the carrier refused the sender",
    codes.ESME_RINVSRCNPI: "the carrier refused the sender",
    codes.ESME_RINVDSTADR: "the carrier refused the recipient",
    codes.ESME_RINVDSTTON: "the carrier refused the recipient",
    codes.ESME_RINVDSTNPI: "the carrier refused the recipient",
    codes.ESME_RINVEXPIRY: "the carrier refused the validity period",
    codes.ESME_RSUBMITFAIL: "the carrier could not take the message",
    codes.ESME_RDELIVERYFAILURE: "the carrier could not deliver the message",
}
_RANGES = (
    ("port", 1, 65_535),
    ("binds", 1, 64),
    ("window", 1, 10_000),
    ("response_seconds", 0.1, 3600),
    ("enquire_seconds", 0.1, 3600),
    ("source_ton", 0, 255),
    ("source_npi", 0, 255),
    ("dest_ton", 0, 255),
    ("dest_npi", 0, 255),
)
_ACCEPTED, _REJECTED, _THROTTLED = (
    outcomes.OutcomeKind.ACCEPTED,
    outcomes.OutcomeKind.REJECTED,
    outcomes.OutcomeKind.THROTTLED,
)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An account at an SMSC, with exactly one of `password` and `password_file`, which is read when
    the link opens.

    `id_base` is for carriers that write an id in one base in answers and in another in receipts:
    "hex_to_dec" turns a receipt's hexadecimal into the answers' decimal, "hex" and "decimal" say
    that both are such numbers, so that capitals and leading zeros mean nothing; with "same" an id
    must be spelt alike. `receipts_without_esm_class` also takes receipts that only their text tells
    from inbound messages; `receipts_name_recipient` is to be turned off for a carrier that does not
    write the recipient into its receipts. The TON and NPI fields override what is derived from the
    address.
    """

    host: str
    port: int
    system_id: str
    password: secret.Secret | None = None
    password_file: str | None = None
    binds: int = 1
    window: int = 10
    system_type: str = ""
    source_ton: int | None = None
    source_npi: int | None = None
    dest_ton: int | None = None
    dest_npi: int | None = None
    response_seconds: float = 60.0
    enquire_seconds: float = 30.0
    id_base: smpp_receipts.IdBase = "same"
    receipts_without_esm_class: bool = False
    receipts_name_recipient: bool = True
    temporary_statuses: tuple[int, ...] = ()
    concatenation: contract.Concatenation = "16bit"

    def __post_init__(self) -> None:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("password: expected exactly one of password and password_file")
        checks.host("host", self.host)
        credential_max = encoder.CREDENTIAL_CHARS_MAX
        checks.filled("system_id", self.system_id)
        checks.printable("system_id", self.system_id, credential_max)
        checks.printable("system_type", self.system_type, credential_max)
        if self.password is not None:
            checks.printable("password", self.password.reveal(), credential_max)
        if self.password_file is not None:
            checks.filled("password_file", self.password_file)
        for name, low, high in _RANGES:
            checks.number(name, getattr(self, name), low, high)
        checks.numbers("temporary_statuses", self.temporary_statuses, 1, 0xFFFFFFFF)


def open_link(carrier: str, settings: Settings, on_receipt: contract.ReceiptSink) -> SmppLink:
    """A link that begins to bind at once. Call it inside the event loop. Raises OSError when the
    password file cannot be read."""
    return SmppLink(carrier, settings, on_receipt)


def read_receipt(settings: Settings, body: bytes) -> receipts.Receipt | receipts.LateAnswer | None:
    """One stored receipt or late answer in our words; None for garbage and for a state nobody
    knows."""
    return smpp_receipts.read(body, settings.id_base)


class SmppLink:
    """The `contract.Link` over SMPP: each submit takes the bind with the most room, but the parts
    of one message stay together where they can, because they arrive best in order."""

    def __init__(self, carrier: str, settings: Settings, on_receipt: contract.ReceiptSink) -> None:
        self._carrier = carrier
        self._settings = settings
        self._on_receipt = on_receipt
        self._temporary = _ALWAYS_TEMPORARY | set(settings.temporary_statuses)
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._receipts: set[asyncio.Future[None]] = set()
        self._last: tuple[UUID, bind.Bind] | None = None
        self._binds = self._open_binds(settings)
        self._readers = {each: partial(self._read_answer, each) for each in self._binds}

    @property
    def connected(self) -> bool:
        return any(each.connected for each in self._binds)

    @property
    def room(self) -> int:
        return sum([each.room for each in self._binds])

    async def wait_for_room(self) -> None:
        while not self.room:
            self._changed.clear()
            await self._changed.wait()

    def submit(self, segment: contract.Segment) -> asyncio.Future[outcomes.Outcome]:
        chosen = self._choose(segment)
        try:
            return chosen.ask(
                _submit_sm(self._settings, segment),
                self._readers[chosen],
                segment,
                segment.leave_by,
            )
        except pdu.PduError as error:
            code = f"0x{error.status:08X}"
        outcome: asyncio.Future[outcomes.Outcome] = self._loop.create_future()
        reason = "the message cannot be put into SMPP"
        outcome.set_result(outcomes.Outcome(_REJECTED, code=code, reason=reason))
        return outcome

    async def close(self, drain_seconds: float) -> None:
        await asyncio.gather(*(each.close(drain_seconds) for each in self._binds))
        # Their binds are gone, so nobody can be answered; but what is being stored may be stored.
        if self._receipts:
            await asyncio.wait(self._receipts, timeout=drain_seconds)
        for unfinished in self._receipts:
            unfinished.cancel()
        self._changed.set()

    def _open_binds(self, settings: Settings) -> list[bind.Bind]:
        request = pdu.BindRequest(settings.system_id, _password(settings), settings.system_type)
        destination = esme.Destination(settings.host, settings.port, request)
        timers = life.Timers(
            response_seconds=settings.response_seconds, enquire_seconds=settings.enquire_seconds
        )
        opened = [
            bind.Bind(
                destination,
                terms.Terms(settings.window, timers),
                on_request=self._take_delivery,
                on_state=partial(self._note_state, number),
                on_late_answer=self._keep_answer,
            )
            for number in range(settings.binds)
        ]
        for each in opened:
            each.start()
        return opened

    def _choose(self, segment: contract.Segment) -> bind.Bind:
        if len(self._binds) == 1:
            return self._binds[0]
        if self._last is not None and self._last[0] == segment.message_id and self._last[1].room:
            return self._last[1]
        chosen = max(self._binds, key=_room)
        self._last = segment.message_id, chosen
        return chosen

    def _read_answer(self, used: bind.Bind, answer: window.Answer) -> outcomes.Outcome:
        self._changed.set()
        if answer.kind is window.AnswerKind.LOST:
            return outcomes.LOST
        if answer.kind is window.AnswerKind.NOT_SENT:
            return outcomes.UNAVAILABLE
        outcome = self._outcome(answer)
        # The bind itself heeds the statuses that say nothing but "slower".
        if (
            outcome.kind is _THROTTLED
            and answer.status not in codes.THROTTLING_STATUSES
            and used.room
        ):
            used.pause(TEMPORARY_PAUSE_SECONDS)
        return outcome

    def _outcome(self, answer: window.Answer) -> outcomes.Outcome:
        """What an answer says, whether it came in time or not."""
        if answer.status == codes.ESME_ROK:
            carrier_id = smpp_receipts.answered_id(answer.message_id, self._settings.id_base)
            return outcomes.Outcome(_ACCEPTED, carrier_id)
        code = f"0x{answer.status:08X}"
        if answer.status in self._temporary:
            return outcomes.Outcome(_THROTTLED, code=code, reason="the carrier asks for time")
        reason = _REASONS.get(answer.status, "the carrier refused the message")
        return outcomes.Outcome(_REJECTED, code=code, reason=reason)

    def _keep_answer(self, key: object, answer: window.Answer) -> None:
        """An answer came after its submit had been given up: it is evidence like a receipt, and
        goes the same way. The carrier would not repeat it."""
        if not isinstance(key, contract.Segment):
            return
        body = smpp_receipts.keep_answer(
            key.message_id, key.part, key.submitted_at, self._outcome(answer)
        )
        try:
            storing = self._on_receipt(body)
        except Exception as error:
            self._note_unstored(error)
            return
        self._receipts.add(storing)
        storing.add_done_callback(self._answer_kept)

    def _answer_kept(self, stored: asyncio.Future[None]) -> None:
        self._receipts.discard(stored)
        error = asyncio.CancelledError() if stored.cancelled() else stored.exception()
        if error is not None:
            self._note_unstored(error)

    def _note_unstored(self, error: BaseException) -> None:
        _log.warning("late_answer_not_stored", carrier=self._carrier, error=type(error).__name__)

    def _take_delivery(self, peer: session.Session, request: pdu.Request) -> None:
        if isinstance(request, pdu.SubmitSm):
            return
        body = smpp_receipts.strip(
            request,
            unmarked=self._settings.receipts_without_esm_class,
            phones=self._settings.receipts_name_recipient,
        )
        if body is None:
            # Asking for a repeat would bring it back for ever, and saying yes would lose it unseen.
            _log.warning("inbound_not_supported", carrier=self._carrier)
            peer.answer(request, codes.ESME_RX_P_APPN)
            return
        # How many may be under way is bounded by the session, which stops reading.
        try:
            storing = self._on_receipt(body)
        except Exception as error:
            self._ask_to_repeat(peer, request, error)
            return
        self._receipts.add(storing)
        storing.add_done_callback(partial(self._answer_delivery, peer, request))

    def _answer_delivery(
        self, peer: session.Session, request: pdu.Request, stored: asyncio.Future[None]
    ) -> None:
        self._receipts.discard(stored)
        error = asyncio.CancelledError() if stored.cancelled() else stored.exception()
        if error is None:
            peer.answer(request, codes.ESME_ROK)
        else:
            self._ask_to_repeat(peer, request, error)

    def _ask_to_repeat(
        self, peer: session.Session, request: pdu.Request, error: BaseException
    ) -> None:
        _log.warning("receipt_not_stored", carrier=self._carrier, error=type(error).__name__)
        peer.answer(request, codes.ESME_RX_T_APPN)

    def _note_state(self, number: int, state: bind.BindState, reason: str) -> None:
        _log.info("bind_state", carrier=self._carrier, bind=number, state=state, reason=reason)
        self._changed.set()


_room = operator.attrgetter("room")


def _password(settings: Settings) -> str:
    if settings.password is not None:
        return settings.password.reveal()
    return Path(settings.password_file or "").read_text(encoding="utf-8").rstrip("\r\n")


def _submit_sm(settings: Settings, segment: contract.Segment) -> pdu.SubmitSm:
    source, source_ton, source_npi = _sender(segment.source)
    recipient, dest_ton, dest_npi = _address(segment.recipient)
    reference = receipts.echo_of(segment.message_id, segment.part)
    # The first ten go by their place, which costs a third less than by their names.
    return pdu.SubmitSm(
        source,
        recipient,
        segment.udh + segment.payload,
        segmentation.data_coding(segment.encoding),
        codes.ESM_CLASS_UDHI if segment.udh else codes.ESM_CLASS_DEFAULT,
        _WITH_RECEIPT,
        source_ton if settings.source_ton is None else settings.source_ton,
        source_npi if settings.source_npi is None else settings.source_npi,
        dest_ton if settings.dest_ton is None else settings.dest_ton,
        dest_npi if settings.dest_npi is None else settings.dest_npi,
        validity_period=_relative_time(segment.valid_seconds),
        tlvs=((codes.TLV_USER_MESSAGE_REFERENCE, reference.to_bytes(2, "big")),),
    )


def _address(number: str) -> tuple[str, int, int]:
    """An address as SMPP writes it, with TON and NPI (spec 5.2.5, 5.2.6): international and ISDN,
    network specific for a short code, alphanumeric for a name."""
    if number.startswith("+"):
        return number[1:], 1, 1
    if number.isdecimal():
        return number, 3, 0
    return number, 5, 0


_sender = lru_cache(maxsize=4096)(_address)


@lru_cache(maxsize=4096)
def _relative_time(seconds: int) -> str:
    """A time from now as SMPP writes it (spec 7.1.1), at least a second and at most 31 days."""
    days, rest = divmod(min(max(seconds, 1), 31 * _DAY_SECONDS), _DAY_SECONDS)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    return f"0000{days:02d}{hours:02d}{minutes:02d}{left:02d}000R"
