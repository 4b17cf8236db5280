"""What `./run --once` shows of a phone that says STOP."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from deploy.local import calls, screen

LINE = "+33698765432"
_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.1


def show(environ: Mapping[str, str]) -> None:
    """Have a phone say STOP to the demo account's number, try to write to it, and say what it was
    told. Raises Stop where that is not what it should be."""
    phone = f"+3361{secrets.randbelow(10_000):04}555"
    number = f"%2B{phone[1:]}"
    said = {"from": phone, "to": LINE, "text": "STOP"}
    status, answer = calls.ask(environ["SLUICE_SIMULATOR_URL"], "POST", "/inbound", said)
    if status != 202:
        raise screen.Stop(f"the simulator sent no STOP ({status}): {answer}")
    _await(lambda: calls.api(environ, "GET", f"/v1/opt-outs?number={number}")["opt_outs"])
    body = {"to": phone, "text": "Hello once more", "from": LINE}
    status, refused = calls.ask(
        environ["SLUICE_API_URL"], "POST", "/v1/messages", body, environ["SLUICE_TOKEN"]
    )
    if (status, refused.get("code")) != (422, "opted_out"):
        raise screen.Stop(f"a message to who has said STOP was not refused ({status}): {refused}")
    _await(
        lambda: calls.api(environ, "GET", f"/v1/messages?to={number}&status=delivered")["messages"]
    )
    screen.say(
        f"opt-out: {phone} said STOP; the next message to it was refused ({refused['code']}),"
        " and its confirmation was delivered"
    )


def _await(look: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise screen.Stop("a phone said STOP, and nothing came of it.")
        time.sleep(_POLL_SECONDS)
