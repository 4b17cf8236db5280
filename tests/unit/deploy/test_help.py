"""Each program that `./test` hands over to tells of itself what it takes."""

from __future__ import annotations

import subprocess

import pytest

from deploy.local import checkout

SECONDS = 60.0


@pytest.mark.parametrize(
    ("asked", "taught"),
    [
        ("--help", "./test unit"),
        ("unit --help", "./test unit"),
        ("limits --help", "--no-controls"),
        ("bench -h", "--batch-size"),
        ("bench growth --help", "--backlog"),
    ],
)
def test_help_is_of_what_is_asked_about(asked: str, taught: str) -> None:
    told = subprocess.run(
        [str(checkout.ROOT / "test"), *asked.split()],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert taught in told.stdout
