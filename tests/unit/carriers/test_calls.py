"""The proofs of carriers' calls, by the carriers' own published examples where there are any."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.carriers import calls, contract
from shared.carriers.secret import Secret

KEY = Secret("0123456789abcdef")
OLD = Secret("fedcba9876543210")
NOW = 1_700_000_000.0
FORM = "application/x-www-form-urlencoded"


def call(
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    *,
    query: dict[str, str] | None = None,
    method: str = "POST",
    target: str = "/carriers/x/receipts",
    content_type: str = "application/json",
    address: str = "203.0.113.7",
) -> contract.CallbackRequest:
    return contract.CallbackRequest(
        "", headers or {}, query or {}, content_type, body, method, target, address, NOW
    )


def proof(**changes: object) -> calls.CallProof:
    given = {"auth": "hmac", "secret": KEY, **changes}
    return msgspec.convert(given, calls.CallProof, dec_hook=lambda _, value: value)


def mac(message: bytes, algorithm: str = "sha256", key: Secret = KEY) -> bytes:
    return hmac.new(key.reveal().encode(), message, algorithm).digest()


def status(request: contract.CallbackRequest, wanted: calls.CallProof) -> int:
    refusal = calls.distrust(request, wanted)
    return 200 if refusal is None else refusal.status


def test_a_form_is_signed_with_its_url_as_twilio_s_page_shows_it() -> None:
    # Given https://www.twilio.com/docs/usage/security, "Validating signatures", its own example
    body = b"Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309"
    request = call(
        body + b"&CallSid=CA1234567890ABCDE",
        {"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
        target="/myapp.php?foo=1&bar=2",
        content_type=FORM,
    )
    signature = calls.CallSignature(
        header="X-Twilio-Signature", algorithm="sha1", encoding="base64", over="{url}{form}"
    )
    assert calls.is_signed(request, signature, [Secret("12345")], "https://mycompany.com")
    assert not calls.is_signed(request, signature, [Secret("12345")], "https://mycompany.org")
    assert not calls.is_signed(request, signature, [Secret("12346")], "https://mycompany.com")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_body_is_believed_by_every_form_of_signature(algorithm: str, encoding: str) -> None:
    octets = mac(b'{"id":1}', algorithm)
    said = octets.hex() if encoding == "hex" else base64.b64encode(octets).decode()
    wanted = proof(signature={"algorithm": algorithm, "encoding": encoding, "prefix": "v1,"})
    for written in (said, f"v1,{said}", f"{algorithm}={said}"):
        assert status(call(b'{"id":1}', {"x-signature": written}), wanted) == 200
        assert status(call(b'{"id":2}', {"x-signature": written}), wanted) == 403
    assert status(call(b'{"id":1}', {"x-signature": said[:-2]}), wanted) == 403
    assert status(call(b'{"id":1}', {"x-signature": f"{said}, {said}"}), wanted) == 403


def test_a_time_is_believed_within_its_tolerance_and_where_it_is_signed() -> None:
    signature = {"over": "{header.x-time}.{header.X-Nonce}.{body}", "time_header": "X-Time"}
    wanted = proof(signature=signature)
    for second, expected in ((0, 200), (-299, 200), (299, 200), (-301, 403), (301, 403)):
        for said in (str(int(NOW) + second), str((int(NOW) + second) * 1000)):
            given = mac(f"{said}.n.{{}}".encode()).hex()
            headers = {"X-Time": said, "X-Nonce": "n", "X-Signature": given}
            assert status(call(headers=headers), wanted) == expected, said
            assert status(call(headers=headers | {"X-Nonce": "m"}), wanted) == 403
    for said in ("", "soon", "-1", "9" * 400, "\u0661\u0662", "1e9"):
        given = mac(f"{said}.n.{{}}".encode()).hex()
        headers = {"X-Time": said, "X-Nonce": "n", "X-Signature": given}
        assert status(call(headers=headers), wanted) == 403, said


def test_two_secrets_are_believed_while_one_takes_over_from_the_other() -> None:
    def told(key: Secret, wanted: calls.CallProof) -> int:
        return status(call(headers={"X-Signature": mac(b"{}", key=key).hex()}), wanted)

    both, one = proof(previous_secret=OLD), proof()
    assert [told(KEY, both), told(OLD, both), told(Secret("other"), both)] == [200, 200, 403]
    assert [told(KEY, one), told(OLD, one)] == [200, 403]


@pytest.mark.parametrize(
    ("auth", "said", "expected"),
    [
        ("basic", "Basic " + base64.b64encode(b"us:0123456789abcdef").decode(), 200),
        ("basic", "bAsIc " + base64.b64encode(b"us:fedcba9876543210").decode(), 200),
        ("basic", "Basic " + base64.b64encode(b"we:0123456789abcdef").decode(), 403),
        ("basic", "Basic " + base64.b64encode(b"us:0123456789abcde").decode(), 403),
        ("basic", "Basic us:0123456789abcdef", 403),
        ("basic", "Basic \u00fc", 403),
        ("basic", "Bearer 0123456789abcdef", 403),
        ("basic", "", 401),
        ("bearer", "Bearer 0123456789abcdef", 200),
        ("bearer", "bearer  fedcba9876543210", 200),
        ("bearer", "Bearer 0123456789abcdeg", 403),
        ("bearer", "0123456789abcdef", 403),
        ("bearer", "", 401),
    ],
)
def test_what_authorization_says_is_a_proof(auth: str, said: str, expected: int) -> None:
    wanted = proof(auth=auth, username="us", previous_secret=OLD)
    assert status(call(headers={"authorization": said}), wanted) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.7", 200),
        ("::ffff:203.0.113.7", 200),
        ("2001:db8::1", 200),
        ("203.0.114.7", 403),
        ("2001:db9::1", 403),
        ("", 403),
        ("203.0.113.7/24", 403),
        ("203.0.113.07", 403),
        ("canary", 403),
    ],
)
def test_a_right_proof_from_a_foreign_address_is_none(address: str, expected: int) -> None:
    wanted = proof(addresses=["203.0.113.0/24", "2001:db8::/32"])
    request = call(headers={"X-Signature": mac(b"{}").hex()}, address=address)
    assert status(request, wanted) == expected


def test_a_carrier_calls_with_its_own_method_and_learns_it_when_it_has_proved_itself() -> None:
    wanted = proof(auth="bearer", method="GET")
    given = {"Authorization": "Bearer 0123456789abcdef"}
    assert status(call(b"", given, method="GET"), wanted) == 200
    refusal = calls.distrust(call(b"", given), wanted)
    assert refusal is not None
    assert (refusal.status, refusal.allow) == (405, "GET")
    assert status(call(b"", method="POST"), wanted) == 401


def test_nothing_is_read_of_a_call_that_its_signature_does_not_cover() -> None:
    signed_form = proof(signature={"over": "{url}{form}"}, public_url="https://us.example")
    # Given a form's signature, a JSON body under it is read as a form, whatever the call says
    assert calls.content(call(b'{"id": 1}'), signed_form) == {'{"id": 1}': ""}
    assert calls.content(call(b"id=1", query={"id": "2"}), signed_form) == {"id": "1"}
    assert calls.content(call(b"", query={"id": "2"}), signed_form) == {"id": "2"}
    assert calls.content(call(b"", query={"id": "2"}), proof()) is None
    signed_query = proof(signature={"over": "{query}"}, method="GET")
    assert calls.content(call(b'{"id": 1}', query={"id": "2"}), signed_query) is None
    assert calls.content(call(b"", query={"id": "2"}), signed_query) == {"id": "2"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"signature": {"over": "{header.x}"}}, "signature.over"),
        ({"signature": {"over": "{body}{nonce}"}}, "signature.over"),
        ({"signature": {"over": "{body}", "time_header": "X-Time"}}, "signature.over"),
        ({"signature": {"header": "X Y"}}, "signature.header"),
        ({"signature": {"tolerance_seconds": 0}}, "signature.tolerance_seconds"),
        ({"signature": {"over": "{url}"}}, "public_url"),
        ({"method": "GET"}, "signature.over"),
        ({"auth": "basic"}, "username"),
        ({"addresses": ["203.0.113.1/24"]}, "addresses"),
        ({"addresses": ["canary"]}, "addresses"),
    ],
)
def test_what_proves_nothing_is_not_taken_for_a_proof(
    changes: dict[str, object], field: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        proof(**changes)
    assert str(refused.value).startswith(field)
    assert "canary" not in str(refused.value)


def test_a_secret_that_can_be_guessed_is_refused_in_either_place() -> None:
    calls.review(proof(previous_secret=OLD))
    for weak in ({"secret": Secret("short")}, {"previous_secret": Secret("short")}):
        with pytest.raises(ValueError, match=f"callback.{next(iter(weak))}: expected at least 16"):
            calls.review(proof(**weak))


def _token(head: object, said: object, key: Secret = KEY) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
        for each in (head, said)
    ]
    given = mac(".".join(parts).encode(), key=key)
    return ".".join([*parts, base64.urlsafe_b64encode(given).rstrip(b"=").decode()])


def test_a_token_s_claims_are_those_of_one_of_the_keys_alone() -> None:
    said = {"iat": 1, "payload_hash": hashlib.sha256(b"{}").hexdigest()}
    good = {"alg": "HS256", "typ": "JWT"}
    assert calls.claims(_token(good, said), [OLD, KEY]) == said
    assert calls.claims(_token(good, said), [OLD]) is None
    assert calls.claims(_token({"alg": "none"}, said), [KEY]) is None
    assert calls.claims(_token(good, said)[:-1], [KEY]) is None
    assert calls.claims(_token(good, [said]), [KEY]) is None
    for garbage in ("", ".", "..", "a.b.c", "\u00e9.\u00e9.\u00e9", "." * 9):
        assert calls.claims(garbage, [KEY]) is None


PROOFS = {
    "path_secret": proof(auth="path_secret"),
    "basic": proof(auth="basic", username="us"),
    "bearer": proof(auth="bearer"),
    "hmac": proof(previous_secret=OLD),
    "hmac of a form": proof(
        signature={"algorithm": "sha1", "encoding": "base64", "over": "{url}{form}"},
        public_url="https://us.example",
    ),
    "hmac in time": proof(signature={"over": "{header.T}{query}{body}", "time_header": "T"}),
}
WORDS = st.one_of(st.text(max_size=30), st.sampled_from(["Basic ", "Bearer ", "sha256=", "\ud800"]))


@pytest.mark.parametrize("name", PROOFS)
@settings(max_examples=40)
@given(st.data())
def test_whatever_is_said_without_the_secret_is_not_believed(
    name: str, data: st.DataObject
) -> None:
    wanted = PROOFS[name]
    said = data.draw(st.dictionaries(st.sampled_from(["Authorization", "X-Signature", "T"]), WORDS))
    request = contract.CallbackRequest(
        data.draw(WORDS),
        said,
        data.draw(st.dictionaries(WORDS, WORDS, max_size=3)),
        data.draw(st.sampled_from(["application/json", "text/xml", FORM, "", "\ud800;"])),
        data.draw(st.binary(max_size=60)),
        data.draw(st.sampled_from(["POST", "GET"])),
        data.draw(WORDS),
        data.draw(WORDS),
        NOW,
    )
    refusal = calls.distrust(request, wanted)
    assert refusal is not None
    assert refusal.status in (401, 403)
    calls.content(request, wanted)
