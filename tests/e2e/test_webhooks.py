"""A producer with an address is told what became of its message, signed."""

from __future__ import annotations

import asyncio

from tests import fleet
from tests.e2e.producer import Producer
from tests.receiver import receiving


async def test_a_webhook_arrives_for_each_step_of_a_message(
    platform: fleet.Fleet, shop: Producer
) -> None:
    async with receiving() as receiver:
        # Given a place that the operator allows, and a webhook there
        platform.apply(f'[egress]\nallow = ["127.0.0.1:{receiver.port}"]\n')
        made = await _made(shop, receiver.url)

        # When a message is sent and delivered
        sent = await shop.send("+33612345678", "Bonjour")
        await receiver.hears(2, 30)

        # Then both of its events were told, signed
        told = sorted(receiver.taken, key=lambda one: one.sequence)
        for one in told:
            one.check(made["secret"])
            assert one.body["data"]["id"] == sent["id"]
        assert [one.body["type"] for one in told] == ["message.submitted", "message.delivered"]
        assert told[1].body["data"] == await shop.message(sent["id"]) | {
            "sequence": told[1].sequence
        }
        assert await _statuses(shop, made["id"], 2) == [204, 204]


async def _made(shop: Producer, url: str) -> dict[str, str]:
    """The webhook, as soon as ingest knows that its place is allowed."""
    for _ in range(100):
        status, answer = await shop.post("/v1/webhooks", {"url": url, "events": ["message.*"]})
        if status == 201:
            return dict(answer)
        await asyncio.sleep(0.05)
    raise AssertionError(answer)


async def _statuses(shop: Producer, webhook_id: str, count: int) -> list[int]:
    """What the webhook's tries were answered, as soon as so many are written down."""
    async with asyncio.timeout(10):
        while True:
            status, page = await shop.get(f"/v1/webhooks/{webhook_id}/tries")
            assert status == 200
            if len(page["tries"]) >= count:
                return [one["status"] for one in page["tries"]]
            await asyncio.sleep(0.05)
