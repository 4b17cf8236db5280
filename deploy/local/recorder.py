"""A producer's server in small: counts what `./run --once` has it told of, and tries signatures."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deploy.local import calls, screen

EVENTS = ["message.delivered"]
_HEAR_SECONDS = 60.0
_POLL_SECONDS = 0.2


class WebhookRecorder(ThreadingHTTPServer):
    """Takes whatever is posted to it."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.secret = ""
        self.types: Counter[str] = Counter()
        self.forged_count = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it is told."""
        return f"http://127.0.0.1:{self.server_port}/hook"

    def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Count one request by the type of its event, or as forged."""
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        expected = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        with self._lock:
            if expected in headers["webhook-signature"].split():
                self.types[json.loads(body)["type"]] += 1
            else:
                self.forged_count += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebhookRecorder

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.take({name.lower(): text for name, text in self.headers.items()}, body)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_said: object) -> None:
        """Nothing: what is told is counted."""


@contextmanager
def told(port: int, environ: Mapping[str, str]) -> Iterator[None]:
    """Have a recorder on this port told of the demo account's deliveries while the body runs, then
    say what it heard; its webhook goes at the end."""
    recorder = WebhookRecorder(port)
    thread = threading.Thread(target=recorder.serve_forever, daemon=True)
    thread.start()
    try:
        wanted = {"url": recorder.url, "events": EVENTS}
        made = calls.api(environ, "POST", "/v1/webhooks", wanted)
        recorder.secret = made["secret"]
        path = f"/v1/webhooks/{made['id']}"
        try:
            yield
            _await_all(environ, path)
        finally:
            calls.api(environ, "DELETE", path)
    finally:
        recorder.shutdown()
        recorder.server_close()
    heard = ", ".join(f"{count:,} {kind}" for kind, count in sorted(recorder.types.items()))
    signed = f"{recorder.forged_count} wrongly signed" if recorder.forged_count else "all signed"
    screen.say(f"webhook: {recorder.url} was told of {heard or 'nothing'}, {signed}")


def _await_all(environ: Mapping[str, str], path: str) -> None:
    """Wait until the webhook has heard all that is in the log."""
    deadline = time.monotonic() + _HEAR_SECONDS
    while time.monotonic() < deadline:
        webhook = calls.api(environ, "GET", path)
        after = calls.api(environ, "GET", f"/v1/events?after={webhook['cursor']}&limit=1")
        if not after["events"] and not webhook["retries"]:
            return
        time.sleep(_POLL_SECONDS)
