"""Identifiers that are told apart by their random bits, in whichever process they are made."""

from __future__ import annotations

import os

from shared.runtime import ids

_RANDOM_BITS = (1 << 62) - 1
COUNT = 300


def test_a_forked_process_draws_random_bits_of_its_own() -> None:
    # Given a process that has drawn some in advance
    ids.uuid7()
    reading, writing = os.pipe()
    # When another is forked from it, and both make ids
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, b"".join(ids.uuid7().bytes for _ in range(COUNT)))
        finally:
            os._exit(0)
    os.close(writing)
    ours = {ids.uuid7().int & _RANDOM_BITS for _ in range(COUNT)}
    with os.fdopen(reading, "rb") as pipe:
        octets = pipe.read()
    os.waitpid(pid, 0)
    theirs = {
        int.from_bytes(octets[at : at + 16], "big") & _RANDOM_BITS
        for at in range(0, len(octets), 16)
    }
    # Then they have none in common
    assert len(theirs) == COUNT
    assert ours.isdisjoint(theirs)
