"""Samples the interpreter that imports this at its start: which Python code burns the CPU.

Every 2 ms of CPU it notes the stack, and at exit writes all of them to $SLUICE_BENCH_SAMPLES as
JSON lines: Unix time in seconds, then frames from the innermost out, each file, line, function.
Unlike a tracing profiler it leaves small functions as cheap as they are. C counts for its caller.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import time
from pathlib import Path
from types import CodeType, FrameType

INTERVAL_SECONDS = 0.002
_DEPTH_MAX = 60

_samples: list[tuple[float, list[tuple[CodeType, int]]]] = []


def _sample(_number: int, frame: FrameType | None) -> None:
    stack: list[tuple[CodeType, int]] = []
    while frame is not None and len(stack) < _DEPTH_MAX:
        stack.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    _samples.append((time.time(), stack))


def _write(path: str) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    with Path(path).open("w") as file:
        for at, stack in _samples:
            frames = [(code.co_filename, line, code.co_qualname) for code, line in stack]
            file.write(json.dumps([at, frames]) + "\n")


if "SLUICE_BENCH_SAMPLES" in os.environ:
    signal.signal(signal.SIGPROF, _sample)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
    atexit.register(_write, os.environ["SLUICE_BENCH_SAMPLES"])
