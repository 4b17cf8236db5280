"""What is believed of a carrier's call that brings what phones have sent, and how it is read."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.carriers import contract, registry
from shared.carriers.adapters import http
from shared.sms import inbound

SECRET = "s3cret-canary-of-16"
MESSAGE = {"mid": 17, "msisdn": "33612345678", "short": "36180", "content": "Да 😀"}


def settings(auth: str = "path_secret", **fields: str) -> http.Settings:
    decoded = registry.settings(
        "http",
        {
            "url": "https://api.example/send",
            "callback": {
                "auth": auth,
                "secret": SECRET,
                "id_field": "id",
                "state_field": "status",
                "states": {"delivered": "delivered"},
                "inbound": {
                    "from_field": "msisdn",
                    "to_field": "short",
                    "text_field": "content",
                    "id_field": "mid",
                    **fields,
                },
            },
        },
    )
    assert isinstance(decoded, http.Settings)
    return decoded


def call(body: bytes, path_secret: str = SECRET, **query: str) -> contract.CallbackRequest:
    return contract.CallbackRequest(path_secret, {}, query, "application/json", body)


def read(chosen: http.Settings, request: contract.CallbackRequest) -> list[inbound.InboundPart]:
    admitted = http.admit_inbound(chosen, request)
    assert isinstance(admitted, tuple), admitted
    return list(admitted)


def text_of(part: inbound.InboundPart) -> str:
    return inbound.decode(part.payload, part.alphabet)


def test_a_message_is_read_with_its_name_and_its_numbers() -> None:
    [part] = read(settings(), call(msgspec.json.encode(MESSAGE)))
    assert (part.sender, part.recipient) == ("+33612345678", "36180")
    assert (text_of(part), part.mark, part.concatenation) == ("Да 😀", b"17", None)


def test_a_list_is_read_and_what_lacks_a_number_or_a_text_is_left_out() -> None:
    listed = [
        MESSAGE,
        MESSAGE | {"content": None},
        MESSAGE | {"short": ""},
        7,
        MESSAGE | {"mid": 18},
    ]
    body = msgspec.json.encode({"messages": listed})
    parts = read(settings(list_path="messages"), call(body))
    assert [part.mark for part in parts] == [b"17", b"18"]
    assert len({part.fingerprint(1) for part in parts}) == 2


PARTED = {"reference_field": "ref", "total_field": "concat.of", "number_field": "concat.part"}


def test_parts_are_told_by_their_reference_whatever_it_is() -> None:
    # Given two parts of a message, and one of another whose reference is a word
    chosen = settings(**PARTED)
    first, second, other = (
        read(chosen, call(msgspec.json.encode(MESSAGE | {"ref": ref, "concat": place})))[0]
        for ref, place in (
            (4_294_967_295, {"of": 2, "part": 1}),
            ("4294967295", {"of": "2", "part": "2"}),
            ("été", {"of": 2, "part": 2}),
        )
    )
    said = [part.concatenation for part in (first, second, other)]
    assert [(each.total, each.number) for each in said if each] == [(2, 1), (2, 2), (2, 2)]
    # Then the former belong together, and a database's integer holds what tells them apart
    references = [each.reference for each in said if each]
    assert references[0] == references[1] != references[2]
    assert all(0 <= reference < 2**31 for reference in references)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"ref": "", "concat": {"of": 2, "part": 1}},
        {"ref": 1, "concat": {"of": 1, "part": 1}},
        {"ref": 1, "concat": {"of": 2, "part": 3}},
        {"ref": 1, "concat": {"of": 2, "part": 0}},
        {"ref": 1, "concat": {"of": 256, "part": 1}},
        {"ref": 1, "concat": {"of": 20_000, "part": 1}},
        {"ref": 1, "concat": {"of": "²", "part": 1}},
        {"ref": 1, "concat": {"of": -2, "part": 1}},
        {"ref": 1, "concat": [2, 1]},
    ],
)
def test_what_can_be_no_part_is_a_whole_message(said: dict[str, object]) -> None:
    [part] = read(settings(**PARTED), call(msgspec.json.encode(MESSAGE | said)))
    assert part.concatenation is None
    assert text_of(part) == MESSAGE["content"]


def test_a_query_is_read_where_the_secret_is_in_the_path() -> None:
    [part] = read(settings(), call(b"", msisdn="+33612345678", short="36180", content="a\udcff"))
    assert text_of(part) == "a\ufffd"


def test_a_signature_proves_the_call_and_nothing_else_does() -> None:
    body = msgspec.json.encode(MESSAGE)
    right = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    chosen = settings("hmac")
    for given_, status in ((right, 0), ("0" * 64, 403), ("", 401)):
        request = contract.CallbackRequest(
            "", {"X-Signature": given_}, {}, "application/json", body
        )
        admitted = http.admit_inbound(chosen, request)
        told = admitted.status if isinstance(admitted, contract.CallbackRefusal) else 0
        assert told == status


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"{", b'{"msisdn": "1", "short": "2"}'])
def test_a_call_of_nothing_is_refused(body: bytes) -> None:
    admitted = http.admit_inbound(settings(), call(body))
    assert isinstance(admitted, contract.CallbackRefusal)
    assert admitted.status == 400


def test_a_carrier_that_is_not_set_up_for_it_hands_over_nothing() -> None:
    bare = registry.settings("http", {"url": "https://api.example/send"})
    assert isinstance(bare, http.Settings)
    admitted = http.admit_inbound(bare, call(msgspec.json.encode(MESSAGE)))
    assert isinstance(admitted, contract.CallbackRefusal)
    assert admitted.status == 404


def test_a_field_that_is_not_named_stops_the_set_up() -> None:
    with pytest.raises(registry.InvalidSettings, match="from_field"):
        settings(from_field="")
    with pytest.raises(registry.InvalidSettings, match="number_field"):
        settings(reference_field="ref", total_field="of")


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    admitted = http.admit_inbound(settings(), call(b"", msisdn="1", short="2", content=text))
    assert isinstance(admitted, tuple)
    assert text_of(admitted[0]) == text.replace("\0", "\ufffd")
