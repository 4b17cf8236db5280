"""Calls that no carrier makes: valid ones, of the carriers of `world`, with one thing wrong."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from services.dlr import reading
from tests.integration.dlr import world


class Call(NamedTuple):
    """One HTTP request to the callbacks' door, from a loopback address."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    address: str = "127.0.0.1"


def valid(carrier: str, carrier_message_id: str, state: str = "DELIVRD", **beside: object) -> Call:
    """What this carrier says about a segment, well proved."""
    report = {"id": carrier_message_id, "state": state, "code": "000", **beside}
    if carrier == "asking":
        given = {name: str(value) for name, value in report.items()}
        return Call("GET", f"/carriers/asking/receipts?{urlencode(given)}", _basic(), b"")
    said = {"reports": [report]} if carrier == "acme" else report
    return proved(carrier, msgspec.json.encode(said))


def proved(carrier: str, body: bytes, key: str = "", at: float | None = None) -> Call:
    """Any body under this carrier's proof, or under one by another key, or of another time."""
    headers = {"Content-Type": "application/json"}
    if carrier == "acme":
        return Call("POST", f"/carriers/acme/receipts/{key or world.SECRET}", headers, body)
    secret = (key or world.HMAC_SECRET).encode()
    path = f"/carriers/{carrier}/receipts"
    if carrier == "sealed":
        mac = hmac.new(secret, body, hashlib.sha256).hexdigest()
        return Call("POST", path, headers | {"X-Signature": mac}, body)
    said = str(int(time.time() if at is None else at))
    octets = hmac.new(secret, f"POST.{said}.".encode() + body, hashlib.sha512).digest()
    proof = {"X-Time": said, "X-Signature": base64.b64encode(octets).decode()}
    return Call("POST", path, headers | proof, body)


def _basic(username: str = "asking", password: str = world.SECRET) -> dict[str, str]:
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


POSTING = ("acme", "sealed", "stamped")
Forger = Callable[[Random, str], Call]


def forged(random: Random, carrier_message_ids: Mapping[str, str]) -> tuple[str, Call]:
    """One forgery, and what is wrong with it. The ids are those of segments that wait for their
    receipt, so a call that were believed would move one."""
    forger = random.choice(FORGERS)
    carrier = random.choice([*POSTING, "asking"])
    return forger.__name__, forger(random, carrier_message_ids[carrier] + f"@{carrier}")


def _of(named: str) -> tuple[str, str]:
    name, _, carrier = named.rpartition("@")
    return carrier, name


def wrong_key(random: Random, named: str) -> Call:
    carrier, name = _of(named)
    right = valid(carrier, name)
    key = random.choice(["x", world.SECRET + "x", world.SECRET[:-1], "é", "\0", "A" * 4_000])
    if carrier == "asking":
        return right._replace(headers=_basic(password=key))
    return proved(carrier, right.body, quote(key) if carrier == "acme" else key)


def key_of_another(random: Random, named: str) -> Call:
    carrier, name = _of(named)
    others = [each for each in (*POSTING, "asking", "nobody", "bound") if each != carrier]
    right = valid(carrier, name)
    # Sealed and stamped have one key, but sign other things with it.
    return right._replace(path=right.path.replace(carrier, random.choice(others), 1))


def no_proof(random: Random, named: str) -> Call:
    right = valid(*_of(named))
    kept = {"Content-Type", *random.sample(["X-Time", "X-Other"], 1)}
    headers = {name: value for name, value in right.headers.items() if name in kept}
    return right._replace(headers=headers, path=right.path.replace(f"/{world.SECRET}", ""))


def altered_proof(random: Random, named: str) -> Call:
    carrier, name = _of(named)
    right = valid(carrier, name)
    if carrier == "acme":
        return right._replace(path=_altered(random, right.path, len(right.path) - 8))
    field = "Authorization" if carrier == "asking" else "X-Signature"
    changed = _altered(random, right.headers[field], 6)
    return right._replace(headers={**right.headers, field: changed})


def _altered(random: Random, text: str, start: int) -> str:
    at = random.randrange(start, len(text) - 3)
    instead = random.choice([each for each in "0Aa9z" if each.lower() != text[at].lower()])
    return text[:at] + instead + text[at + 1 :]


def another_body(random: Random, named: str) -> Call:
    """A proof that was overheard, over what it does not prove."""
    _, name = _of(named)
    carrier = random.choice(["sealed", "stamped"])
    right, other = valid(carrier, "overheard"), valid(carrier, name, random.choice(STATES))
    return right._replace(body=other.body)


def of_another_time(random: Random, named: str) -> Call:
    _, name = _of(named)
    body = valid("stamped", name).body
    away = random.choice([-1, 1]) * random.choice([900, 3_600, 10**6, 1_700_000_000])
    return proved("stamped", body, at=max(0, time.time() + away))


def wrong_method(random: Random, named: str) -> Call:
    right = valid(*_of(named))
    others = {"PUT", "PATCH", "DELETE", "OPTIONS", "GET", "POST"} - {right.method}
    return right._replace(method=random.choice(sorted(others)))


def foreign_address(random: Random, named: str) -> Call:
    """A right proof from elsewhere, which nothing that is said of the address helps."""
    _, name = _of(named)
    right = valid("asking", name)
    said = random.choice(["X-Forwarded-For", "Forwarded", "X-Real-IP"])
    elsewhere = f"127.0.{random.randrange(1, 4)}.{random.randrange(1, 250)}"
    return right._replace(headers={**right.headers, said: "127.0.0.1"}, address=elsewhere)


def foreign_path(random: Random, named: str) -> Call:
    right = valid(*_of(named))
    path, question, query = right.path.partition("?")
    instead = random.choice(
        [path + "/x/y", path.replace("receipts", "recepits"), f"/{path}", path + "%2f..", "/"]
    )
    return right._replace(path=instead + question + query)


def cut(random: Random, named: str) -> Call:
    carrier, body = _posted(random, named)
    return proved(carrier, body[: random.randrange(len(body))])


def nested(random: Random, named: str) -> Call:
    carrier, _ = _posted(random, named)
    depth = random.choice([600, 5_000, 60_000])
    opening, closing = random.choice([(b"[", b"]"), (b'{"reports":', b"}"), (b'{"id":', b"}")])
    return proved(carrier, (opening * depth + b"1" + closing * depth)[: reading.BODY_MAX_BYTES])


def wrong_types(random: Random, named: str) -> Call:
    carrier, _ = _posted(random, named)
    value = random.choice([None, True, [], {}, [1], {"id": 1}, 1.5, -0.0, "", "9" * 200])
    report: object = {"id": value, "state": "DELIVRD"}
    if random.random() < 0.5:
        report = {"id": "x", "state": random.choice([None, [], {}, False, 0.5, ""])}
    said = (
        {"reports": random.choice([report, [report], [[report]]])} if carrier == "acme" else report
    )
    return proved(carrier, msgspec.json.encode(said))


def huge_numbers(random: Random, named: str) -> Call:
    carrier, _ = _posted(random, named)
    number = random.choice([b"9" * 5_000, b"1e999", b"-1e-999", b"0." + b"1" * 9_000, b"NaN"])
    report = b'{"id":%b,"state":"DELIVRD"}' % number
    return proved(carrier, b'{"reports":[%b]}' % report if carrier == "acme" else report)


ENTITY = b'<!DOCTYPE r [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><r><id>&b;</id></r>'


def foreign_kind(random: Random, named: str) -> Call:
    """Bodies of other kinds, which say nothing or are refused unread."""
    carrier, body = _posted(random, named)
    kind, sent = random.choice(
        [
            ("text/xml", ENTITY),
            ("application/xml", b"<r>" * 9_000),
            ("application/xml", b"<reports><id>x</id></reports>"),
            ("application/x-www-form-urlencoded", b"&".join([b"id=1"] * 200)),
            ("application/x-www-form-urlencoded", b"%ff%fe=%00"),
            ("multipart/form-data", b"--x\r\n\r\n"),
            ("application/json", b"\xff\xfe" + body),
            ("application/json", b""),
        ]
    )
    called = proved(carrier, sent)
    return called._replace(headers={**called.headers, "Content-Type": kind})


def too_large(random: Random, named: str) -> Call:
    carrier, body = _posted(random, named)
    return proved(carrier, body.ljust(reading.BODY_MAX_BYTES + random.randrange(1, 2_000)))


def compressed(random: Random, named: str) -> Call:
    carrier, body = _posted(random, named)
    called = proved(carrier, gzip.compress(body))
    return called._replace(headers={**called.headers, "Content-Encoding": "gzip"})


def _posted(random: Random, named: str) -> tuple[str, bytes]:
    carrier, name = _of(named)
    if carrier == "asking":
        carrier = random.choice(POSTING)
    return carrier, valid(carrier, name).body


STATES = ("DELIVRD", "UNDELIV", "EXPIRED", "REJECTD")
FORGERS: Sequence[Forger] = (
    wrong_key,
    key_of_another,
    no_proof,
    altered_proof,
    another_body,
    of_another_time,
    wrong_method,
    foreign_address,
    foreign_path,
    cut,
    nested,
    wrong_types,
    huge_numbers,
    foreign_kind,
    too_large,
    compressed,
)
