"""What is peculiar to single vendors: the proofs of their calls, and whose receipt is whose. What
all have in common is asked by the conformance suite."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from uuid import UUID

import msgspec
import pytest

from shared.carriers import contract, registry
from shared.sms import receipts

KEY = "canary-key-of-a-carrier"
URL = "https://sms.example/carriers/acme"
SID = "AC" + "0" * 32
MESSAGE = UUID("01939a3f-0000-7000-8000-00000000abcd")
TWILIO = {"account_sid": SID, "auth_token": KEY, "concatenation": "8bit", "callbacks_url": URL}
VONAGE = {"api_key": "k", "api_secret": KEY, "concatenation": "8bit", "callbacks_url": URL}
SINCH = {
    "service_plan_id": "p",
    "api_token": KEY,
    "concatenation": "8bit",
    "callbacks_url": URL,
}
INFOBIP = {"api_url": "https://x.api.infobip.com", "api_key": KEY, "callbacks_url": URL}
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def settings(key: str, given: Mapping[str, object], **more: object) -> msgspec.Struct:
    return registry.reviewed(key, {**given, **more})


def admitted(key: str, chosen: msgspec.Struct, call: contract.CallbackRequest) -> object:
    admit = registry.adapter(key).admit_callback
    assert admit is not None
    return admit(chosen, call)


def read(key: str, chosen: msgspec.Struct, bodies: object) -> list[receipts.Receipt]:
    assert isinstance(bodies, tuple), bodies
    found = [registry.adapter(key).read_receipt(chosen, body) for body in bodies]
    return [each for each in found if isinstance(each, receipts.Receipt)]


# Twilio


def test_one_call_of_twilio_s_is_a_receipt_of_each_part_by_its_name() -> None:
    # Given a signature made as Twilio's page on security shows it
    chosen = settings("twilio", TWILIO)
    target = f"/carriers/acme/receipts?reference={MESSAGE.hex}-3"
    over = (
        f"https://sms.example{target}"
        "ErrorCode30003MessageSidSM1MessageStatusundeliveredTo+33612345678"
    )
    proof = base64.b64encode(hmac.new(KEY.encode(), over.encode(), hashlib.sha1).digest())
    call = contract.CallbackRequest(
        "",
        {"X-Twilio-Signature": proof.decode()},
        {"reference": f"{MESSAGE.hex}-3"},
        FORM,
        b"MessageSid=SM1&MessageStatus=undelivered&To=%2B33612345678&ErrorCode=30003",
        target=target,
    )
    # When it comes
    found = read("twilio", chosen, admitted("twilio", chosen, call))
    # Then each of the three parts is told of, with why
    assert [each.reference for each in found] == [
        receipts.echo_of(MESSAGE, part) for part in (1, 2, 3)
    ]
    assert {each.carrier_message_id for each in found} == {"SM1"}
    assert {(each.state, each.code) for each in found} == {
        (receipts.ReceiptState.UNDELIVERED, "30003")
    }
    assert found[0].reason == "the phone is switched off or out of reach"
    assert found[0].phones == ("33612345678",)
    # And with another reference the signature is wrong
    other = f"/carriers/acme/receipts?reference={MESSAGE.hex}-2"
    lie = contract.CallbackRequest(
        "", call.headers, {"reference": f"{MESSAGE.hex}-2"}, FORM, call.body, target=other
    )
    assert isinstance(admitted("twilio", chosen, lie), contract.CallbackRefusal)


@pytest.mark.parametrize(
    "change",
    [
        {"account_sid": "AC1"},
        {"account_sid": f"{SID}/../x"},
        {"auth_token": "short"},
        {"api_key_sid": "SK" + "0" * 32},
        {"concatenation": "16bit"},
        {"callbacks_url": "https://sms.example/receipts"},
        {"callbacks_url": f"{URL}/"},
        {"api_url": "ftp://api.twilio.com"},
        {"api_url": "https://user:canary@api.twilio.com"},
        {"addresses": ["everywhere"]},
        {"window": 0},
    ],
)
def test_settings_that_could_not_work_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(registry.InvalidSettings) as refusal:
        settings("twilio", TWILIO, **change)
    assert "canary" not in str(refusal.value)


# Vonage


def vonage_call(**fields: str) -> dict[str, str]:
    return {"messageId": "0A1", "status": "delivered", "msisdn": "33612345678"} | fields


def test_vonage_may_call_by_get_with_a_signature_over_its_query() -> None:
    chosen = settings("vonage", VONAGE, signature_secret=KEY, callback_method="GET")
    fields = vonage_call(**{"client-ref": f"{MESSAGE.hex}-1", "to": "a&b=c"})
    over = "".join(
        f"&{name}={fields[name].replace('&', '_').replace('=', '_')}" for name in sorted(fields)
    )
    sig = hmac.new(KEY.encode(), over.encode(), hashlib.sha256).hexdigest()
    query = fields | {"sig": sig}
    call = contract.CallbackRequest("", {}, query, "", b"", method="GET")
    (found,) = read("vonage", chosen, admitted("vonage", chosen, call))
    assert found.reference == receipts.echo_of(MESSAGE, 1)
    lie = contract.CallbackRequest("", {}, query | {"status": "failed"}, "", b"", method="GET")
    assert isinstance(admitted("vonage", chosen, lie), contract.CallbackRefusal)


def test_a_receipt_of_vonage_s_names_no_part_where_there_are_several() -> None:
    chosen = settings("vonage", VONAGE, callback_secret=KEY)
    fields = vonage_call(**{"client-ref": f"{MESSAGE.hex}-3", "err-code": "0"})
    call = contract.CallbackRequest(KEY, {}, {}, JSON, msgspec.json.encode(fields))
    (found,) = read("vonage", chosen, admitted("vonage", chosen, call))
    assert (found.reference, found.code) == (None, "delivered")


def token(claims: object, key: str = KEY, algorithm: str = "HS256") -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")

    signed = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}"
    proof = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(proof).decode().rstrip('=')}"


def test_vonage_may_sign_with_a_token_over_the_body_s_hash() -> None:
    chosen = settings("vonage", VONAGE, signature_secret=KEY, signature_method="jwt")
    body = msgspec.json.encode(vonage_call())
    of_body = {"payload_hash": hashlib.sha256(body).hexdigest(), "api_key": "k"}

    def said_with(said: str) -> object:
        headers = {"Authorization": f"Bearer {said}"}
        return admitted("vonage", chosen, contract.CallbackRequest("", headers, {}, JSON, body))

    assert len(read("vonage", chosen, said_with(token(of_body)))) == 1
    for lie in (
        token(of_body, key="another-key-of-16"),
        token(of_body, algorithm="none"),
        token(of_body | {"payload_hash": "0" * 64}),
        token({}),
        token([]),
        "",
        "a.b.c",
    ):
        assert isinstance(said_with(lie), contract.CallbackRefusal)


# Doors: a secret in the path, or basic auth


@pytest.mark.parametrize(
    ("key", "given"), [("vonage", VONAGE), ("sinch", SINCH), ("infobip", INFOBIP)]
)
def test_a_door_has_a_secret_or_stays_shut(key: str, given: Mapping[str, object]) -> None:
    with pytest.raises(registry.InvalidSettings, match="callback_secret"):
        settings(key, given)
    with pytest.raises(registry.InvalidSettings, match="callback_secret"):
        settings(key, given, callback_secret="short")
    knows = registry.adapter(key).knows_secret
    admit = registry.adapter(key).admit_callback
    assert knows is not None
    assert admit is not None
    chosen = settings(key, given, callback_secret=KEY)
    assert knows(chosen, KEY)
    assert not knows(chosen, KEY[:-1])
    assert not knows(chosen, "")
    shut = registry.settings(key, {**given, "callbacks_url": ""})
    refused = admit(shut, contract.CallbackRequest(KEY, {}, {}, JSON, b"{}"))
    assert isinstance(refused, contract.CallbackRefusal)
    assert refused.status == 404


def test_calls_come_from_the_vendor_s_addresses_where_they_are_known() -> None:
    chosen = settings("sinch", SINCH, callback_secret=KEY, addresses=["203.0.113.0/24"])
    body = b'{"batch_id": "1", "status": "Delivered", "recipient": "+33612345678"}'
    for address, is_believed in (("203.0.113.9", True), ("198.51.100.1", False), ("", False)):
        call = contract.CallbackRequest(KEY, {}, {}, JSON, body, address=address)
        assert isinstance(admitted("sinch", chosen, call), tuple) == is_believed


def test_a_receipt_of_infobip_s_names_its_segment_and_its_cause() -> None:
    chosen = settings("infobip", INFOBIP, callback_secret=KEY)
    result = {
        "messageId": f"{MESSAGE.hex}-2",
        "callbackData": f"{MESSAGE.hex}-2",
        "to": "33612345678",
        "status": {"groupName": "UNDELIVERABLE", "name": "UNDELIVERABLE_NOT_DELIVERED"},
        "error": {"name": "EC_UNKNOWN_SUBSCRIBER"},
    }
    body = msgspec.json.encode({"results": [result, {"messageId": "x"}, 5, None]})
    call = contract.CallbackRequest(KEY, {}, {}, JSON, body)
    (found,) = read("infobip", chosen, admitted("infobip", chosen, call))
    assert found == receipts.Receipt(
        f"{MESSAGE.hex}-2",
        receipts.ReceiptState.UNDELIVERED,
        "EC_UNKNOWN_SUBSCRIBER",
        ("33612345678",),
        receipts.echo_of(MESSAGE, 2),
        reason="the number is not in use",
    )
