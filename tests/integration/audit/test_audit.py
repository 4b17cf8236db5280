"""The audit finds nothing in right books, and names the row of each thing that is falsified."""

from __future__ import annotations

import re

import asyncpg
import pytest

from shared.db import audit
from shared.sms.states import SegmentState
from tests.integration.audit import books

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _breaches(connection: asyncpg.Connection) -> dict[str, audit.Finding]:
    found = await audit.examine(connection)
    return {finding.check.name: finding for finding in found if finding.breach_count}


async def test_nothing_is_found_when_books_agree(
    connection: asyncpg.Connection, written: books.Books
) -> None:
    # Given a message in every place, When all is examined
    found = await audit.examine(connection)

    # Then nothing is wrong, and something was looked at
    assert {finding.check.name: finding.rows for finding in found if finding.rows} == {}
    assert await books.count_events(connection) == 5
    examined = {finding.check.name: finding.examined_count for finding in found}
    assert examined["debits"] == 14
    assert examined["transfers"] == 17
    assert examined["work"] == 3


async def test_nothing_is_found_when_a_refunded_message_turns_out_delivered(
    connection: asyncpg.Connection, written: books.Books
) -> None:
    # Given a refund, When a receipt later proves that the carrier had taken the message
    async with connection.transaction():
        await books.settle(connection, written.refunded, SegmentState.DELIVERED, accepted=True)

    # Then status and money still agree
    assert await _breaches(connection) == {}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM event_notes WHERE message_ids[1] = '{submitted}'",
        "UPDATE event_notes SET account_ids = '{{2}}'",
        "UPDATE event_notes SET statuses = '{{submitted}}' WHERE statuses = '{{delivered}}'",
    ],
)
async def test_an_event_without_a_number_is_known_and_missed(
    connection: asyncpg.Connection, written: books.Books, statement: str
) -> None:
    # Given two events of a message and one of another that have no numbers yet
    for state in (SegmentState.UNDELIVERED, SegmentState.DELIVERED):
        await books.note(connection, written.submitted, state, accepted=True)
    await books.note(connection, written.refunded, SegmentState.UNDELIVERED, accepted=True)
    assert await connection.fetchval("SELECT count(*) FROM event_notes") == 3
    # Then the books agree
    assert await _breaches(connection) == {}
    # When one is falsified, Then the check says so
    await connection.execute(statement.format(submitted=written.submitted))
    assert "last_events" in await _breaches(connection)


def _twice(*columns: str) -> str:
    """The beginning of a statement that doubles arrays of pages."""
    return f"UPDATE event_pages SET {', '.join(f'{each} = {each} || {each}' for each in columns)} "


_FALSIFICATIONS = (
    (
        "sub_accounts",
        "INSERT INTO accounts (name, currency, parent_account_id)"
        " SELECT 'a/b', currency, account_id FROM accounts WHERE account_id = 1;"
        "INSERT INTO wallets (account_id, book, currency)"
        " SELECT account_id, 'customer', currency FROM accounts WHERE name = 'a/b'",
        "a/b",
    ),
    (
        "sub_accounts",
        "INSERT INTO accounts (name, currency, parent_account_id)"
        " SELECT 'a/b', currency, account_id FROM accounts WHERE account_id = 1;"
        "INSERT INTO accounts (name, currency, parent_account_id)"
        " SELECT 'a/b/c', currency, account_id FROM accounts WHERE name = 'a/b'",
        "a/b/c",
    ),
    ("wallets", "UPDATE wallets SET balance_micro = balance_micro + 1 WHERE wallet_id = 7", "7"),
    (
        "wallets",
        "ALTER TABLE wallets DROP CONSTRAINT wallets_balance_micro_check;"
        "UPDATE wallets SET balance_micro = -1 WHERE wallet_id = 8",
        "8",
    ),
    ("wallets", "UPDATE wallets SET balance_micro = 5 WHERE wallet_id = 1", "1"),
    (
        "transfers",
        "INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason)"
        "VALUES (7, 8, 5, 'credit', 'theft')",
        "customer",
    ),
    (
        "transfers",
        "INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason)"
        "VALUES (99, 8, 5, 'credit', 'from nowhere')",
        "None",
    ),
    ("debits", "DELETE FROM transfers WHERE message_id = '{queued}' AND part = 2", "{queued}"),
    ("debits", "UPDATE transfers SET amount_micro = 1 WHERE message_id = '{queued}'", "{queued}"),
    ("debits", "UPDATE messages SET wallet_id = 8 WHERE message_id = '{queued}'", "{queued}"),
    ("debits", "UPDATE messages SET segment_count = 1 WHERE message_id = '{queued}'", "{queued}"),
    ("debits", "DELETE FROM messages WHERE message_id = '{queued}'", "{queued}"),
    (
        "debits",
        "ALTER TABLE transfers DROP CONSTRAINT transfers_message_id_part_kind_key;"
        "INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason,"
        " message_id, part) SELECT from_wallet_id, to_wallet_id, amount_micro, kind, reason,"
        " message_id, part FROM transfers WHERE message_id = '{queued}' AND part = 1",
        "debited twice",
    ),
    (
        "refunds",
        "INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason,"
        " message_id, part) SELECT to_wallet_id, from_wallet_id, amount_micro, 'refund', 'gift',"
        " message_id, part FROM transfers WHERE message_id = '{delivered}' AND part = 1",
        "{delivered}",
    ),
    (
        "refunds",
        "UPDATE transfers SET amount_micro = 1 WHERE kind = 'refund' AND part = 1",
        "{refunded}",
    ),
    (
        "refunds",
        "UPDATE transfers SET to_wallet_id = 8 WHERE kind = 'refund' AND part = 1",
        "{refunded}",
    ),
    (
        "refunds",
        "UPDATE segments SET accepted_at = now() - interval '1 hour'"
        " WHERE message_id = '{refunded}' AND part = 1",
        "{refunded}",
    ),
    (
        "refunds",
        "UPDATE segments SET state = 'queued' WHERE message_id = '{refunded}' AND part = 1",
        "{refunded}",
    ),
    (
        "refunds",
        "ALTER TABLE transfers DROP CONSTRAINT transfers_message_id_part_kind_key;"
        "INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason,"
        " message_id, part) SELECT from_wallet_id, to_wallet_id, amount_micro, kind, reason,"
        " message_id, part FROM transfers WHERE kind = 'refund' AND part = 1",
        "{refunded}",
    ),
    ("unrefunded", "DELETE FROM transfers WHERE kind = 'refund' AND part = 2", "{refunded}"),
    ("daily_limits", "UPDATE wallets SET daily_limit = 7 WHERE account_id = 2", "account_id"),
    ("owners", "UPDATE messages SET line_id = 2 WHERE message_id = '{submitted}'", "{submitted}"),
    ("owners", "UPDATE messages SET currency = 'USD' WHERE message_id = '{queued}'", "{queued}"),
    ("owners", "UPDATE messages SET carrier_id = 9 WHERE message_id = '{queued}'", "{queued}"),
    (
        "parts",
        "UPDATE segments SET part = 3 WHERE message_id = '{parked}' AND part = 2",
        "{parked}",
    ),
    ("parts", "DELETE FROM messages WHERE message_id = '{parked}'", "{parked}"),
    (
        "statuses",
        "UPDATE messages SET status = 'delivered' WHERE message_id = '{submitted}'",
        "{submitted}",
    ),
    (
        "statuses",
        "UPDATE segments SET state = 'vanished' WHERE message_id = '{submitted}'",
        "vanished",
    ),
    ("work", "DELETE FROM work WHERE message_id = '{queued}'", "{queued}"),
    ("work", "UPDATE work SET segment_count = 1 WHERE message_id = '{queued}'", "{queued}"),
    ("work", "UPDATE work SET state = 'ready' WHERE message_id = '{parked}'", "{parked}"),
    (
        "work",
        "DELETE FROM submits WHERE message_id = '{submitting}'",
        "{submitting}",
    ),
    (
        "work",
        "INSERT INTO submits SELECT message_id, part, gen_random_uuid(), now()"
        " FROM parts WHERE message_id = '{queued}'",
        "{queued}",
    ),
    (
        "overdue_work",
        "UPDATE work SET expires_at = now() - interval '2 minutes' WHERE message_id = '{parked}'",
        "{parked}",
    ),
    (
        "overdue_work",
        "UPDATE work SET ready_at = now() - interval '2 minutes' WHERE message_id = '{scheduled}'",
        "{scheduled}",
    ),
    (
        "submitting",
        "UPDATE submits SET submitted_at = now() - interval '11 minutes'"
        " WHERE message_id = '{submitting}'",
        "{submitting}",
    ),
    (
        "submitting",
        # A server that has been up for a day, and a worker that has not been heard of since.
        "CREATE FUNCTION public.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql"
        " AS 'SELECT now() - interval ''1 day''';"
        "SET search_path = public, pg_catalog;"
        "UPDATE workers SET seen_at = now() - interval '2 minutes';"
        "UPDATE submits SET submitted_at = now() - interval '2 minutes'"
        " WHERE message_id = '{submitting}'",
        "{submitting}",
    ),
    (
        "submitting",
        "INSERT INTO segments (message_id, part, state, carrier_id)"
        " SELECT message_id, 1, 'delivered', carrier_id FROM messages"
        " WHERE message_id = '{submitting}'",
        "{submitting}",
    ),
    ("submitting", "UPDATE submits SET part = 3 WHERE part = 2", "{submitting}"),
    ("work", "DELETE FROM segments WHERE message_id = '{delivered}' AND part = 2", "{delivered}"),
    (
        "no_receipt",
        "UPDATE segments SET submitted_at = now() - interval '74 hours'"
        " WHERE message_id = '{submitted}' AND part = 2",
        "{submitted}",
    ),
    ("parked_lines", "DELETE FROM parked_lines", "line_id"),
    (
        "parked_lines",
        "INSERT INTO parked_lines VALUES (2, now() - interval '2 minutes')",
        "2",
    ),
    ("event_numbers", "DELETE FROM event_pages WHERE last_sequence = 1", "account_id"),
    ("event_numbers", "DELETE FROM event_pages WHERE last_sequence = 3", "account_id"),
    ("event_numbers", "DELETE FROM event_pages WHERE last_sequence = 5", "account_id"),
    ("event_numbers", "UPDATE event_pages SET last_sequence = 9 WHERE last_sequence = 3", "9"),
    ("event_numbers", _twice("message_ids") + "WHERE last_sequence = 3", "account_id"),
    ("event_numbers", _twice("statuses") + "WHERE last_sequence = 3", "account_id"),
    ("event_numbers", _twice("reasons") + "WHERE last_sequence = 3", "account_id"),
    ("event_numbers", _twice("refs") + "WHERE last_sequence = 3", "account_id"),
    ("event_numbers", _twice("happened_at") + "WHERE last_sequence = 3", "account_id"),
    (
        # As many events as numbers, one of which is there twice and one not at all.
        "event_numbers",
        _twice("message_ids", "statuses", "reasons", "refs", "happened_at")
        + "WHERE last_sequence = 3;"
        "DELETE FROM event_pages WHERE last_sequence = 4",
        "account_id",
    ),
    ("event_numbers", "DELETE FROM event_heads WHERE account_id = 2", "2"),
    (
        "last_events",
        "UPDATE event_pages SET statuses = ARRAY['delivered']"
        " WHERE message_ids = ARRAY['{submitted}'::uuid]",
        "{submitted}",
    ),
    (
        "last_events",
        "UPDATE event_pages SET account_id = 2 WHERE message_ids = ARRAY['{submitted}'::uuid]",
        "{submitted}",
    ),
    (
        "spending",
        "SELECT add_up_spending(1000);UPDATE spending SET amount_micro = 1 WHERE country = 'FR'",
        "wallet_id",
    ),
    ("line_usage", "UPDATE lines SET hour_limit = 7", "line_id"),
)


@pytest.mark.parametrize(("check", "statement", "named"), _FALSIFICATIONS)
async def test_the_row_is_named_when_something_is_falsified(
    connection: asyncpg.Connection, written: books.Books, check: str, statement: str, named: str
) -> None:
    # Given books that agree, When somebody changes a row behind the product's back
    await connection.execute("ALTER TABLE transfers DISABLE TRIGGER transfers_are_immutable")
    await connection.execute(_filled(statement, written))

    # Then the check for it says so and names the row
    breaches = await _breaches(connection)
    assert check in breaches
    wanted = _filled(named, written)
    assert any(wanted in row.values() or wanted in row for row in breaches[check].rows)


_IN_ROWS = """
INSERT INTO events
SELECT account_id, sequence, message_id, status, reason, reference, created_at
FROM all_events WHERE sequence <= 3;
DELETE FROM event_pages WHERE last_sequence <= 3"""
"""The first three events as the release before wrote them."""


@pytest.mark.parametrize(
    ("check", "statement"),
    [
        ("event_numbers", "DELETE FROM events WHERE sequence = 1"),
        ("event_numbers", "DELETE FROM events WHERE sequence = 2"),
        ("event_numbers", "DELETE FROM events WHERE sequence = 3"),
        ("event_numbers", "UPDATE events SET sequence = 9 WHERE sequence = 3"),
        ("event_numbers", "UPDATE events SET sequence = 5 WHERE sequence = 3"),
        ("event_numbers", "DELETE FROM event_pages WHERE last_sequence = 4"),
        ("event_numbers", "DELETE FROM event_pages"),
        ("event_numbers", _twice("message_ids", "statuses", "reasons", "refs", "happened_at")),
        ("last_events", "DELETE FROM events WHERE message_id = '{submitted}'"),
        ("last_events", "UPDATE events SET account_id = 2 WHERE message_id = '{submitted}'"),
    ],
)
async def test_it_is_found_when_rows_and_pages_do_not_fit(
    connection: asyncpg.Connection, written: books.Books, check: str, statement: str
) -> None:
    # Given rows of events that are followed by pages, which agree
    await connection.execute(_IN_ROWS)
    assert await _breaches(connection) == {}
    assert await books.count_events(connection) == 5

    # When one of them changes, Then the check for it says so
    await connection.execute(_filled(statement, written))
    assert check in await _breaches(connection)


def _filled(text: str, written: books.Books) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(getattr(written, match.group(1))), text)


async def test_a_line_over_its_limit_is_a_warning_only(
    connection: asyncpg.Connection, written: books.Books
) -> None:
    # Given a line whose limit was lowered below what it has sent, When all is examined
    await connection.execute("UPDATE lines SET day_limit = 1")

    # Then it is shown, and the books are not wrong
    (finding,) = (await _breaches(connection)).values()
    assert finding.check.name == "line_usage"
    assert not finding.is_breach


async def test_all_breaches_are_counted_when_there_are_too_many_to_name(
    connection: asyncpg.Connection, written: books.Books
) -> None:
    # Given more falsified rows than are named
    await connection.execute("ALTER TABLE transfers DISABLE TRIGGER transfers_are_immutable")
    await connection.execute(
        "INSERT INTO transfers (from_wallet_id, to_wallet_id, amount_micro, kind, reason)"
        " SELECT 7, 8, 5, 'credit', 'theft' FROM generate_series(1, 50)"
    )

    # When all is examined
    finding = (await _breaches(connection))["transfers"]

    # Then fifty are counted and twenty named
    assert finding.breach_count == 50
    assert len(finding.rows) == audit.ROW_COUNT_MAX
