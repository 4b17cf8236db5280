"""From a wish to a message that could be paid for: every check that needs no database, pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from shared.rules import prices, quiet_hours, verdict_codes, verdict_words, verdicts
from shared.rules.doors import DoorName
from shared.rules.line_kinds import LineKind, LineMode
from shared.rules.lines import Limits, Line
from shared.rules.purposes import ConsentPolicy, Purpose
from shared.rules.refusals import Code, Refusal, Subject
from shared.rules.routes import Journey
from shared.rules.snapshot import Account, Carrier, Configuration
from shared.rules.verdicts import Case, Facts
from shared.sms import e164, repertoires, segmentation, sender_id, time_zones
from shared.sms.classes import NORMAL

VALID_SECONDS_DEFAULT = 24 * 3600
VALID_SECONDS_MAX = 72 * 3600
SEND_AHEAD_DAYS_MAX = 35
LASTING_COUNT_MAX = 10_000
"""Verdicts that are remembered, so that most messages need not be judged."""
_ANY_MESSAGE: Final = UUID(int=0)
_ANY_TIME: Final = datetime.min.replace(tzinfo=UTC)


class Wish(NamedTuple):
    """One message as a producer asks for it, its types right and nothing else checked."""

    to: str
    text: str
    sender: str | None = None
    reference: str | None = None
    message_class: int = NORMAL
    at_least_once: bool = False
    send_at: datetime | None = None
    valid_seconds: int | None = None
    max_segments: int | None = None
    max_price_micro: int | None = None
    purpose: Purpose | None = None
    door: DoorName = DoorName.NATIVE
    store_body: bool | None = None
    """False: its text is not to be kept, whatever is set. Nothing else changes anything."""
    segment_count_max: int = segmentation.SEGMENT_COUNT_MAX
    """What the door takes at most."""
    reference_bits: segmentation.ReferenceBits | None = None
    """What the door counts parts for; None: what the message's carrier wants."""

    def __repr__(self) -> str:
        """Without the number and the text."""
        return f"Wish(sender={self.sender!r}, reference={self.reference!r})"


class Draft(NamedTuple):
    """A message that passed every check but the wallet's, just as it is stored if it can be paid
    for: all but its `case` is a row of the type `judged_message`. While there is a case, what is on
    record decides about it (`settle`), and its verdict means nothing yet. `store_body`: its text
    may be kept (A11)."""

    message_id: UUID
    account_id: int
    line_id: int
    carrier_id: int
    wallet_id: int
    revenue_wallet_id: int
    sender: str
    recipient: str
    country: str
    body: str
    encoding: str
    segment_count: int
    message_class: int
    at_least_once: bool
    segment_price_micro: int
    currency: str
    reference: str | None
    send_at: datetime | None
    valid_seconds: int
    verdict: int
    store_body: bool = True
    case: Case | None = None

    @property
    def price_micro(self) -> int:
        """What the whole message costs."""
        return self.segment_count * self.segment_price_micro

    def __repr__(self) -> str:
        """Without the number and the text."""
        return f"Draft({self.message_id}, line_id={self.line_id}, country={self.country!r})"


def compose(
    current: Configuration,
    account: Account,
    wish: Wish,
    message_id: UUID,
    now: datetime,
    *,
    from_line: Line | None = None,
) -> Draft | Refusal:
    """Check a wish against everything but the wallet and, where its verdict hangs on it, what is on
    record; what passes is called `message_id`. `from_line`: what it would go from, whatever
    lines there are; None: the one that it names."""
    recipient = _recipient_of(account, wish.to)
    if isinstance(recipient, Refusal):
        return recipient
    line = from_line or _line_of(current, account, wish.sender)
    if isinstance(line, Refusal):
        return line
    carrier = current.carrier_to(
        Journey(
            message_id,
            recipient.country,
            recipient.e164,
            account.account_id,
            line.line_id,
            wish.message_class,
        )
    )
    plan = _measured(wish, carrier)
    if isinstance(plan, Refusal):
        return plan
    if refusal := _too_many_segments(line, wish, plan.segment_count):
        return refusal
    if carrier is None:
        return _not_offered(recipient)
    price_micro = _price_of(current, account.currency, recipient, now)
    if isinstance(price_micro, Refusal):
        return price_micro
    if refusal := _too_dear(wish, plan.segment_count * price_micro):
        return refusal
    judged = _judged(current, account, line, wish, recipient.country, now)
    if isinstance(judged, Refusal):
        return judged
    store_body = account.store_body and line.stores_bodies and wish.store_body is not False
    if not (store_body or current.seals_texts):
        return Refusal(Code.NOT_YET, "Texts that are not to be kept cannot be taken yet.")
    return Draft(
        message_id=message_id,
        account_id=account.account_id,
        line_id=line.line_id,
        carrier_id=carrier.carrier_id,
        wallet_id=account.wallet_id,
        revenue_wallet_id=account.revenue_wallet_id,
        sender=line.sender,
        recipient=recipient.e164,
        country=recipient.country,
        body=wish.text,
        encoding=plan.encoding,
        segment_count=plan.segment_count,
        message_class=wish.message_class,
        at_least_once=wish.at_least_once,
        segment_price_micro=price_micro,
        currency=account.currency,
        reference=wish.reference,
        send_at=wish.send_at,
        valid_seconds=wish.valid_seconds or VALID_SECONDS_DEFAULT,
        verdict=judged.code,
        store_body=store_body,
        case=judged.case,
    )


class Quote(NamedTuple):
    """What a text to a number is cut into, and costs, whoever may send it."""

    country: str
    encoding: str
    segment_count: int
    segment_price_micro: int

    @property
    def price_micro(self) -> int:
        """What the whole message costs."""
        return self.segment_count * self.segment_price_micro


def quote(
    current: Configuration, account: Account, currency: str, wish: Wish, now: datetime
) -> Quote | Refusal:
    """What `compose` would charge for the wish's text and number, in the currency; from which line
    it would go, and whether that may, is not looked at."""
    recipient = _recipient_of(account, wish.to)
    if isinstance(recipient, Refusal):
        return recipient
    default = current.lines.default_of(account.account_id)
    line_id = 0 if default is None else default.line_id
    carrier = current.carrier_to(
        Journey(
            _ANY_MESSAGE,
            recipient.country,
            recipient.e164,
            account.account_id,
            line_id,
            wish.message_class,
        )
    )
    plan = _measured(wish, carrier)
    if isinstance(plan, Refusal):
        return plan
    if carrier is None:
        return _not_offered(recipient)
    price_micro = _price_of(current, currency, recipient, now)
    if isinstance(price_micro, Refusal):
        return price_micro
    return Quote(recipient.country, plan.encoding, plan.segment_count, price_micro)


class _Judged(NamedTuple):
    """The code of a verdict; or 0, and the case that hangs on facts."""

    code: int
    case: Case | None = None


def _judged(
    current: Configuration, account: Account, line: Line, wish: Wish, country: str, now: datetime
) -> _Judged | Refusal:
    """Whether rules let it pass, as far as that can be told without what is on record."""
    code = _lasting_code(
        (line.kind, line.country, line.mode, line.purpose),
        (account.plan, account.international, account.registration_enforced, account.consent),
        country,
        wish.purpose,
        wish.door,
    )
    if code is not None:
        return _Judged(code)
    case = case_of(current, account, line, wish, country, now)
    verdict = verdicts.judge(case)
    if verdict is None:
        return _Judged(0, case)
    if not verdict.allowed:
        return verdict_words.refusal(verdict)
    return _Judged(verdict_codes.encode(verdict))


def settle(draft: Draft, facts: Facts) -> Draft | Refusal:
    """The draft with the verdict that it lacked; one that has its own is as it was."""
    if draft.case is None:
        return draft
    verdict = verdicts.judge(draft.case, facts)
    if verdict is None:
        raise AssertionError("with all facts there is a verdict")
    if not verdict.allowed:
        return verdict_words.refusal(verdict)
    return draft._replace(verdict=verdict_codes.encode(verdict), case=None)


_LineTraits = tuple[LineKind, str, LineMode, Purpose | None]
_AccountTraits = tuple[str, bool, bool, ConsentPolicy]
"""What verdicts that last hang on, and no more: of lines and of accounts, as many are alike."""


@lru_cache(maxsize=LASTING_COUNT_MAX)
def _lasting_code(
    of_line: _LineTraits,
    of_account: _AccountTraits,
    country: str,
    asked: Purpose | None,
    door: DoorName,
) -> int | None:
    """The code of a verdict that is the same at any time and whatever is on record, as most are."""
    kind, line_country, mode, purpose = of_line
    line = Line(
        0, 0, "", kind, line_country, False, Limits(None, None, None), mode=mode, purpose=purpose
    )
    if verdicts.hangs_on_time(line, asked or purpose):
        return None
    plan, international, enforced, consent = of_account
    account = Account(
        0,
        "",
        "",
        0,
        0,
        0,
        0,
        plan=plan,
        international=international,
        registration_enforced=enforced,
        consent=consent,
    )
    verdict = verdicts.judge(Case(line, account, "", country, asked, door, _ANY_TIME, _ANY_TIME))
    if verdict is None or not verdict.allowed:
        return None
    return verdict_codes.encode(verdict)


def case_of(
    current: Configuration, account: Account, line: Line, wish: Wish, country: str, now: datetime
) -> Case:
    """What is to be judged of a wish, as far as it is known: its number, which is of this country,
    its purpose, its door and its time."""
    moment = wish.send_at or now
    zones: tuple[str, ...] = ()
    if (wish.purpose or line.purpose) is Purpose.MARKETING and country in quiet_hours.OPEN:
        zones = time_zones.of_number(wish.to, country)
    since = moment - timedelta(days=current.conversation_days)
    return Case(line, account, wish.to, country, wish.purpose, wish.door, moment, since, zones)


def measure(
    text: str,
    reference_bits: segmentation.ReferenceBits = 16,
    segment_count_max: int = segmentation.SEGMENT_COUNT_MAX,
    repertoire: repertoires.Repertoire = "gsm7",
) -> segmentation.Plan | Refusal:
    """How the text will be cut, by the one function that also cuts it, for a carrier that wants
    references of so many bits, and has these characters without UCS-2."""
    try:
        return segmentation.measure(text, reference_bits, segment_count_max, repertoire)
    except segmentation.EmptyText:
        return Refusal(Code.EMPTY_TEXT, "The text is empty.", Subject.TEXT)
    except segmentation.TextTooLong as error:
        return Refusal(Code.TEXT_TOO_LONG, str(error), Subject.TEXT)
    except ValueError as error:
        return Refusal(Code.INVALID_TEXT, str(error), Subject.TEXT)


def _recipient_of(account: Account, to: str) -> e164.PhoneNumber | Refusal:
    try:
        recipient = e164.parse(to)
    except e164.InvalidNumber as error:
        return Refusal(Code.INVALID_RECIPIENT, str(error), Subject.RECIPIENT)
    if recipient.kind is e164.NumberKind.SPECIAL and not account.special_numbers:
        detail = "Premium-rate and other special numbers are not open to this account."
        return Refusal(Code.SPECIAL_NUMBER, detail, Subject.RECIPIENT)
    return recipient


def _measured(wish: Wish, carrier: Carrier | None) -> segmentation.Plan | Refusal:
    if carrier is None:
        return measure(wish.text, wish.reference_bits or 16, wish.segment_count_max)
    bits = wish.reference_bits or carrier.reference_bits
    return measure(wish.text, bits, wish.segment_count_max, carrier.repertoire)


def _line_of(current: Configuration, account: Account, sender: str | None) -> Line | Refusal:
    if sender is None:
        line = current.lines.default_of(account.account_id)
        if line is None:
            detail = "The account has no default line; a sender must be named."
            return Refusal(Code.NO_DEFAULT_LINE, detail, Subject.SENDER)
        return line
    line = current.lines.of_sender(account.account_id, sender)
    if line is not None:
        return line
    try:
        sender_id.parse(sender)
    except ValueError as error:
        return Refusal(Code.INVALID_SENDER, str(error), Subject.SENDER)
    detail = "The account has no line with this sender."
    return Refusal(Code.UNKNOWN_SENDER, detail, Subject.SENDER)


def _price_of(
    current: Configuration, currency: str, recipient: e164.PhoneNumber, now: datetime
) -> int | Refusal:
    """Micro-units for each segment; special numbers have prices of their own."""
    special = recipient.kind is e164.NumberKind.SPECIAL
    country = recipient.country
    price_micro = prices.segment_price_micro(current, country, currency, now, special=special)
    return _not_offered(recipient) if price_micro is None else price_micro


def _too_dear(wish: Wish, price_micro: int) -> Refusal | None:
    if wish.max_price_micro is not None and price_micro > wish.max_price_micro:
        detail = "The message would cost more than its ceiling."
        return Refusal(Code.OVER_MAX_PRICE, detail, Subject.PRICE_CEILING)
    return None


def _not_offered(recipient: e164.PhoneNumber) -> Refusal:
    kind = "special numbers of " if recipient.kind is e164.NumberKind.SPECIAL else ""
    detail = f"Messages to {kind}{recipient.country} are not offered."
    return Refusal(Code.UNSUPPORTED_COUNTRY, detail, Subject.RECIPIENT)


def _too_many_segments(line: Line, wish: Wish, segment_count: int) -> Refusal | None:
    if wish.max_segments is not None and segment_count > wish.max_segments:
        detail = f"The text needs {segment_count} segments, at most {wish.max_segments} are wanted."
        return Refusal(Code.OVER_MAX_SEGMENTS, detail, Subject.SEGMENT_CEILING)
    limits = line.limits
    if (
        (limits.hour is not None and segment_count > limits.hour)
        or (limits.day is not None and segment_count > limits.day)
        or (limits.month is not None and segment_count > limits.month)
    ):
        detail = (
            f"The text needs {segment_count} segments, more than its line may ever send at once."
        )
        return Refusal(Code.OVER_LINE_LIMIT, detail, Subject.TEXT)
    return None
