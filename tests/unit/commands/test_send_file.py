"""Files of messages become batches, or are refused as a whole with the lines at fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.commands import send_file
from shared.runtime import exits


def _write(folder: Path, text: str) -> Path:
    file = folder / "job"
    file.write_text(text, "utf-8")
    return file


def test_csv_rows_become_messages(tmp_path: Path) -> None:
    # Given a CSV as spreadsheets write it: a mark at its head, quotes, empty cells, CRLF
    text = '\ufeffto,text,from,valid_for\r\n+33612345678,"a, ""b""\nc",,60\r\n+1,x,Sluice,\r\n'
    job = send_file.read(_write(tmp_path, text))

    # When it is read, Then empty cells are left out and numbers are numbers
    assert [json.loads(item.body) for item in job.items] == [
        {"to": "+33612345678", "text": 'a, "b"\nc', "valid_for": 60},
        {"to": "+1", "text": "x", "from": "Sluice"},
    ]
    assert [item.line for item in job.items] == [3, 4]


def test_json_lines_go_as_they_are(tmp_path: Path) -> None:
    # Given JSON lines with a blank one and a line separator inside a text
    text = '{"to": "+1", "text": "a\u2028b"}\n\n{"to": "+2", "text": "c", "class": "bulk"}\n'
    job = send_file.read(_write(tmp_path, text))

    # When they are read, Then each object is a message
    assert [item.line for item in job.items] == [1, 3]
    assert json.loads(job.items[0].body)["text"] == "a\u2028b"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "line 1: column 'to' is missing"),
        ("to,text\n", "there are no messages in it"),
        ("to,body\n+1,x\n", "line 1: unknown column 'body'"),
        ("to\n+1\n", "line 1: column 'text' is missing"),
        ("to,text\n+1,x\n+2\n", "line 3: has not 2 columns"),
        ("to,text\n+1,x,y\n", "line 2: has not 2 columns"),
        ('to,text\n+1,"x\n', "unexpected end of data"),
        ('{"to": "+1", "text": "x"}\nnonsense\n', "line 2: is not JSON"),
        ('{"to": "+1", "text": "x"}\n[1]\n', "line 2: is not a JSON object"),
    ],
)
def test_the_line_is_named_when_it_is_no_message(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(exits.NotDone) as caught:
        send_file.read(_write(tmp_path, text))
    assert fault in str(caught.value)
    assert caught.value.code == exits.BAD_INPUT


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(exits.NotDone, match="No such file"):
        send_file.read(tmp_path / "none")


def test_batches_keep_order_count_and_size() -> None:
    # Given more messages than a batch may count, and some that fill it by their size
    small = [send_file.Item(n, b"x") for n in range(1_500)]
    large = [send_file.Item(n, b"x" * 400_000) for n in range(3)]

    # When they are put into batches
    counts = [len(batch) for batch in send_file.batches([*small, *large])]
    joined = [item for batch in send_file.batches(small) for item in batch]

    # Then none holds more than a request may
    assert counts == [1_000, 502, 1]
    assert joined == small
