"""Mailjet's official clients, for Python and for Node, against running processes: only the base
URL and the token are ours."""

from __future__ import annotations

import csv
import http.client
import http.server
import io
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from mailjet_rest import Client
from mailjet_rest.errors import DoesNotExistError, MailjetAuthError, ValidationError

from deploy.local import node
from tests import fleet

PHONE = "+4915112345678"
ACCOUNT = """
[[account]]
name = "{name}"
currency = "EUR"
daily_limit = 1000
requests_per_minute = 100000
credit = "10"
"""
JSON = {"Content-Type": "application/json"}
WAIT_SECONDS = 30.0


@pytest.fixture(scope="module")
def accounts(platform: fleet.Fleet) -> dict[str, str]:
    """A token of an account for each client, which has no lines of its own."""
    names = ("python", "node", "retrying")
    platform.apply("".join(ACCOUNT.format(name=name) for name in names))
    return {name: platform.token(name) for name in names}


def _host(platform: fleet.Fleet) -> str:
    return f"127.0.0.1:{platform.ports['ingest']}"


Call = Callable[..., Any]


@contextmanager
def _python(root: str, token: str) -> Iterator[Call]:
    """Calls by the Python client: (method, path) and what it takes; the answer's JSON."""
    with Client(auth=token, version="v4", api_url=f"{root}/") as client:

        def call(method: Any, path: str, body: Any = None, **filters: Any) -> Any:
            answer = client.api_call(
                method, f"{root}/v4/{path}", filters=filters, data=body, headers=JSON
            )
            assert answer.status_code == 200
            return answer.json()

        yield call


def test_m48_m49_the_python_client_goes_from_a_text_to_its_row_in_a_file(
    platform: fleet.Fleet, accounts: dict[str, str]
) -> None:
    with _python(f"http://{_host(platform)}", accounts["python"]) as call:
        # When a text goes out from a name that nobody has used before
        body = {"From": "ShopBot", "To": PHONE, "Text": "Your parcel is ready."}
        sent = call("POST", "sms-send", body)
        assert (sent["From"], sent["To"], sent["Text"]) == tuple(body.values())
        assert sent["Cost"] == {"Value": 0.07, "Currency": "EUR"}
        assert sent["Status"]["Code"] in (1, 2)

        # Then it is delivered, listed and counted
        row = _until_delivered(lambda: call("GET", f"sms/{sent['MessageId']}")["Data"][0])
        assert row["SentTS"] >= row["CreationTS"] == sent["CreationTS"]
        assert call("GET", "sms", To=PHONE, StatusCode="3", Limit=5)["Data"] == [row]
        assert call("GET", "sms/count", StatusCode="3") == {"Count": 1}
        assert call("GET", "sms/count", StatusCode="4,5") == {"Count": 0}

        # And written to a file, which is there a moment later
        bounds = {"FromTS": row["CreationTS"] - 60, "ToTS": row["CreationTS"] + 60}
        ordered = call("POST", "sms/export", bounds)
        done = _until_written(lambda: call("GET", f"sms/export/{ordered['ID']}"))
        assert _ids_in(done["URL"]) == [row["ID"]]

        # And five full parts leave as they were paid for, whatever references the carrier likes
        long = call("POST", "sms-send", body | {"Text": "a" * 765})
        assert long["SmsCount"] == 5
        _until_delivered(lambda: call("GET", f"sms/{long['MessageId']}")["Data"][0])
        assert len([each for each in platform.journal() if each.get("total") == 5]) == 5

        # And what is refused is raised, as the client knows it
        with pytest.raises(ValidationError) as refused:
            call("POST", "sms-send", body | {"To": "+999123456789"})
        assert json.loads(refused.value.response_body or "")["ErrorCode"] == "sms-0002"
        with pytest.raises(DoesNotExistError):
            call("GET", "sms/7")
    with (
        _python(f"http://{_host(platform)}", "nobody") as stranger,
        pytest.raises(MailjetAuthError),
    ):
        stranger("GET", "sms")


def test_m48_m49_the_node_client_goes_from_a_text_to_its_row_in_a_file(
    platform: fleet.Fleet, accounts: dict[str, str]
) -> None:
    with _node(_host(platform), accounts["node"]) as call:
        body = {"From": "ShopBot", "To": PHONE, "Text": "Your parcel is ready."}
        told = call(method="post", resource="sms-send", body=body)
        assert told["status"] == 200
        sent = told["body"]
        assert (sent["From"], sent["To"], sent["Text"]) == tuple(body.values())

        row = _until_delivered(
            lambda: call(method="get", resource="sms", id=sent["MessageId"])["body"]["Data"][0]
        )
        query = {"To": PHONE, "StatusCode": ["2", "3"], "FromTS": row["CreationTS"], "Limit": 5}
        listed = call(method="get", resource="sms", query=query)
        assert listed["body"]["Data"] == [row]
        counted = call(method="get", resource="sms", action="count", query={"StatusCode": "3"})
        assert counted["body"] == {"Count": 1}

        bounds = {"FromTS": row["CreationTS"] - 60, "ToTS": row["CreationTS"] + 60}
        ordered = call(method="post", resource="sms", action="export", body=bounds)["body"]
        done = _until_written(
            lambda: call(method="get", resource="sms", action="export", id=ordered["ID"])["body"]
        )
        assert _ids_in(done["URL"]) == [row["ID"]]

        refused = call(method="post", resource="sms-send", body=body | {"To": [PHONE]})
        assert refused["status"] == 400
        assert refused["error"]["ErrorCode"] == "mj-0004"
        assert refused["error"]["ErrorRelatedTo"] == ["To"]
        assert refused["error"]["ErrorIdentifier"]
    with _node(_host(platform), "nobody") as stranger:
        refused = stranger(method="get", resource="sms")
        assert (refused["status"], refused["error"]["ErrorCode"]) == (401, "mj-0015")


def test_a_client_that_repeats_a_lost_answer_is_charged_once(
    platform: fleet.Fleet, accounts: dict[str, str]
) -> None:
    # Given a proxy that loses the first answer, and the client's own way of trying again
    with _losing_answers(_host(platform)) as (root, seen):
        client = Client(auth=accounts["retrying"], version="v4", api_url=f"{root}/")
        client.session.mount("http://", client.session.get_adapter("https://"))
        sent = client.api_call(
            "POST",
            f"{root}/v4/sms-send",
            data={"From": "ShopBot", "To": PHONE, "Text": "once"},
            headers=JSON,
        ).json()

        # Then it has asked twice under one key
        assert len(seen) == 2
        assert len(set(seen)) == 1

    # And there is one message, paid for once
    with _python(f"http://{_host(platform)}", accounts["retrying"]) as call:
        assert [row["ID"] for row in call("GET", "sms")["Data"]] == [sent["ID"]]
    shown = json.loads(platform.sluice("account", "show", "retrying", "--json").stdout)
    assert shown["debited"] == "0.07"


def _until_delivered(ask: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while (row := ask())["Status"]["Code"] != 3:
        assert time.monotonic() < deadline, row
        time.sleep(0.05)
    assert row["Status"] == {"Code": 3, "Name": "delivered", "Description": "Message delivered"}
    return row


def _until_written(ask: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while (job := ask())["Status"]["Name"] != "COMPLETED":
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job


def _ids_in(url: str) -> list[str]:
    """The messages of a CSV file, which needs no token."""
    with urllib.request.urlopen(url, timeout=WAIT_SECONDS) as file:
        text = file.read().decode("utf-8-sig")
    return [row["id"] for row in csv.DictReader(io.StringIO(text))]


@contextmanager
def _node(host: str, token: str) -> Iterator[Call]:
    """Calls by the Node client, and what it returned or threw."""
    process = subprocess.Popen(
        [node.program(), str(node.CLIENTS / "calls.js"), host, token],
        env=node.environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def call(**wanted: Any) -> Any:
        print(json.dumps(wanted), file=process.stdin, flush=True)
        assert process.stdout is not None
        return json.loads(process.stdout.readline())

    try:
        yield call
    finally:
        process.stdin.close()
        process.stdout.close()
        assert process.wait(WAIT_SECONDS) == 0


@contextmanager
def _losing_answers(host: str) -> Iterator[tuple[str, list[str | None]]]:
    """A proxy that answers 504 instead of with the first answer it got; its URL, and the keys of
    the requests that it has seen."""
    seen: list[str | None] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["Idempotency-Key"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            link = http.client.HTTPConnection(host, timeout=WAIT_SECONDS)
            link.request("POST", self.path, body, dict(self.headers))
            answer = link.getresponse()
            status, told = answer.status, answer.read()
            link.close()
            if len(seen) == 1:
                status, told = 504, b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
