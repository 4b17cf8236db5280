"""From bytes to a wish: what is read, what is refused, and what counts as the same request."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.native import requests
from services.ingest.web import faults, intakes
from shared.access import keys
from shared.rules.compose import Wish
from shared.web.problems import Problem

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FULL: dict[str, Any] = {
    "to": "+33612345678",
    "text": "Hello: you",
    "from": "Sluice",
    "reference": "r:1",
    "class": "bulk",
    "delivery": "at_least_once",
    "send_at": "2030-01-02T00:00:00Z",
    "valid_for": 60,
    "max_segments": 2,
    "max_price": "0.5",
    "dry_run": True,
}
OTHER: dict[str, Any] = {
    "to": "+33612345679",
    "text": "Hello: you ",
    "from": "sluice",
    "reference": "r:2",
    "class": "normal",
    "delivery": "at_most_once",
    "send_at": "2030-01-02T00:00:01Z",
    "valid_for": 61,
    "max_segments": 3,
    "max_price": "0.50",
    "dry_run": False,
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def _read(document: dict[str, Any], **options: Any) -> requests.SendBody:
    body = requests.decode(requests.send_decoder, json.dumps(document, **options).encode())
    assert isinstance(body, requests.SendBody), body
    return body


def _fingerprint(body: requests.SendBody, path: str = "/v1/messages", key: str = "k") -> bytes:
    (fingerprint,) = intakes.fingerprints(
        keys.Keys.read(key * keys.LENGTH_MIN), path, [faults.canonical(body)]
    )
    return fingerprint


def test_every_member_arrives_when_all_are_given() -> None:
    assert requests.wish_of(_read(FULL), NOW) == Wish(
        to="+33612345678",
        text="Hello: you",
        sender="Sluice",
        reference="r:1",
        message_class=2,
        at_least_once=True,
        send_at=datetime(2030, 1, 2, tzinfo=UTC),
        valid_seconds=60,
        max_segments=2,
        max_price_micro=500_000,
    )


def test_defaults_are_taken_when_only_the_least_is_given() -> None:
    body = _read({"to": FULL["to"], "text": FULL["text"]})
    assert requests.wish_of(body, NOW) == Wish(to=FULL["to"], text=FULL["text"])


def test_a_wish_shows_neither_its_number_nor_its_text() -> None:
    shown = repr(requests.wish_of(_read(FULL), NOW))
    assert FULL["reference"] in shown
    assert FULL["to"] not in shown
    assert FULL["text"] not in shown


@given(st.permutations(list(FULL)), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_the_fingerprint_is_the_same_when_only_the_writing_differs(
    order: list[str], ascii_only: bool, indent: int | str | None
) -> None:
    shuffled = {name: FULL[name] for name in order}
    written = _read(shuffled, ensure_ascii=ascii_only, indent=indent)
    assert _fingerprint(written) == _fingerprint(_read(FULL))


@pytest.mark.parametrize("name", FULL)
def test_the_fingerprint_differs_when_a_member_differs(name: str) -> None:
    known = _fingerprint(_read(FULL))
    assert _fingerprint(_read(FULL | {name: OTHER[name]})) != known
    if name not in ("to", "text"):
        without = {key: value for key, value in FULL.items() if key != name}
        assert _fingerprint(_read(without)) != known


def test_the_fingerprint_differs_when_path_or_secret_do() -> None:
    body = _read(FULL)
    same = _fingerprint(body)
    assert len({same, _fingerprint(body, path="/v1/other"), _fingerprint(body, key="l")}) == 3


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(raw: bytes) -> None:
    assert isinstance(requests.decode(requests.send_decoder, raw), Problem)
    assert isinstance(requests.decode(requests.batch_decoder, raw), Problem)
    assert isinstance(requests.decode(requests.preview_decoder, raw), Problem)


@given(TEXTS, TEXTS.filter(bool), st.booleans())
def test_a_text_arrives_unchanged_however_it_is_escaped(
    text: str, reference: str, ascii_only: bool
) -> None:
    document = {"to": "+1", "text": text, "reference": reference}
    body = _read(document, ensure_ascii=ascii_only)
    assert (body.text, body.reference) == (text, reference)


@given(TEXTS, st.sampled_from(["to", "text", "reference"]))
def test_a_member_given_twice_is_noticed_whatever_the_texts_hold(text: str, name: str) -> None:
    members = [("to", "+1"), ("text", text), ("reference", "a" + text), (name, "b" + text)]
    written = ",".join(f"{json.dumps(key)} : {json.dumps(value)}" for key, value in members)
    refusal = requests.decode(requests.send_decoder, b"{%s}" % written.encode())
    assert isinstance(refusal, Problem)
    assert (refusal.status, refusal.code, refusal.field) == (400, "repeated_field", name)


@pytest.mark.parametrize(
    ("send_at", "code"),
    [
        (NOW - timedelta(microseconds=1), "send_at_passed"),
        (NOW, "send_at_passed"),
        (NOW + timedelta(microseconds=1), None),
        (NOW + timedelta(days=35), None),
        (NOW + timedelta(days=35, microseconds=1), "send_at_too_far"),
    ],
)
def test_the_time_to_send_lies_within_its_bounds(send_at: datetime, code: str | None) -> None:
    body = requests.SendBody(to="+1", text="a", send_at=send_at)
    found = requests.wish_of(body, NOW)
    assert (found.code if isinstance(found, Problem) else None) == code


def test_a_refusal_never_repeats_what_was_sent() -> None:
    secret = "+33699999999"
    for name in FULL:
        for value in (secret, [secret], {secret: secret}, 33699999999):
            document = json.dumps(FULL | {name: value}).encode()
            refusal = requests.decode(requests.send_decoder, document)
            if isinstance(refusal, Problem):
                assert "33699999999" not in refusal.detail
                assert refusal.field == name
