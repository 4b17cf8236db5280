"""A carrier with a web API, for the `http` adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import ClassVar

import msgspec

from shared.carriers import contract
from shared.sms import receipts
from tests.integration.carriers import stand_ins
from tests.integration.carriers.stand_ins import Act, Report, Said, web

_STATES = {f"carrier-{state}": state.value for state in receipts.ReceiptState}


class HttpStandIn(web.WebStandIn):
    not_let_in = Said(401, b"{}")
    says: ClassVar[Mapping[Act, Said]] = {
        Act.ACCEPT: web.json(200, {"messages": [{"id": stand_ins.ID}]}),
        Act.REJECT: web.json(400, {"error": "bad_number"}),
        Act.DEFER: web.json(400, {"error": "absent"}),
        Act.ELSEWHERE: web.json(400, {"error": "no_route"}),
        Act.HALT: web.json(402, {"error": "no_credit"}),
        Act.THROTTLE: Said(429, b"{}"),
    }

    def settings(self, port: int | None = None, **values: object) -> Mapping[str, object]:
        return {
            "url": f"http://127.0.0.1:{port or self.port}/{{secret.path}}",
            "headers": {"Authorization": "Bearer {secret.key}"},
            "secrets": {"key": stand_ins.SECRET, "path": stand_ins.SECRET},
            "body": {
                "to": "{recipient}",
                "from": "{source}",
                "text": "{text}",
                "name": "{reference}",
            },
            "id_path": "messages.0.id",
            "error_path": "error",
            "rejected_codes": ["bad_number"],
            "deferred_codes": ["absent"],
            "elsewhere_codes": ["no_route"],
            **web.DEADLINES,
            "callback": {
                "auth": "path_secret",
                "secret": stand_ins.SECRET,
                "id_field": "id",
                "state_field": "status",
                "states": _STATES,
                "inbound": {
                    "from_field": "from",
                    "to_field": "to",
                    "text_field": "text",
                    "id_field": "id",
                },
            },
            **values,
        }

    def order(self, submit: bytes) -> stand_ins.Order:
        said = msgspec.json.decode(web.body_of(submit))
        return stand_ins.Order(said["from"], said["to"].strip("+"), said["text"])

    def call(self, report: Report) -> contract.CallbackRequest:
        said = {
            "id": report.carrier_message_id,
            "status": f"carrier-{report.state}",
            "text": report.text,
            "to": stand_ins.RECIPIENT,
        }
        return self.proved(msgspec.json.encode(said))

    def proved(self, body: bytes) -> contract.CallbackRequest:
        return contract.CallbackRequest(stand_ins.SECRET, {}, {}, "application/json", body)

    def phone_sends(self, source: str, recipient: str, text: str) -> contract.CallbackRequest:
        said = {"id": "in-1", "from": source, "to": recipient, "text": text}
        return self.proved(msgspec.json.encode(said))


@asynccontextmanager
async def open_stand_in() -> AsyncIterator[stand_ins.StandIn]:
    standing = HttpStandIn()
    async with standing.listening():
        yield standing
