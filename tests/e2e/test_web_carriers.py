"""Two carriers that nobody wrote code for: docs/http-carriers.md has all there is of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from tests import fleet
from tests.e2e import invented
from tests.e2e.producer import Producer

SHORT = "36180"
CHANGE_SECONDS = 2.5
"""Until every process knows of new carriers."""
XML = 'Ben & Jerry\'s <b>"2 for 1"</b> ]]> {secret.x}\n\u00e9\u00e0\u20ac'


@pytest.fixture
async def both(platform: fleet.Fleet) -> AsyncIterator[invented.Carriers]:
    """Both carriers, applied as the page has them but for their hosts."""
    async with invented.carriers(f"http://127.0.0.1:{platform.ports['dlr']}") as (found, hosts):
        pages = "\n".join(invented.configurations().values())
        for written, host in hosts.items():
            pages = pages.replace(written, host)
        platform.apply(pages, response_seconds=3.0)
        await asyncio.sleep(CHANGE_SECONDS)
        yield found


async def _trace(shop: Producer, message_id: str) -> list[dict[str, Any]]:
    status, answer = await shop.get(f"/v1/messages/{message_id}/trace")
    assert status == 200
    return list(answer["timeline"])


async def test_carriers_that_are_nothing_but_toml_deliver_refuse_and_call(
    platform: fleet.Fleet, both: invented.Carriers, shop: Producer
) -> None:
    # When messages of one and of three parts are sent over the carrier that cuts texts itself
    long = "Ihr Paket kommt heute. " * 15
    short_id, long_id = [(await shop.send("+4915112345678", text))["id"] for text in (XML, long)]
    # Then both arrive as they were written, each by one request, and every part is delivered
    short = await shop.until(short_id, "delivered")
    whole = await shop.until(long_id, "delivered")
    assert {each["text"] for each in both.taken["maple"]} == {XML, long}
    assert len(both.taken["maple"]) == 2
    assert [part["state"] for part in short["parts"]] == ["delivered"]
    assert [part["state"] for part in whole["parts"]] == ["delivered"] * 3
    assert all(each["what"] != "billed" for each in await _trace(shop, long_id))

    # When the carrier counts a part more than was charged, its trace says so
    both.more_parts = 1
    billed_id = (await shop.send("+4915112345678", long))["id"]
    await shop.until(billed_id, "delivered")
    told = [each for each in await _trace(shop, billed_id) if each["what"] == "billed"]
    assert [each["billed_count"] for each in told] == [4]
    shown = platform.sluice("carrier", "billed", "--json").stdout
    assert json.loads(shown) == [
        {"carrier": "maple", "message_count": 1, "charged_count": 3, "billed_count": 4}
    ]
    assert "maple" in platform.sluice("carrier", "billed", "--days", "7").stdout

    # When a message of two parts goes by parts over the other one, both are joined by their header
    fern_id = (await shop.send("+33612345678", "Votre colis arrive. " * 12))["id"]
    parts = (await shop.until(fern_id, "delivered"))["parts"]
    assert [part["state"] for part in parts] == ["delivered"] * 2
    assert [each["udh"][-4:] for each in both.taken["fern"]] == ["0201", "0202"]

    # When a phone is refused, by either, it is paid back
    before = await shop.balance()
    for to, code in (("+4915112345999", "11"), ("+33612345999", "105")):
        refused_id = (await shop.send(to, "nobody"))["id"]
        refused = await shop.until(refused_id, "failed", "rejected")
        assert f"({code})" in refused["reason"]
    assert await shop.balance() == before
    assert before < Decimal(1000)

    # Each call was taken, and what phones send comes in by the same proofs
    await both.maple_calls("inbound", mo="77", **{"from": "4915112345678"}, to=SHORT, msg="STOPP")
    await both.fern_calls("inbound", mo_id="8", msisdn="33612345678", shortcode=SHORT, text="ARRET")
    assert set(both.answers) == {200}
    listed = platform.sluice("inbound", "--json").stdout
    assert "STOPP" in listed
    assert "ARRET" in listed
    assert platform.audit()["ok"] is True
