"""What carriers say, in each way of writing; whatever they say, reading it ends and never fails."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.carriers import answers

XML = b"""<?xml version="1.0"?>
<a:response xmlns:a="urn:x" xmlns="urn:y" at="now"><status> 0
</status><message id="m-1" parts="2"><to>33</to></message><message id="m-2"/><!-- m-3 -->
</a:response>
"""


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("status", "0"),
        ("message/@id", "m-1"),
        ("message/@parts", "2"),
        ("message/to", "33"),
        ("@at", "now"),
        (".", ""),
        ("message", ""),
        ("message/@no", None),
        ("no/to", None),
        ("message/to/@id", None),
        ("", None),
        ("/", None),
        ("message//to", None),
    ],
)
def test_a_path_leads_to_an_element_s_text_or_attribute(path: str, said: str | None) -> None:
    assert answers.dig(answers.decode(XML, "xml"), path) == said


def test_all_elements_at_a_path_are_items() -> None:
    found = answers.items(answers.decode(XML, "xml"), "message")
    assert [answers.dig(each, "@id") for each in found] == ["m-1", "m-2"]
    assert answers.items(answers.decode(XML, "xml"), "status/no") == []
    assert answers.items({"a": [1, 2]}, "a") == [1, 2]
    assert answers.items({"a": 1}, "a") == []
    assert answers.items(None, "a") == []


BOMB = b'<!DOCTYPE a [<!ENTITY b "%b">%b]><a>&z;</a>' % (b"x" * 99, b'<!ENTITY z "&b;&b;">' * 9)
NO_XML = (
    BOMB,
    b"<!DOCTYPE a><a/>",
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    b'<?xml version="1.0" encoding="no-such"?><a/>',
    b"<a>" * 20_000,
    b"<a><b></a></b>",
    b"<a>\xff</a>",
    b"<a>\0</a>",
    b"",
    b"{}",
)


@pytest.mark.parametrize("content", NO_XML, ids=range(len(NO_XML)))
def test_what_is_no_xml_or_more_than_xml_says_nothing(content: bytes) -> None:
    assert answers.decode(content, "xml") is None


def test_xml_may_be_as_deep_as_a_body_is_long() -> None:
    deep = answers.decode(b"<a>" * 30_000 + b"</a>" * 30_000, "xml")
    assert answers.dig(deep, "/".join("a" * 29_999)) == ""
    assert answers.dig(deep, "/".join("a" * 30_000)) is None


SHAPES = ("ID: {id} To: {}", "ID: {id}", "ERR: {code}, {reason}", "{status}|{id}|{}", "OK")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ID: 17", {"id": "17"}),
        (" ID: 17\r\n", {"id": "17"}),
        ("ID: 17 To: 336", {"id": "17"}),
        ("ERR: 105, no, such, phone", {"code": "105", "reason": "no, such, phone"}),
        ("0|m-1|x|y", {"status": "0", "id": "m-1"}),
        ("OK", {}),
        ("OK.", None),
        ("ERR: 105", None),
        ("id: 17", None),
        ("", None),
        ("Well, ID: 17", None),
    ],
)
def test_a_text_is_read_by_the_first_shape_that_it_has(
    text: str, words: dict[str, str] | None
) -> None:
    assert answers.decode(text.encode(), "text", SHAPES) == words


@given(st.binary(max_size=300), st.sampled_from(["json", "xml", "form", "text"]), st.text())
def test_reading_never_fails(content: bytes, kind: answers.Kind, path: str) -> None:
    said = answers.decode(content, kind, SHAPES)
    answers.word_at(said, path, 10)
    answers.count_at(said, path, 255)
    for item in answers.items(said, path):
        answers.dig(item, path)


@given(st.lists(st.text("abc |", max_size=5), min_size=2, max_size=5))
def test_what_a_shape_was_filled_with_is_read_again(values: list[str]) -> None:
    # Nothing that is filled in holds what stands between, so there is one way to read it
    shape = "; ".join(f"{{{name}}}" for name in "vwxyz"[: len(values)])
    text = "; ".join(values)
    read = answers.shaped(f"<{text}>", [f"<{shape}>"])
    assert read == dict(zip("vwxyz", (each.strip() for each in values), strict=False))


@pytest.mark.parametrize("shape", ["{a}{b}", "{A}", "a}", "{", "{a} {b c}", "{a}{}"])
def test_a_shape_that_says_nothing_certain_is_refused(shape: str) -> None:
    with pytest.raises(ValueError, match="answer_texts: expected"):
        answers.check_shape("answer_texts", shape)


def test_no_text_keeps_its_reader_busy() -> None:
    shapes = ["{a} {b} {c} {d} {e} {f} {g} {h}!"] * 50
    began = time.process_time()
    assert answers.shaped("x " * 32_000, shapes) is None
    assert time.process_time() - began < 0.5
