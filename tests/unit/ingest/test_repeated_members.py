"""A member given twice is always noticed, one given once never is, however the document is
written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.native import requests
from shared.sms.classes import CLASSES
from shared.web.problems import Problem

TEXTS = (
    "a",
    "a:b",
    ":",
    'say "hi"',
    '"',
    "\\",
    '\\"',
    '":"',
    "\\u0022",
    "\\\\u0022",
    "é",
    "🙂",
    "\n",
)
TIMES = (
    "2031-01-01T00:00:00+0100",
    "2031-01-01T00:00:00+01:00",
    "2031-01-01T00:00:00Z",
    "2031-01-01 00:00:00.123456z",
    "2031-01-01T00:00:00-0000",
)
VALUES: dict[str, Sequence[object]] = {
    "to": TEXTS,
    "text": TEXTS,
    "from": TEXTS,
    "reference": TEXTS,
    "class": CLASSES,
    "delivery": ("at_most_once", "at_least_once"),
    "send_at": TIMES,
    "valid_for": (1, 3600),
    "max_segments": (1, 5),
    "max_price": TEXTS,
    "purpose": ("conversation", "marketing"),
    "store_body": (True, False),
    "dry_run": (True, False),
}
REQUIRED = ("to", "text")
RANDOM = st.randoms(use_true_random=True)
"""Seeded by hypothesis: a document is dozens of choices, too many to draw one by one."""


def written(choose: Random, value: object) -> str:
    """A value as JSON, some of its characters escaped."""
    if not isinstance(value, str):
        return json.dumps(value)
    return f'"{"".join(_character(choose, char) for char in value)}"'


def _character(choose: Random, char: str) -> str:
    if choose.random() < 0.7:
        return json.dumps(char, ensure_ascii=False)[1:-1]
    octets = char.encode("utf-16-be")
    return "".join(f"\\u{octets[at : at + 2].hex()}" for at in range(0, len(octets), 2))


def some_names(choose: Random) -> list[str]:
    names = [
        *REQUIRED,
        *(name for name in VALUES if name not in REQUIRED and choose.random() < 0.5),
    ]
    choose.shuffle(names)
    return names


def document(choose: Random, names: Sequence[str]) -> bytes:
    """An object with these members, in this order."""
    blank = choose.choice(["", " ", "\n\t"])
    members = (
        f"{written(choose, name)}{blank}:{blank}{written(choose, choose.choice(VALUES[name]))}"
        for name in names
    )
    return f"{{{blank}{','.join(members)}{blank}}}".encode()


def repeating(choose: Random) -> tuple[bytes, str]:
    """An object with one member twice, and that member's name."""
    names = some_names(choose)
    again = choose.choice(names)
    names.insert(choose.randint(0, len(names)), again)
    return document(choose, names), again


@pytest.mark.parametrize(
    "rest",
    [
        '"send_at":"2031-01-01T00:00:00+0100"',
        r'"reference":"\u003a"',
        r'"reference":"\u0022\u0022\u0022\u0022"',
        r'"reference":"\\u0022\\u0022"',
        r'"reference":"\u005cu0022\u005cu0022"',
    ],
)
def test_a_member_given_twice_is_noticed_whatever_makes_up_for_it(rest: str) -> None:
    raw = f'{{"to":"+1","to":"+2","text":"a",{rest}}}'.encode()

    problem = requests.decode(requests.send_decoder, raw)

    assert isinstance(problem, Problem)
    assert (problem.code, problem.field) == ("repeated_field", "to")


@settings(max_examples=500)
@given(RANDOM)
def test_a_member_given_twice_is_noticed(choose: Random) -> None:
    raw, name = repeating(choose)
    assert isinstance(requests.send_decoder.decode(raw), requests.SendBody)

    problem = requests.decode(requests.send_decoder, raw)

    assert isinstance(problem, Problem), raw
    assert (problem.status, problem.code, problem.field) == (400, "repeated_field", name)


@given(RANDOM)
def test_members_given_once_are_never_refused(choose: Random) -> None:
    raw = document(choose, some_names(choose))

    assert isinstance(requests.decode(requests.send_decoder, raw), requests.SendBody), raw


@given(RANDOM)
def test_a_batch_is_not_judged_by_the_members_of_its_messages(choose: Random) -> None:
    # Given a batch in which some messages have a member twice
    messages = [repeating(choose)[0], document(choose, some_names(choose)), b'{"a":1,"a":2}']
    choose.shuffle(messages)

    # When it is read, Then each message is there as it was written
    batch = requests.decode(requests.batch_decoder, b'{"messages" : [%s]}' % b" ,".join(messages))
    assert isinstance(batch, requests.BatchBody)
    assert [bytes(message) for message in batch.messages] == messages


@given(RANDOM)
def test_a_list_of_messages_given_twice_is_noticed(choose: Random) -> None:
    first, second = (document(choose, some_names(choose)) for _ in range(2))

    name = written(choose, "messages").encode()
    raw = b'{"messages":[%s],%s:[%s]}' % (first, name, second)
    problem = requests.decode(requests.batch_decoder, raw)

    assert isinstance(problem, Problem)
    assert (problem.code, problem.field) == ("repeated_field", "messages")


@pytest.mark.parametrize("escape", [b"", b'"text":"\\u003a",'])
def test_a_number_of_thousands_of_digits_is_a_fault_of_its_message_alone(escape: bytes) -> None:
    # Given a batch with a number that Python refuses to read
    message = b'{%s"to":"+1","valid_for":%s}' % (escape, b"9" * 5_000)

    # When it is read, Then the batch is one
    batch = requests.decode(requests.batch_decoder, b'{"messages":[%s]}' % message)
    assert isinstance(batch, requests.BatchBody)

    # And the message is told which of its members is wrong
    problem = requests.decode(requests.send_decoder, bytes(batch.messages[0]))
    assert isinstance(problem, Problem)
    assert (problem.status, problem.code, problem.field) == (422, "out_of_range", "valid_for")


def test_half_a_pair_is_found_beside_a_number_of_thousands_of_digits() -> None:
    raw = b'{"to":"+1","text":"\\ud800","valid_for":%s}' % (b"9" * 5_000)

    problem = requests.decode(requests.send_decoder, raw)

    assert isinstance(problem, Problem)
    assert (problem.status, problem.code, problem.field) == (422, "lone_surrogate", "text")


def test_only_the_known_names_are_members() -> None:
    assert set(VALUES) == {f.encode_name for f in msgspec.structs.fields(requests.SendBody)}
