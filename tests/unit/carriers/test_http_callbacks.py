"""What dlr believes of a carrier's HTTP call, and how it reads it."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

import msgspec
import pytest

from shared.carriers import contract, registry
from shared.carriers.adapters import http
from shared.sms import receipts

SECRET = "s3cret-canary"
BODY = b'{"id": "m-1", "status": "Delivered", "err": 0, "text": "canary"}'


def settings(**callback: object) -> http.Settings:
    decoded = registry.settings(
        "http",
        {
            "url": "https://api.example/send",
            "callback": {
                "auth": "path_secret",
                "secret": SECRET,
                "id_field": "id",
                "state_field": "status",
                "code_field": "err",
                "states": {"delivered": "delivered", "FAILED": "undelivered"},
                **callback,
            },
        },
    )
    assert isinstance(decoded, http.Settings)
    return decoded


def call(
    body: bytes = BODY,
    path_secret: str = SECRET,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    content_type: str = "application/json",
) -> contract.CallbackRequest:
    return contract.CallbackRequest(path_secret, headers or {}, query or {}, content_type, body)


def signed(body: bytes, key: str = SECRET) -> str:
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("auth", "path_secret", "headers", "status"),
    [
        ("path_secret", SECRET, {}, None),
        ("path_secret", "", {}, 401),
        ("path_secret", SECRET[:-1], {}, 403),
        ("path_secret", SECRET + "x", {}, 403),
        ("path_secret", "sécret", {}, 403),
        ("path_secret", "", {"X-Signature": signed(BODY)}, 401),
        ("hmac", "", {"X-Signature": signed(BODY)}, None),
        ("hmac", "", {"x-signature": signed(BODY).upper()}, None),
        ("hmac", "", {"X-Signature": "sha256=" + signed(BODY)}, None),
        ("hmac", "", {"X-Signature": signed(BODY, "other")}, 403),
        ("hmac", "", {"X-Signature": signed(BODY + b" ")}, 403),
        ("hmac", "", {"X-Signature": "é"}, 403),
        ("hmac", "", {"X-Signature": ""}, 401),
        ("hmac", "", {}, 401),
        ("hmac", SECRET, {}, 401),
    ],
)
def test_a_call_is_believed_only_when_it_proves_its_sender(
    auth: str, path_secret: str, headers: dict[str, str], status: int | None
) -> None:
    admitted = http.admit_callback(settings(auth=auth), call(BODY, path_secret, headers))
    if status is None:
        assert isinstance(admitted, tuple)
        assert len(admitted) == 1
    else:
        assert isinstance(admitted, contract.CallbackRefusal)
        assert admitted.status == status
        assert "canary" not in admitted.detail


def test_only_the_mapped_fields_are_published() -> None:
    admitted = http.admit_callback(settings(), call())
    assert isinstance(admitted, tuple)
    assert msgspec.json.decode(admitted[0]) == {"id": "m-1", "state": "Delivered", "code": "0"}
    assert http.read_receipt(settings(), admitted[0]) == receipts.Receipt(
        "m-1", receipts.ReceiptState.DELIVERED, "0"
    )


def test_a_form_and_a_query_are_read_like_json() -> None:
    form = call(b"id=m-1&status=FAILED&err=7", content_type="application/x-www-form-urlencoded")
    query = call(b"", query={"id": "m-1", "status": "FAILED", "err": "7"})
    for request in (form, query):
        admitted = http.admit_callback(settings(), request)
        assert isinstance(admitted, tuple)
        assert http.read_receipt(settings(), admitted[0]) == receipts.Receipt(
            "m-1", receipts.ReceiptState.UNDELIVERED, "7"
        )


def test_a_query_proves_nothing_when_only_the_body_is_signed() -> None:
    request = call(b"", "", {"X-Signature": signed(b"")}, {"id": "m-1", "status": "FAILED"})
    admitted = http.admit_callback(settings(auth="hmac"), request)
    assert isinstance(admitted, contract.CallbackRefusal)
    assert admitted.status == 400


def test_every_receipt_of_a_list_is_published_when_some_are_not_readable() -> None:
    body = (
        b'{"results": [{"m": {"id": 1}, "status": "a"}, 5, {"status": "b"},'
        b' {"m": {"id": 2}, "status": "c"}]}'
    )
    listed = settings(list_path="results", id_field="m.id")
    admitted = http.admit_callback(listed, call(body))
    assert isinstance(admitted, tuple)
    assert [msgspec.json.decode(each)["id"] for each in admitted] == ["1", "2"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b'{"id": "x"}', b'{"id": {}, "status": []}', b"\xff\xfe", b"[" * 5000],
)
def test_a_call_is_refused_when_no_receipt_is_in_it(body: bytes) -> None:
    admitted = http.admit_callback(settings(), call(body))
    assert isinstance(admitted, contract.CallbackRefusal)
    assert admitted.status == 400


def test_a_call_is_refused_when_the_carrier_has_no_callback() -> None:
    bare = registry.settings("http", {"url": "https://api.example/send"})
    assert isinstance(bare, http.Settings)
    admitted = http.admit_callback(bare, call())
    assert isinstance(admitted, contract.CallbackRefusal)
    assert admitted.status == 404
    assert http.read_receipt(bare, b"{}") is None


def test_nothing_is_read_when_the_word_is_not_listed() -> None:
    assert http.read_receipt(settings(), b'{"id": "m-1", "state": "someday"}') is None


def test_a_receipt_names_its_phone_and_gives_our_reference_back() -> None:
    named = settings(recipient_field="to", reference_field="ref")
    name, part = UUID(int=0x1234_5678_9ABC_DEF0_1234_5678_9ABC_DEF0), 3
    body = msgspec.json.encode(
        {"id": "m-1", "status": "delivered", "to": "+33612345678", "ref": f"{name.hex}-{part}"}
    )
    (kept,) = admitted(named, body)
    read = http.read_receipt(named, kept)
    assert read is not None
    assert read.phones == ("33612345678",)
    assert read.reference == receipts.echo_of(name, part)
    assert not read.names("+33612345679")


@pytest.mark.parametrize("reference", ["", "order 7", "f" * 32, "f" * 32 + "-", "F" * 32 + "-1", 7])
def test_a_reference_that_is_not_ours_is_none(reference: object) -> None:
    named = settings(recipient_field="to", reference_field="ref")
    body = msgspec.json.encode({"id": "m-1", "status": "delivered", "to": 5, "ref": reference})
    (kept,) = admitted(named, body)
    read = http.read_receipt(named, kept)
    assert read is not None
    assert (read.phones, read.reference) == ((), None)


def admitted(chosen: http.Settings, body: bytes) -> tuple[bytes, ...]:
    kept = http.admit_callback(chosen, call(body))
    assert isinstance(kept, tuple)
    return kept
