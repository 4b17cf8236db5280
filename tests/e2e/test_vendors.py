"""Each vendor's API, over the simulated carrier that speaks like it: from request to receipt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from deploy.local.servers import Servers
from tests import fleet
from tests.e2e import producer
from tests.e2e.places import own_place
from tests.e2e.producer import Producer

KEY = "a-key-of-practice-16"
SID = "AC" + "0123456789abcdef" * 2
COUNTRIES = {"twilio": "FR", "vonage": "DE", "sinch": "US", "infobip": "GB"}
PHONES = {"twilio": "+3361234", "vonage": "+4915123", "sinch": "+1202555", "infobip": "+4474001"}
CARRIERS = """
[[carrier]]
name = "twilio"
adapter = "twilio"
account_sid = "{sid}"
auth_token = "{key}"
concatenation = "8bit"
api_url = "{simulator}/twilio"
callbacks_url = "{dlr}/carriers/twilio"

[[carrier]]
name = "vonage"
adapter = "vonage"
api_key = "a1b2c3d4"
api_secret = "{key}"
signature_secret = "{key}"
concatenation = "8bit"
api_url = "{simulator}/vonage"
callbacks_url = "{dlr}/carriers/vonage"

[[carrier]]
name = "sinch"
adapter = "sinch"
service_plan_id = "plan"
api_token = "{key}"
signature_secret = "{key}"
concatenation = "8bit"
api_url = "{simulator}/sinch"
callbacks_url = "{dlr}/carriers/sinch"

[[carrier]]
name = "infobip"
adapter = "infobip"
api_key = "{key}"
callback_auth = "basic"
callback_secret = "{key}"
api_url = "{simulator}/infobip"
callbacks_url = "{dlr}/carriers/infobip"
"""
LONG = "The counter is open from nine to five; bring {an identity card} and 20€. " * 5
EMOJI = "📦 Ваша посылка прибыла 👩‍👩‍👧 " * 5
