"""What `./run --once` shows of a deposit by card: from the order to what can be spent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from deploy.local import calls, screen

AMOUNT, CURRENCY = "25.00", "EUR"
CARD = "review of a new card"
_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.1


def show(environ: Mapping[str, str]) -> None:
    """Deposit for the demo account, with a card that its provider looks at first, and say what came
    of it. Raises Stop where that is not what it should be."""
    before = calls.api(environ, "GET", "/v1/balance")["amount"]
    wanted = {"amount": AMOUNT, "currency": CURRENCY}
    path = f"/v1/deposits/{calls.api(environ, 'POST', '/v1/deposits', wanted)['id']}"
    calls.api(environ, "POST", f"{path}/confirm-details", wanted)
    calls.api(environ, "POST", f"{path}/method", {"method": "card"})
    terms = calls.api(environ, "GET", "/v1/terms")["version"]
    order = {"terms_version": terms, "accept_terms": True}
    page = calls.api(environ, "POST", f"{path}/order", order)["checkout_url"]
    place = page.removeprefix(environ["SLUICE_SIMULATOR_URL"])
    _provider(environ, "POST", place, {"card": CARD})
    pending = _until(environ, path, "pending")
    _approve(environ, pending["id"])
    credited = _until(environ, path, "credited")
    after = calls.api(environ, "GET", "/v1/balance")["amount"]
    screen.say(
        f"deposit: {AMOUNT} {CURRENCY} ordered, {pending['pending_amount']} pending while the card"
        f" is validated, {credited['credited_amount']} charged and credited; the balance went from"
        f" {before} to {after}"
    )


def _provider(environ: Mapping[str, str], method: str, path: str, body: object = None) -> Any:
    status, said = calls.ask(
        environ["SLUICE_SIMULATOR_URL"], method, path, body, environ["SLUICE_SIMULATOR_TOKEN"]
    )
    if status >= 300:
        raise screen.Stop(f"the simulated provider: {method} {path} failed ({status}): {said}")
    return said


def _approve(environ: Mapping[str, str], deposit_id: str) -> None:
    books = _provider(environ, "GET", "/payments/simulator/books")
    (payment,) = [each["payment"] for each in books if each["deposit"] == deposit_id]
    said = {"payment": payment, "reason": "approved"}
    _provider(environ, "POST", "/payments/simulator/review", said)


def _until(environ: Mapping[str, str], path: str, state: str) -> Any:
    deadline = time.monotonic() + _WAIT_SECONDS
    while (found := calls.api(environ, "GET", path))["state"] != state:
        if time.monotonic() > deadline:
            raise screen.Stop(f"a deposit did not become {state}: {found}")
        time.sleep(_POLL_SECONDS)
    return found
