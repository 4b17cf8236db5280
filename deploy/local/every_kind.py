"""What `./run --once` shows of lines of every kind: what rules refuse, and what a limit parks."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deploy.local import calls, screen

ACCOUNT = "lines"
_US, _CA, _FR, _GB = "+14155550177", "+14165550177", "+33612345678", "+447400654321"
_TOLL_FREE = "+18005550199"
_REGISTERED, _UNREGISTERED, _CANADIAN = "+14155550100", "+14155550101", "+14165550122"
_FRENCH_MOBILE, _BRITISH_FIXED, _SHORT_CODE = "+33698765433", "+442071838750", "38383"
_OF_THE_API = "+447400123457"
_SLOW, _SLOW_LIMIT, _SLOW_COUNT = "+447400123456", 2, 4
_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.1


class Wanted(NamedTuple):
    """A message, and the code it is to be refused with; "" where it is to be accepted."""

    sender: str
    to: str
    purpose: str
    code: str


WANTED = (
    Wanted("Parcels", _FR, "automated", ""),
    Wanted("Parcels", _US, "automated", "sender_not_allowed"),
    Wanted(_REGISTERED, _US, "conversation", ""),
    Wanted(_REGISTERED, _CA, "conversation", ""),
    Wanted(_REGISTERED, _US, "automated", "no_consent"),
    Wanted(_REGISTERED, _GB, "conversation", "abroad"),
    Wanted(_UNREGISTERED, _US, "automated", "not_registered"),
    Wanted(_TOLL_FREE, _US, "marketing", "not_registered"),
    Wanted(_CANADIAN, _US, "conversation", ""),
    Wanted(_CANADIAN, _FR, "conversation", "abroad"),
    Wanted(_FRENCH_MOBILE, _FR, "automated", "conversation_only"),
    Wanted(_FRENCH_MOBILE, _FR, "conversation", "conversation_only"),
    Wanted(_BRITISH_FIXED, _GB, "automated", ""),
    Wanted(_SHORT_CODE, _FR, "automated", ""),
    Wanted(_OF_THE_API, _GB, "automated", "wrong_mode"),
    *(Wanted(_SLOW, _GB, "automated", "") for _ in range(_SLOW_COUNT)),
)


def show(environ: Mapping[str, str], token_id: str, token: str) -> None:
    """Send from each line what it may and what it may not, and say what came of it. Raises Stop
    where that is not as the rules say."""
    base = environ["SLUICE_API_URL"]

    def api(method: str, path: str, body: object = None) -> Any:
        status, said = calls.ask(base, method, path, body, token)
        if status >= 400:
            raise screen.Stop(f"{method} {path} failed ({status}): {said}")
        return said

    batch = [
        {"from": each.sender, "to": each.to, "text": "Hello", "purpose": each.purpose}
        for each in WANTED
    ]
    results = api("POST", "/v1/messages/batch", {"messages": batch})["results"]
    refused: Counter[str] = Counter()
    for wanted, result in zip(WANTED, results, strict=True):
        code = result.get("error", {}).get("code", "")
        if code != wanted.code:
            said = f"expected {wanted.code or 'accepted'}, found {code or 'accepted'}"
            raise screen.Stop(f"a message from {wanted.sender} to {wanted.to}: {said}")
        refused.update([code] if code else [])
    _send_by_aircall(environ, token_id, token)
    kinds = ", ".join(f"{code} {count}" for code, count in sorted(refused.items()))
    screen.say(
        f"lines: {len(WANTED) + 1} messages from {len({each.sender for each in WANTED})} lines of"
        f" every kind; {sum(refused.values())} refused as the rules say ({kinds})"
    )
    slow = [
        result["id"]
        for wanted, result in zip(WANTED, results, strict=True)
        if wanted.sender == _SLOW
    ]
    _show_parked(api, slow)


def _send_by_aircall(environ: Mapping[str, str], token_id: str, token: str) -> None:
    """From the line that is configured for that API."""
    basic = base64.b64encode(f"{token_id}:{token}".encode()).decode()
    root = environ["SLUICE_AIRCALL_URL"]
    prefix = root.removeprefix(environ["SLUICE_API_URL"])
    _, page = calls.ask(root, "GET", f"{prefix}/v1/numbers", authorization=f"Basic {basic}")
    ids = {each["e164_digits"]: each["id"] for each in page["numbers"]}
    path = f"{prefix}/v1/numbers/{ids[_OF_THE_API]}/messages/send"
    body = {"to": _GB, "body": "Hello"}
    status, said = calls.ask(root, "POST", path, body, authorization=f"Basic {basic}")
    if (status, said.get("status")) != (200, "pending"):
        raise screen.Stop(f"a message by the Aircall-shaped API was not taken ({status}): {said}")


def _show_parked(api: Callable[..., Any], message_ids: list[str]) -> None:
    """Wait until each has been delivered or waits, then have those canceled that wait."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        statuses = {each: api("GET", f"/v1/messages/{each}")["status"] for each in message_ids}
        if set(statuses.values()) <= {"delivered", "parked"}:
            break
        if time.monotonic() > deadline:
            raise screen.Stop(f"neither delivered nor parked: {sorted(statuses.values())}")
        time.sleep(_POLL_SECONDS)
    parked = [each for each, status in statuses.items() if status == "parked"]
    if len(parked) < len(message_ids) - _SLOW_LIMIT:
        raise screen.Stop(f"{_SLOW} has sent more than its {_SLOW_LIMIT} an hour")
    for each in parked:
        api("POST", f"/v1/messages/{each}/cancel")
    screen.say(
        f"limits: {_SLOW} may send {_SLOW_LIMIT} an hour; of {len(message_ids)}"
        f" {len(message_ids) - len(parked)} went out, {len(parked)} were parked, and canceled"
    )
