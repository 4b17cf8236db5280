"""`sluice simulator`: its options, from the command line or from variables, and its run."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from services.simulator import simulator
from services.simulator.options import PREFIX, Options
from shared.runtime import lifecycle, variables

app = cyclopts.App(name="simulator", config=cyclopts.config.Env(PREFIX, command=False))

for _field, _variable in zip(dataclasses.fields(Options), variables.of(Options), strict=True):
    # Where the command line looks for help.
    _field.metadata = MappingProxyType({"help": f"{_variable.meaning} Takes {_variable.takes}."})


@app.default
def run(options: Annotated[Options | None, Parameter(name="*")] = None) -> int:
    """Be a carrier to practise on, over SMPP and HTTP.

    Example: sluice simulator --smpp-port 2775 --http-port 8089 --undelivered-share 0.05
             --delivered-share 0.95 --receipt-max-ms 2000
    Or: sluice simulator --profile slow,odd_receipts,lost_answers
    """
    wanted = options or Options()
    return lifecycle.run("simulator", lambda _stop: simulator.run(wanted))
