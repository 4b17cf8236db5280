"""The simulated carrier's faces as an operator describes them, and where messages for each go."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos import arena

PASSWORD = "practice"
SECRET = "a-secret-of-practice"
RESPONSE_SECONDS = 3.0
"""How long an answer is waited for."""

_SMPP = """
[[carrier]]
name = "smpp-{country}"
adapter = "smpp"
host = "127.0.0.1"
port = {port}
system_id = "personality"
password = "{password}"
binds = {binds}
window = {window}
response_seconds = {response_seconds}
{settings}
"""
_HTTP = """
[[carrier]]
name = "http-{country}"
adapter = "http"
url = "http://127.0.0.1:{port}/http/messages"
headers = {{ Authorization = "Bearer {{secret.token}}" }}
secrets = {{ token = "{password}" }}
id_path = "id"
error_path = "error"
deferred_codes = ["recipient_busy"]
window = {window}
timeout_seconds = {response_seconds}
[carrier.body]
to = "{{recipient}}"
from = "{{source}}"
payload_hex = "{{payload_hex}}"
udh_hex = "{{udh_hex}}"
encoding = "{{encoding}}"
reference = "{{reference}}"
[carrier.callback]
auth = "hmac"
secret = "{secret}"
id_field = "id"
state_field = "status"
code_field = "error"
recipient_field = "to"
reference_field = "reference"
states = {{ DELIVRD = "delivered", UNDELIV = "undelivered" }}
[carrier.callback.inbound]
from_field = "from"
to_field = "to"
text_field = "text"
reference_field = "reference"
total_field = "total"
number_field = "number"
"""
_TWILIO = """
[[carrier]]
name = "twilio-{country}"
adapter = "twilio"
account_sid = "AC0123456789abcdef0123456789abcdef"
auth_token = "{secret}"
concatenation = "8bit"
"""
_VONAGE = """
[[carrier]]
name = "vonage-{country}"
adapter = "vonage"
concatenation = "8bit"
api_key = "a1b2c3d4"
api_secret = "{secret}"
signature_secret = "{secret}"
"""
_SINCH = """
[[carrier]]
name = "sinch-{country}"
adapter = "sinch"
concatenation = "8bit"
service_plan_id = "plan"
api_token = "{secret}"
signature_secret = "{secret}"
"""
_INFOBIP = """
[[carrier]]
name = "infobip-{country}"
adapter = "infobip"
api_key = "{secret}"
callback_auth = "basic"
callback_secret = "{secret}"
"""
_OF_VENDORS = """
api_url = "http://127.0.0.1:{port}/{face}"
callbacks_url = "{dlr}/carriers/{face}-{country}"
window = {window}
timeout_seconds = {response_seconds}
"""
_WAY = """
[[route]]
country = "{upper}"
carrier = "{face}-{country}"
priority = 1

[[price]]
country = "{upper}"
currency = "EUR"
amount = "0.05"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A country whose messages go to one carrier; settings of its own may be added to it. While
    messages are on their way no process may read that carrier differently, so that each has one."""

    face: str
    country: str
    prefix: str
    """Seven digits more make a number."""
    settings: str = ""

    @property
    def carrier(self) -> str:
        """Its carrier's name."""
        return f"{self.face}-{self.country}"

    def inbound_url(self, dlr_port: int) -> str:
        """Where what phones send goes, with what its carrier proves itself by."""
        proof = f"sluice:{SECRET}@" if self.face == "infobip" else ""
        return f"http://{proof}127.0.0.1:{dlr_port}/carriers/{self.carrier}/inbound"

    def described(self, port: int, dlr_port: int) -> str:
        """The carrier at this port of the simulator, its route and its price."""
        return (_CARRIERS[self.face] + _WAY).format(
            face=self.face,
            country=self.country,
            upper=self.country.upper(),
            port=port,
            dlr=f"http://127.0.0.1:{dlr_port}",
            binds=arena.BINDS,
            window=arena.WINDOW,
            response_seconds=RESPONSE_SECONDS,
            settings=self.settings,
            password=PASSWORD,
            secret=SECRET,
        )


VENDORS = {
    "twilio": Place("twilio", "ch", "+4179"),
    "vonage": Place("vonage", "hr", "+38591"),
    "sinch": Place("sinch", "se", "+4670"),
    "infobip": Place("infobip", "pl", "+4850"),
}
PLACES = {"smpp": Place("smpp", "es", "+3460"), "http": Place("http", "at", "+43664"), **VENDORS}
"""By their faces."""
_HEX = Place("smpp", "be", "+3247", 'id_base = "hex"')
WANTS = {
    "hex_ids": Place("smpp", "pt", "+35191", 'id_base = "hex_to_dec"'),
    "decimal_ids": Place("smpp", "nl", "+3161", 'id_base = "dec_to_hex"'),
    "padded_ids": _HEX,
    "upper_ids": _HEX,
    "odd_receipts": Place("smpp", "it", "+39347", "receipts_without_esm_class = true"),
}
"""Of personalities that ask something of their carriers' settings."""
_CARRIERS = {
    "smpp": _SMPP,
    "http": _HTTP,
    "twilio": _TWILIO + _OF_VENDORS,
    "vonage": _VONAGE + _OF_VENDORS,
    "sinch": _SINCH + _OF_VENDORS,
    "infobip": _INFOBIP + _OF_VENDORS,
}
