"""Segments in doubt that end by evidence: an echo, a late answer, or the only receipt that fits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.dlr import interpreters, late
from shared.broker import envelopes
from shared.carriers import outcomes, smpp_receipts
from shared.db import segments
from shared.smpp import codes, pdu, receipt_text, tlv
from shared.sms import states
from tests.integration.dlr import world

Readers = interpreters.Interpreters

PHONE, OTHER_PHONE = "+33612345678", "+33687654321"
CARRIER = "bound"


def receipt(
    town: world.World,
    stat: str = "DELIVRD",
    *,
    name: str = "c-1",
    phone: str = PHONE,
    reference: int | None = None,
    submitted_at: datetime | None = None,
) -> envelopes.RawReceipt:
    """A deliver_sm of the carrier as it lies in the queue."""
    when = submitted_at or datetime.now(UTC)
    text = receipt_text.render(message_id=name, stat=stat, submit_date=when, done_date=when)
    tlvs: tlv.Tlvs = ()
    if reference is not None:
        tlvs = ((codes.TLV_USER_MESSAGE_REFERENCE, reference.to_bytes(2, "big")),)
    body = smpp_receipts.strip(
        pdu.DeliverSm(
            phone.removeprefix("+"), "Sluice", text, esm_class=codes.ESM_CLASS_RECEIPT, tlvs=tlvs
        )
    )
    assert body is not None
    return town.raw(body, carrier=CARRIER)


def echo(message_id: UUID, part: int = 1) -> int:
    """The 16 bits that our adapter sends with a segment."""
    return (message_id.int + part) & 0xFFFF


async def doubt(town: world.World, count: int = 1, *, to: str = PHONE) -> list[UUID]:
    """Messages handed to the carrier whose answer was lost."""
    message_ids = await town.hand_over(count, carrier=CARRIER, to=to)
    await town.lose_answer(message_ids)
    return message_ids


async def retry(town: world.World) -> None:
    """Let every unmatched receipt have its next try now."""
    await town.pool.execute("UPDATE receipts SET retry_at = now() WHERE retry_at IS NOT NULL")
    await late.sweep(town.pool)


async def by_message(town: world.World, message_ids: Sequence[UUID]) -> list[str]:
    return [await town.status(message_id) for message_id in message_ids]


async def test_a_doubt_ends_by_the_reference_its_receipt_echoes(
    town: world.World, readers: Readers
) -> None:
    """Two doubts to one phone: only the echo tells them apart."""
    taken, never = await doubt(town, 2)

    await town.apply(readers, receipt(town, reference=echo(taken)))
    await retry(town)

    assert await by_message(town, [taken, never]) == ["delivered", "in_doubt"]
    assert await town.refund_count() == 0
    assert (
        await town.pool.fetchval(
            "SELECT carrier_message_id FROM segments WHERE message_id = $1", taken
        )
        == "c-1"
    )


async def test_a_doubt_ends_by_the_only_receipt_that_fits_it_when_nothing_is_echoed(
    town: world.World, readers: Readers
) -> None:
    [ours], [another] = await doubt(town), await doubt(town, to=OTHER_PHONE)

    await town.apply(readers, receipt(town, "UNDELIV"))
    await retry(town)

    assert await by_message(town, [ours, another]) == ["undelivered", "in_doubt"]


async def test_a_receipt_settles_nothing_when_two_doubts_fit_it(
    town: world.World, readers: Readers
) -> None:
    message_ids = await doubt(town, 2)

    await town.apply(readers, receipt(town))
    await retry(town)

    assert await by_message(town, message_ids) == ["in_doubt", "in_doubt"]
    assert await town.count("receipts WHERE message_id IS NULL AND retry_at > now()") == 1


async def test_the_carrier_s_date_tells_two_doubts_apart_whatever_its_zone(
    town: world.World, readers: Readers
) -> None:
    early, recent = await doubt(town, 2)
    await town.pool.execute(
        "UPDATE segments SET submitted_at = submitted_at - interval '7 minutes' "
        "WHERE message_id = $1",
        early,
    )
    in_kathmandu = datetime.now(UTC) + timedelta(hours=5, minutes=45)

    await town.apply(readers, receipt(town, submitted_at=in_kathmandu))
    await retry(town)

    assert await by_message(town, [early, recent]) == ["in_doubt", "delivered"]


async def test_a_receipt_finds_its_segment_that_comes_into_doubt_only_later(
    town: world.World, readers: Readers
) -> None:
    """Its dispatcher died after the bytes had left; that is noticed ten seconds later."""
    message_ids = await town.hand_over(1, carrier=CARRIER, to=PHONE)
    await town.apply(readers, receipt(town))
    await retry(town)
    assert await by_message(town, message_ids) == ["queued"]

    await town.lose_answer(message_ids)
    await retry(town)

    assert await by_message(town, message_ids) == ["delivered"]


async def test_a_doubt_is_left_alone_while_another_submit_to_its_phone_may_own_the_receipt(
    town: world.World, readers: Readers
) -> None:
    """The receipt may overtake the answer of a submit that is still on its way."""
    [never] = await doubt(town)
    [on_its_way] = await town.hand_over(1, carrier=CARRIER, to=PHONE)
    name = world.carrier_name_of(on_its_way)

    await town.apply(readers, receipt(town, name=name))
    await retry(town)
    assert await by_message(town, [never, on_its_way]) == ["in_doubt", "queued"]
    await town.answer([on_its_way])
    await retry(town)

    assert await by_message(town, [never, on_its_way]) == ["in_doubt", "delivered"]


async def test_a_doubt_is_left_alone_when_two_receipts_claim_it(
    town: world.World, readers: Readers
) -> None:
    message_ids = await doubt(town)

    await town.apply(readers, receipt(town, name="c-1"), receipt(town, name="c-2"))
    await retry(town)

    assert await by_message(town, message_ids) == ["in_doubt"]


async def test_the_parts_of_a_message_end_by_as_many_receipts_as_there_are(
    town: world.World, readers: Readers
) -> None:
    """Its dispatcher died with three parts in hand, two of which had left."""
    [message_id] = await town.hand_over(1, 3, carrier=CARRIER, to=PHONE)
    await town.settle(
        segments.Evidence(message_id, part, states.SegmentState.IN_DOUBT) for part in (1, 2, 3)
    )

    await town.apply(
        readers,
        *(receipt(town, stat, name=name) for name in "ab" for stat in ("ENROUTE", "DELIVRD")),
    )
    for _ in range(2):
        await retry(town)

    found = await town.pool.fetch("SELECT state, carrier_message_id FROM segments ORDER BY part")
    assert [row["state"] for row in found] == ["delivered", "delivered", "in_doubt"]
    assert {row["carrier_message_id"] for row in found} == {"a", "b", None}
    assert await town.count("receipts WHERE retry_at IS NOT NULL") == 0


async def test_later_receipts_follow_the_id_once_a_doubt_has_ended(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await doubt(town)

    await town.apply(readers, receipt(town, "ENROUTE"))
    await retry(town)
    between = await town.status(message_id)
    await doubt(town)  # A second one to the same phone does not confuse what is known.
    await town.apply(readers, receipt(town, "EXPIRED"))

    assert between == "submitted"
    assert await town.history(message_id) == ["in_doubt", "submitted", "expired"]
    assert await town.refund_count() == 0


async def test_a_doubt_ends_when_it_was_given_up_before_its_receipt_came(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await doubt(town)
    await town.pool.execute("UPDATE segments SET state = 'unknown'")

    await town.apply(readers, receipt(town))
    await retry(town)

    assert await town.status(message_id) == "delivered"


async def test_a_receipt_from_another_carrier_or_an_older_time_ends_no_doubt(
    town: world.World, readers: Readers
) -> None:
    [elsewhere] = await town.hand_over(1, carrier="acme", to=PHONE)
    await town.lose_answer([elsewhere])
    [long_ago] = await doubt(town)
    await town.age([long_ago], 24 * 7)

    await town.apply(readers, receipt(town))
    await retry(town)

    assert await by_message(town, [elsewhere, long_ago]) == ["in_doubt", "in_doubt"]


def late_answer(
    town: world.World, submit: tuple[UUID, datetime], outcome: outcomes.Outcome
) -> envelopes.RawReceipt:
    """An answer as the adapter publishes it after its submit was given up."""
    message_id, submitted_at = submit
    body = smpp_receipts.keep_answer(message_id, 1, submitted_at, outcome)
    return town.raw(body, carrier=CARRIER)


async def submit_of(town: world.World, message_id: UUID) -> tuple[UUID, datetime]:
    when = await town.pool.fetchval(
        "SELECT submitted_at FROM segments WHERE message_id = $1", message_id
    )
    return message_id, when


ACCEPTED = outcomes.Outcome(outcomes.OutcomeKind.ACCEPTED, "late-1")
REFUSED = outcomes.Outcome(outcomes.OutcomeKind.REJECTED, code="0x0000000B", reason="no")


async def test_a_doubt_ends_by_an_acceptance_that_came_late_and_receipts_find_it_by_its_id(
    town: world.World, readers: Readers
) -> None:
    """One receipt came before the late answer, and two doubts to the phone kept it waiting."""
    message_id, other = await doubt(town, 2)
    await town.apply(readers, receipt(town, "ENROUTE", name="late-1"))
    await retry(town)

    tally = await town.apply(
        readers, late_answer(town, await submit_of(town, message_id), ACCEPTED)
    )
    between = await town.status(message_id)
    await retry(town)
    await town.apply(readers, receipt(town, "UNDELIV", name="late-1"))

    assert (tally.matched_count, between) == (1, "submitted")
    assert await by_message(town, [message_id, other]) == ["undelivered", "in_doubt"]
    assert await town.count("receipts WHERE message_id IS NULL") == 0
    assert await town.refund_count() == 0


async def test_a_doubt_ends_refunded_by_a_refusal_that_came_late(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await doubt(town)
    refusal = late_answer(town, await submit_of(town, message_id), REFUSED)

    for _ in range(2):
        await town.apply(readers, refusal)

    assert await town.history(message_id) == ["in_doubt", "rejected"]
    assert await town.refund_count() == 1
    assert await town.balance_micro() == world.CREDIT_MICRO


async def test_what_was_submitted_twice_ends_by_the_receipts_of_either_submit(
    town: world.World, readers: Readers
) -> None:
    """The second was accepted; the receipts name it, and the first by its echo alone."""
    [message_id] = await doubt(town)
    await town.pool.execute(
        "UPDATE segments SET state = 'submitted', carrier_message_id = 'second', attempt_count = 2,"
        " accepted_at = now()"
    )

    await town.apply(readers, receipt(town, "UNDELIV", name="second", reference=echo(message_id)))
    between = await town.status(message_id)
    await town.apply(readers, receipt(town, "DELIVRD", name="first", reference=echo(message_id)))
    await retry(town)

    assert (between, await town.status(message_id)) == ("undelivered", "delivered")
    assert await town.pool.fetchval("SELECT carrier_message_id FROM segments") == "second"
    assert await town.refund_count() == 0


async def test_a_late_refusal_says_nothing_about_a_submit_made_since(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await doubt(town)
    first = await submit_of(town, message_id)
    await town.pool.execute(
        "UPDATE segments SET state = 'submitting', submitted_at = now(), attempt_count = 2"
    )

    await town.apply(readers, late_answer(town, first, REFUSED))

    assert await town.status(message_id) == "in_doubt"
    assert await town.refund_count() == 0


async def test_nothing_is_refunded_when_a_late_refusal_contradicts_a_receipt(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await doubt(town)
    await town.apply(readers, receipt(town, reference=echo(message_id)))
    await retry(town)

    await town.apply(readers, late_answer(town, await submit_of(town, message_id), REFUSED))

    assert await town.status(message_id) == "delivered"
    assert await town.refund_count() == 0


async def test_a_segment_accepted_without_an_id_ends_by_the_only_receipt_that_fits_it(
    town: world.World, readers: Readers
) -> None:
    [message_id] = await town.hand_over(1, carrier=CARRIER, to=PHONE)
    await town.settle(
        [segments.Evidence(message_id, 1, states.SegmentState.SUBMITTED, accepted=True)]
    )

    await town.apply(readers, receipt(town))
    await retry(town)

    assert await town.status(message_id) == "delivered"


async def test_an_inbound_text_in_the_form_of_a_receipt_ends_no_doubt_and_no_other_s_message(
    town: world.World, readers: Readers
) -> None:
    """The carrier's settings allow receipts that only their text shows. Somebody sends such a text:
    with a guess, and with an id that belongs to another phone's message."""
    [in_doubt] = await doubt(town)
    [theirs] = await town.hand_over(1, carrier=CARRIER, to=OTHER_PHONE)
    [own] = await town.hand_over(1, carrier=CARRIER, to=PHONE)
    await town.answer([theirs, own])
    names = ["guess", world.carrier_name_of(theirs), world.carrier_name_of(own)]

    for name in names:
        body = smpp_receipts.strip(
            pdu.DeliverSm(PHONE, OTHER_PHONE, b"id:%b stat:UNDELIV" % name.encode()), unmarked=True
        )
        assert body is not None
        await town.apply(readers, town.raw(body, carrier=CARRIER))
    await retry(town)

    # Only the last could be the carrier's word: its id and its phone are one segment's.
    statuses = await by_message(town, [in_doubt, theirs, own])
    assert statuses == ["in_doubt", "submitted", "undelivered"]
