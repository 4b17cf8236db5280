"""What lines and accounts are: as migrated, as they are loaded, as they are kept."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from shared.db import apply, configuration, lines, migrate, schema
from shared.rules.line_kinds import Capability, LineKind, LineMode
from shared.rules.lines import Traits
from shared.rules.purposes import ConsentPolicy, Purpose
from shared.rules.registrations import Registration, RegistrationKind, RegistrationState

ACCOUNT = apply.Account("demo", "EUR", 200, 60)
PLAIN = apply.Line("demo", "+12025550123", "long_code", "US", False, 1000, 10_000, 50_000)
FULL = replace(
    PLAIN,
    sender="+12025550124",
    second_limit=3,
    name="Support",
    capabilities=("sms", "mms"),
    mode="api",
    registration="approved",
    brand="B1",
    campaign="C1",
    registered_from=date(2026, 1, 1),
    use_case="appointment reminders",
    purpose="automated",
    time_zone="America/Chicago",
)


async def test_accounts_of_before_go_on_and_new_ones_are_held_to_the_rules(
    empty_database_url: str,
) -> None:
    # Given a database of the release before, with an account
    connection = await asyncpg.connect(empty_database_url, timeout=10)
    try:
        before = [each for each in schema.known() if each.number < 20]
        await migrate.migrate(connection, before)
        put = "INSERT INTO accounts (name, currency) VALUES ($1, 'EUR')"
        await connection.execute(put, "older")

        # When it is migrated, and a process of that release makes another
        await migrate.migrate(connection)
        await connection.execute(put, "newer")

        # Then the older one may do what it did, and the newer one what the rules allow
        rows = await connection.fetch(
            "SELECT name, plan, store_body, international, consent, registration_enforced,"
            " senders_restricted FROM accounts ORDER BY account_id"
        )
        assert [tuple(row) for row in rows] == [
            ("older", "professional", True, True, "own", False, True),
            ("newer", "professional", True, False, "north_america", True, False),
        ]
    finally:
        await connection.close(timeout=10)


async def test_no_transaction_waits_for_all_lines_to_be_made(
    owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given lines that take longer to make than a transaction may stand idle, as many would
    for row in (ACCOUNT, PLAIN, FULL):
        await apply.put(owner, row, None)
    await owner.execute("SET idle_in_transaction_session_timeout = '2s'")
    make = lines._traits

    def slowly(*given: Any) -> Traits:
        time.sleep(1.2)
        return make(*given)

    monkeypatch.setattr(lines, "_traits", slowly)
    monkeypatch.setattr(lines, "PAGE_COUNT", 1)
    # When the configuration is loaded, Then it is whole
    assert len((await configuration.load(owner)).lines) == 2
    assert await owner.fetchval("SELECT true")


async def test_a07_a_line_is_loaded_with_all_that_is_known_of_it(owner: asyncpg.Connection) -> None:
    # Given a line of which everything is said, and one of which nothing is
    for row in (ACCOUNT, PLAIN, FULL):
        await apply.put(owner, row, None)

    # When the configuration is loaded, Then the one is what was said, the other what is usual
    current = await configuration.load(owner)
    plain = current.lines.of_sender(1, PLAIN.sender)
    full = current.lines.of_sender(1, FULL.sender)
    assert plain is not None
    assert full is not None
    kind = RegistrationKind.TEN_DLC
    assert full.capabilities == {Capability.SMS, Capability.MMS}
    assert full.mode is LineMode.API
    assert full.registration == Registration(
        RegistrationState.APPROVED, kind, "B1", "C1", date(2026, 1, 1)
    )
    assert (full.name, full.use_case) == ("Support", "appointment reminders")
    assert full.purpose is Purpose.AUTOMATED
    assert (full.time_zone, full.second_limit) == ("America/Chicago", 3)
    assert plain.kind is LineKind.LONG_CODE
    assert (plain.name, plain.time_zone) == (PLAIN.sender, "America/New_York")
    assert plain.registration == Registration(kind=kind)
    assert plain.mode is LineMode.APPLICATION
    assert (datetime.now(UTC) - plain.created_at).total_seconds() < 60
    assert current.accounts[1].consent is ConsentPolicy.NORTH_AMERICA


async def test_what_is_read_is_what_was_written(owner: asyncpg.Connection) -> None:
    account = replace(ACCOUNT, plan="essentials", consent="required", international=True)
    for row in (account, PLAIN, FULL):
        await apply.put(owner, row, None)
    found = await apply.read(owner)
    assert [found[row.key] for row in (account, PLAIN, FULL)] == [account, PLAIN, FULL]


async def test_what_many_lines_have_in_common_is_kept_once(owner: asyncpg.Connection) -> None:
    # Given lines that are alike but for their numbers
    await apply.put(owner, ACCOUNT, None)
    async with owner.transaction():
        for last in range(10, 13):
            await apply.put(owner, replace(FULL, sender=f"+120255501{last}"), None)

    # When they are loaded, Then each value of theirs is one object
    lines = (await configuration.load(owner)).lines.values()
    for name in ("limits", "capabilities", "registration", "use_case", "time_zone"):
        assert len({id(getattr(line, name)) for line in lines}) == 1, name


async def test_a_mode_that_changed_meanwhile_outlives_a_file_that_does_not_change_it(
    owner: asyncpg.Connection,
) -> None:
    # Given a line that an operator's command has read
    for row in (ACCOUNT, PLAIN):
        await apply.put(owner, row, None)
    before = (await apply.read(owner))[PLAIN.key]

    # When its owner changes the mode, and then the command writes something else of it
    await owner.execute("UPDATE lines SET mode = 'api'")
    await apply.put(owner, replace(PLAIN, name="Support"), before)

    # Then both are kept; and a mode that the command changes is changed
    (line,) = (await configuration.load(owner)).lines.values()
    assert (line.name, line.mode) == ("Support", LineMode.API)
    after = (await apply.read(owner))[PLAIN.key]
    await apply.put(owner, PLAIN, after)
    assert await owner.fetchval("SELECT mode FROM lines") == "application"
