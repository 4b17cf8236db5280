"""Ours beside a rival: in turn, called back by the sink, divided."""

from __future__ import annotations

import asyncio

import pytest

from deploy.local import binaries
from tests.bench import __main__ as bench
from tests.bench import contender, figures, rivals, sink


def _figures(rate: float, cpu: float, wal_bytes: float) -> figures.Figures:
    return figures.Figures(
        accepted_per_second=0,
        submitted_per_second=0,
        recorded_per_second=rate,
        request_p50_ms=0,
        request_p99_ms=0,
        accept_to_submit_p50_ms=0,
        accept_to_submit_p99_ms=0,
        wall_seconds=0,
        wal_bytes=wal_bytes,
        cpu_micro={"one": cpu / 2, "another": cpu / 2},
        memory_mb={},
        idle_percent=0,
        others_percent=0,
    )


def test_ours_and_theirs_run_in_turn() -> None:
    ours = [contender.Load(name, 0, 1) for name in ("batch", "single")]
    theirs = rivals.setups([1000])
    assert [each.name for each in rivals.in_turn(ours[:1], theirs)] == [
        "batch",
        "Kannel, memory, window 1000",
        "Kannel, spool, window 1000",
    ]
    assert [each.name for each in rivals.in_turn(ours, theirs)][2] == "single"


def test_a_ratio_is_ours_by_theirs_and_what_comes_by_the_clock_has_none() -> None:
    found = {
        "batch": _figures(8000, 200, 2000),
        "paced": _figures(1000, 900, 2000),
        "Kannel, memory, window 1000": _figures(4000, 400, 0),
    }
    assert rivals.ratios(found) == {
        "Kannel, memory, window 1000": {"batch": rivals.Ratio(2.0, 0.5)}
    }


async def test_the_sink_counts_each_call_however_the_bytes_come() -> None:
    receipts = sink.Sink()
    port = await receipts.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in (b"GET /1/33612010000 HT", b"TP/1.1\r\n\r\nGET /2/1 HTTP/1.1\r\nA: b\r\n\r\n"):
        writer.write(piece)
        await writer.drain()
    answers = await reader.readexactly(2 * len(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    writer.close()
    await receipts.close()
    assert answers.count(b"200 OK") == receipts.count == 2
    assert dict(receipts.calls) == {b"/1/33612010000": 1, b"/2/1": 1}


@pytest.mark.parametrize(
    "calls",
    [
        [b"/1/1", b"/1/1"],
        [b"/1/1", b"/2/2"],
        [b"/1/1"],
        [b"/1/1", b"/1/2", b"/1/2"],
    ],
    ids=["one twice", "one not delivered", "one missing", "one more"],
)
def test_a_rivals_receipts_prove_nothing_unless_each_came_once(calls: list[bytes]) -> None:
    receipts = sink.Sink()
    for call in calls:
        receipts.add(call)
    with pytest.raises(contender.NotProved):
        receipts.prove(2)


def test_without_a_rival_it_is_said_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(binaries, "find", lambda _program: None)
    with pytest.raises(SystemExit):
        bench.main(["--rivals"])
    assert "Kannel is not installed" in capsys.readouterr().err
