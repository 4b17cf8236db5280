"""Ports that tests are given are nobody else's."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.fleet import ROOT
from tests.ports import PORTS, free_port

COUNT = 200
DRAW = f"""
import sys
from pathlib import Path
from tests.ports import free_port
print(*(free_port(Path(sys.argv[1])) for _ in range({COUNT})))
"""


def test_processes_that_draw_together_are_given_different_ports(tmp_path: Path) -> None:
    # given three that keep what they were given to themselves, and listen nowhere yet
    drawing = [
        subprocess.Popen(
            [sys.executable, "-c", DRAW, str(tmp_path / "last")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    # when all have drawn
    given = [port for each in drawing for port in each.communicate(timeout=60)[0].split()]
    # then no two have one
    assert len(given) == len(set(given)) == 3 * COUNT


def test_a_port_that_is_in_use_is_passed_over(tmp_path: Path) -> None:
    last = tmp_path / "last"
    first = free_port(last)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", first))
        other.listen()
        last.write_text(str(first - 1))
        assert free_port(last) != first


def test_ports_begin_anew_when_all_have_been_given(tmp_path: Path) -> None:
    last = tmp_path / "last"
    last.write_text(str(PORTS[-1]))
    assert free_port(last) in PORTS
