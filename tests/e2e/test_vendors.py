"""Each vendor's API, over the simulated carrier that speaks like it: from request to receipt."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import aiohttp
import pytest

from tests import fleet
from tests.e2e.producer import Producer

KEY = "vendor_key_of_practice"
PHONES = {
    "twilio": ("FR", "+33612340{}"),
    "vonage": ("DE", "+4915123456{}"),
    "sinch": ("ES", "+34612340{}"),
    "infobip": ("GB", "+447400123{}"),
}
PAGE = Path(__file__).parents[2] / "docs" / "vendors.md"
PRICE = '[[price]]\ncountry = "ES"\ncurrency = "EUR"\namount = "0.05"\n'
LONG = "The counter is open from nine to five; bring {an identity card} and 20€. " * 5
EMOJI = "📦 Ваша посылка прибыла " * 6


NUMBER = "+14155550100"
LOADED = "configuration_loaded"
LINE = f"""
[[line]]
account = "shop"
sender = "{NUMBER}"
kind = "long_code"
country = "US"
registration = {{ state = "approved", brand = "B1", campaign = "C1" }}
"""


def carriers_of_the_page(dlr: str, simulator: str) -> str:
    """The carriers as docs/vendors.md has them, at the simulator instead of at the vendors."""
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    block = re.sub(r"api_url = .*\n", "", block)
    block = block.replace("https://sms.example.com", dlr)
    block = block.replace("a-secret-from-their-console", KEY)
    return re.sub(
        r'adapter = "(.*)"',
        rf'adapter = "\1"\napi_url = "{simulator}/\1"\ntimeout_seconds = 1',
        block,
    )


@pytest.fixture(scope="module")
def vendors(platform: fleet.Fleet) -> fleet.Fleet:
    """A route over each vendor, and a number that phones may answer to."""
    simulator = f"http://127.0.0.1:{platform.ports['simulator']}"
    carriers = carriers_of_the_page(f"http://127.0.0.1:{platform.ports['dlr']}", simulator)
    routes = "".join(
        f'[[route]]\ncountry = "{country}"\ncarrier = "{vendor}"\npriority = 1\n'
        for vendor, (country, _) in PHONES.items()
    )
    before = platform.log("ingest").count(LOADED)
    platform.apply(LINE + PRICE + carriers + routes, response_seconds=3.0)
    deadline = time.monotonic() + 20
    while platform.log("ingest").count(LOADED) == before:
        assert time.monotonic() < deadline, "ingest does not know the routes"
        time.sleep(0.05)
    return platform


@pytest.mark.parametrize("vendor", PHONES)
async def test_messages_are_delivered_over_a_vendor_s_api(
    vendors: fleet.Fleet, shop: Producer, vendor: str
) -> None:
    # Given a short text, and longer ones in both alphabets
    texts = ("Your parcel is here.", LONG, EMOJI)
    phones = [PHONES[vendor][1].format(f"1{place:02}") for place in range(len(texts))]
    # When they are sent
    sent = [await shop.send(to, text) for to, text in zip(phones, texts, strict=True)]
    assert sent[0]["segments"] == 1
    assert all(each["segments"] >= 3 for each in sent[1:])
    # Then each is delivered, every part of it, and the phone reads what was written.
    for each, to, text in zip(sent, phones, texts, strict=True):
        message = await shop.until(each["id"], "delivered")
        assert [part["state"] for part in message["parts"]] == ["delivered"] * each["segments"]
        took = [entry for entry in vendors.journal() if entry["recipient"] == to]
        assert {entry["face"] for entry in took} == {vendor}
        assert took[-1]["whole"] == text


async def test_receipts_find_the_parts_whose_answer_was_lost(
    vendors: fleet.Fleet, shop: Producer
) -> None:
    # When messages of several parts are taken, but no answer ever comes
    phones = ["+33612300007", "+4915123400007", "+34612300007", "+447400100007"]
    sent = [await shop.send(to, LONG) for to in phones]
    # Then their receipts name them all the same, and each was sent once.
    for each, to in zip(sent, phones, strict=True):
        message = await shop.until(each["id"], "delivered")
        assert [part["state"] for part in message["parts"]] == ["delivered"] * each["segments"]
        took = [entry for entry in vendors.journal() if entry["recipient"] == to]
        assert len([entry for entry in took if entry.get("whole") == LONG]) == 1


@pytest.mark.parametrize("vendor", PHONES)
async def test_a_phone_that_writes_stop_gets_nothing_more(
    vendors: fleet.Fleet, shop: Producer, vendor: str
) -> None:
    phone = PHONES[vendor][1].format("500")
    # When a phone writes STOP through the vendor
    url = f"http://127.0.0.1:{vendors.ports['simulator']}/{vendor}/phones"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"from": phone, "to": NUMBER, "text": "Stop!"}) as taken,
    ):
        assert taken.status == 202
    # Then it is among those that nothing is sent to
    async with asyncio.timeout(10):
        while phone not in str(await shop.get("/v1/opt-outs")):
            await asyncio.sleep(0.05)


async def test_what_was_charged_is_what_was_sent(vendors: fleet.Fleet) -> None:
    verdict = vendors.audit()
    assert verdict["ok"], [check for check in verdict["checks"] if check["breaches"]]
