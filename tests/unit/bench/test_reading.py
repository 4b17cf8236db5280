"""What the benchmark reads off: ids by time, the carrier's journal, shares of values."""

from __future__ import annotations

import json
import time
from pathlib import Path

from shared.runtime import ids
from tests.bench import delivered, figures, journal


def test_the_first_id_of_a_run_divides_what_was_made_before_it_from_what_comes() -> None:
    before = ids.uuid7()
    time.sleep(0.002)
    border = delivered.first_id(time.time())
    assert before < border <= ids.uuid7()


def test_a_journals_page_ends_where_it_was_taken(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with path.open("w") as file:
        followed = journal.Journal(path)
        for number in ("33612010000", "33612010000", "4915112310000"):
            file.write(json.dumps({"recipient": number, "t": 1500.0}) + "\n")
        file.flush()
        assert followed.follow() == 3
        assert followed.take() == {"+33612010000": [1.5, 1.5], "+4915112310000": [1.5]}
        assert followed.follow() == 0
        followed.close()


def test_a_percentile_is_a_value_that_its_share_does_not_exceed() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert figures.percentile(values, 0.5) == 51.0
    assert figures.percentile(values, 0.99) == 100.0
    assert figures.percentile([7.0], 0.99) == 7.0
