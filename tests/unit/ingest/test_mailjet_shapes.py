"""The vendor's numbers for our statuses, and what of them stands in answers."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from services.ingest.mailjet import faults, queries
from shared.db import message_windows, opt_outs
from shared.db.message_windows import SECOND_MAX, WindowRow
from shared.db.messages import StoredMessage
from shared.rules.refusals import Code
from shared.runtime import ids
from shared.shapes import mailjet as shapes
from shared.shapes.mailjet import StatusCode
from shared.sms.states import MessageStatus as M
from shared.web.problems import Refused
from tests.unit.architecture import tree

WIRE = [
    "unknown",
    "sent_pending",
    "sent",
    "delivered",
    "rejected_operator",
    "rejected_undelivered",
    "rejected_expired",
    "rejected_incorrect_delivery",
    "rejected_network",
    "rejected_dnd",
    "rejected_from_blacklist",
    "rejected_to_blacklist",
    "rejected_anti_flood",
    "rejected_system_error",
    "invalid_phone_number",
    "rejected_insufficent_funds",
    "rejected_daily_limit_reached",
]
TABLE = [
    (M.SCHEDULED, "", 1),
    (M.QUEUED, "", 1),
    (M.PARKED, "", 1),
    (M.IN_DOUBT, "the carrier's answer was lost", 1),
    (M.SUBMITTED, "", 2),
    (M.DELIVERED, "", 3),
    (M.UNKNOWN, "no receipt came within the deadline", 0),
    (M.UNKNOWN, "the carrier does not know what became of it", 0),
    (M.REJECTED, "the carrier refused the message", 4),
    (M.REJECTED, "the carrier took it and rejected it later", 4),
    (M.REJECTED, "the carrier refused the sender", 10),
    (M.REJECTED, "the carrier refused the recipient", 14),
    (M.REJECTED, "the message cannot be put into SMPP", 13),
    (M.UNDELIVERED, "the carrier could not deliver it", 5),
    (M.EXPIRED, "not sent within its validity", 6),
    (M.EXPIRED, "the carrier could not deliver it in time", 6),
    (M.FAILED, "longer than a limit of its line allows", 13),
    (M.CANCELED, "canceled_by_account", 13),
    (M.CANCELED, opt_outs.REASON, 11),
]


def test_the_numbers_are_0_to_16_under_the_vendors_words() -> None:
    assert [int(code) for code in StatusCode] == list(range(17))
    assert [code.name.lower() for code in StatusCode] == WIRE


@pytest.mark.parametrize(("status", "reason", "code"), TABLE)
def test_a_status_and_its_reason_are_one_number(status: M, reason: str, code: int) -> None:
    assert shapes.code_of(status, reason) == code


def test_each_status_is_in_the_table_and_each_reason_is_one_that_somebody_gives() -> None:
    assert {status for status, _, _ in TABLE} == set(M) == set(shapes.CODES)
    product = "".join(
        Path(file).read_text("utf-8")
        for file in chain(
            (tree.ROOT / "services").rglob("*.py"), (tree.ROOT / "shared").rglob("*.py")
        )
        if file.name != "mailjet.py"
    )
    for _, reason, _ in TABLE:
        assert f'"{reason}"' in product


@pytest.mark.parametrize("code", range(17))
def test_whoever_filters_by_a_number_finds_what_is_shown_under_it(code: int) -> None:
    wanted = shapes.standings([code])
    for status, reason, shown in TABLE:
        pair = (status, reason)
        found = (status in wanted.statuses and pair not in wanted.except_for) or (
            pair in wanted.and_for
        )
        assert found == (shown == code)


def _row(accepted_at: datetime | None = None) -> WindowRow:
    at = datetime(2026, 1, 31, tzinfo=UTC)
    stored = StoredMessage(
        message_id=UUID(int=1_731_500_000_999 << 80 | 7),
        line_id=1,
        status="queued",
        reason="",
        sender="ShopBot",
        recipient="+4915112345678",
        country="DE",
        encoding="gsm7",
        segment_count=2,
        message_class=1,
        at_least_once=False,
        segment_price_micro=35_600,
        currency="EUR",
        reference=None,
        body_stored=True,
        created_at=at,
        send_at=None,
        expires_at=at,
        updated_at=at,
        verdict=None,
    )
    return WindowRow(stored, accepted_at)


def test_a_row_has_both_spellings_and_no_sent_ts_before_it_was_sent() -> None:
    shown = msgspec.json.decode(msgspec.json.encode(shapes.listed(_row())))
    assert shown["MessageId"] == shown["ID"] == shown["MessageID"]
    assert (shown["SMSCount"], shown["SmsCount"]) == (2, 2)
    assert shown["CreationTS"] == 1_731_500_000
    assert shown["Cost"] == {"Value": 0.0712, "Currency": "EUR"}
    assert shown["Status"]["Name"] == "sent_pending"
    assert shown.keys().isdisjoint({"SentTS", "Text", "Count"})
    sent = _row(accepted_at=datetime.fromtimestamp(1_731_500_002.5, UTC))
    assert msgspec.json.decode(msgspec.json.encode(shapes.listed(sent)))["SentTS"] == 1_731_500_002


def test_a_second_of_an_id_bounds_the_ids_of_that_second() -> None:
    made = ids.uuid7()
    second = message_windows.second_of(made)
    assert message_windows.first_id_of(second) <= made < message_windows.first_id_of(second + 1)
    assert message_windows.first_id_of(SECOND_MAX + 1) == message_windows.first_id_of(1 << 62)


@pytest.mark.parametrize(
    ("given", "second"),
    [
        (1_731_500_000, 1_731_500_000),
        ("1731500000", 1_731_500_000),
        ("2024-11-13T12:13:20Z", 1_731_500_000),
        ("2024-11-13T13:13:20+01:00", 1_731_500_000),
        (1_731_500_000_000, SECOND_MAX),
        ("1731500000000", SECOND_MAX),
        ("9" * 4_000, SECOND_MAX),
        (None, None),
    ],
)
def test_times_come_as_seconds_or_rfc_3339_and_milliseconds_are_far_in_the_future(
    given: object, second: int | None
) -> None:
    assert queries.moment(given, "FromTS") == second


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("soon", "mj-0004"),
        ("", "mj-0004"),
        (True, "mj-0004"),
        (1.5, "mj-0004"),
        ([1], "mj-0004"),
        (-1, "mj-0009"),
        ("-1", "mj-0009"),
        ("2024-13-01", "mj-0009"),
        ("2024-11-13T25:00:00Z", "mj-0009"),
        ("0001-01-01T00:00:00+14:00", "mj-0009"),
    ],
)
def test_what_is_no_time_is_refused_with_the_vendors_code(given: object, code: str) -> None:
    with pytest.raises(Refused) as raised:
        queries.moment(given, "FromTS")
    problem = raised.value.problem
    assert (problem.status, problem.field) == (400, "FromTS")
    assert faults.code_of(problem.code) == code


def test_each_refusal_of_the_core_has_a_code_here() -> None:
    codes = {faults.code_of(code) for code in Code}
    assert len(codes) == len(Code)
    assert {"sms-0001", "sms-0002", "sms-0003", "mj-0006", "sluice-opted-out"} <= codes
