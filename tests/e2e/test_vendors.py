"""Each vendor's API, over the simulated carrier that speaks like it: from request to receipt."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from tests import fleet
from tests.e2e.producer import Producer

KEY = "vendor_key_of_practice"
SID = "AC" + "0123456789abcdef" * 2
PHONES = {
    "twilio": ("FR", "+33612340{}"),
    "vonage": ("DE", "+4915123456{}"),
    "sinch": ("ES", "+34612340{}"),
    "infobip": ("GB", "+447400123{}"),
}
CARRIERS = """
[[carrier]]
name = "twilio"
adapter = "twilio"
account_sid = "{sid}"
auth_token = "{key}"
concatenation = "8bit"
api_url = "{simulator}/twilio"
timeout_seconds = 1
callbacks_url = "{dlr}/carriers/twilio"

[[carrier]]
name = "vonage"
adapter = "vonage"
api_key = "a1b2c3d4"
api_secret = "{key}"
signature_secret = "{key}"
concatenation = "8bit"
api_url = "{simulator}/vonage"
timeout_seconds = 1
callbacks_url = "{dlr}/carriers/vonage"

[[carrier]]
name = "sinch"
adapter = "sinch"
service_plan_id = "plan"
api_token = "{key}"
signature_secret = "{key}"
concatenation = "8bit"
api_url = "{simulator}/sinch"
timeout_seconds = 1
callbacks_url = "{dlr}/carriers/sinch"

[[carrier]]
name = "infobip"
adapter = "infobip"
api_key = "{key}"
callback_auth = "basic"
callback_secret = "{key}"
api_url = "{simulator}/infobip"
timeout_seconds = 1
callbacks_url = "{dlr}/carriers/infobip"
"""
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


@pytest.fixture(scope="module")
def vendors(platform: fleet.Fleet) -> fleet.Fleet:
    """A route over each vendor, and a number that phones may answer to."""
    carriers = CARRIERS.format(
        sid=SID,
        key=KEY,
        dlr=f"http://127.0.0.1:{platform.ports['dlr']}",
        simulator=f"http://127.0.0.1:{platform.ports['simulator']}",
    )
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


@pytest.mark.parametrize(
    ("to", "text"),
    [
        ("+33612300007", LONG),
        ("+4915123400007", "Your parcel is here."),
        ("+34612300007", LONG),
        ("+447400100007", LONG),
    ],
    ids=PHONES,
)
async def test_receipts_find_the_parts_whose_answer_was_lost(
    vendors: fleet.Fleet, shop: Producer, to: str, text: str
) -> None:
    # When a message is taken, but the answer never comes
    sent = await shop.send(to, text)
    # Then its receipts name it all the same, and it was sent once.
    message = await shop.until(sent["id"], "delivered")
    assert [part["state"] for part in message["parts"]] == ["delivered"] * sent["segments"]
    took = [entry for entry in vendors.journal() if entry["recipient"] == to]
    assert len([entry for entry in took if entry.get("whole") == text]) == 1


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
