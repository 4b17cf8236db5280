"""What a carrier's error in a receipt tells the producer."""

from __future__ import annotations

import pytest

from services.dlr import interpreters
from shared.db import watch
from shared.shapes import mailjet
from shared.sms import causes
from tests.integration.dlr import world


@pytest.mark.parametrize(
    ("stat", "cause", "shown"),
    [
        ("UNDELIV", "unfit_phone", 7),
        ("UNDELIV", "do_not_disturb", 9),
        ("REJECTD", "flood", 12),
        ("UNDELIV", "no_credit", 15),
        ("REJECTD", "daily_limit", 16),
        ("UNDELIV", "barred", 5),
    ],
)
async def test_the_cause_of_a_failure_is_read_and_has_its_number_in_mailjets_words(
    town: world.World, stat: str, cause: str, shown: int
) -> None:
    # Given a carrier of whose errors the operator has said what one means
    await town.pool.execute(
        "UPDATE carriers SET settings = settings || jsonb_build_object('receipt_causes',"
        " jsonb_build_object('7F', $1::text)) WHERE name = 'bound'",
        cause,
    )
    [message_id] = await town.submit(1)
    await town.pool.execute("UPDATE segments SET carrier_id = $1", town.carrier_ids["bound"])
    readers = interpreters.Interpreters(await watch.Watch.start(town.pool))
    name = world.carrier_name_of(message_id)
    body = f'{{"text":"id:{name} stat:{stat} err:07f"}}'.encode()

    # When a receipt names it
    await town.apply(readers, town.raw(body, carrier="bound"))

    # Then the producer reads the sentence beside the carrier's own word, and clients a number
    row = await town.pool.fetchrow(
        "SELECT status, reason, code FROM messages WHERE message_id = $1", message_id
    )
    assert row is not None
    assert (row["reason"], row["code"]) == (
        causes.SENTENCES[causes.Cause(cause)],
        f"{stat} 07f",
    )
    assert mailjet.code_of(row["status"], row["reason"]) == shown
