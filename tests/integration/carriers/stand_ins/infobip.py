"""Infobip's SMS API."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import msgspec

from shared.carriers import contract
from shared.carriers.outcomes import OutcomeKind
from shared.sms import encoding, receipts, segmentation
from tests.integration.carriers import stand_ins
from tests.integration.carriers.stand_ins import Act, Recorded, Report, Said, web

State = receipts.ReceiptState
_WORDS = {
    State.ENROUTE: (1, "PENDING", 7, "PENDING_ENROUTE"),
    State.DELIVERED: (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET"),
    State.UNDELIVERED: (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED"),
    State.EXPIRED: (4, "EXPIRED", 15, "EXPIRED_EXPIRED"),
    State.REJECTED: (5, "REJECTED", 10, "REJECTED_DND"),
    State.UNKNOWN: (4, "EXPIRED", 29, "EXPIRED_DLR_UNKNOWN"),
}


def _status(group_id: int, group: str, number: int, name: str) -> dict[str, object]:
    return {
        "groupId": group_id,
        "groupName": group,
        "id": number,
        "name": name,
        "description": "canary",
    }


def _said(message_id: str, *status: object) -> Said:
    message = {
        "messageId": message_id,
        "status": dict(
            zip(("groupId", "groupName", "id", "name", "description"), status, strict=False)
        ),
        "destination": stand_ins.RECIPIENT[1:],
        "details": {"messageCount": 1},
    }
    return web.json(200, {"bulkId": "2034072219640523072", "messages": [message]})


def _rejected(number: int, name: str) -> Said:
    return _said("m-1", 5, "REJECTED", number, name, "canary")


def _error(status: int, code: str) -> Said:
    return web.json(
        status,
        {
            "errorCode": code,
            "description": "canary",
            "action": "",
            "violations": [],
            "resources": [],
        },
    )


def _old_error(status: int, code: str) -> Said:
    return web.json(
        status, {"requestError": {"serviceException": {"messageId": code, "text": "canary"}}}
    )


class InfobipStandIn(web.WebStandIn):
    not_let_in = _old_error(401, "UNAUTHORIZED")
    says: ClassVar[Mapping[Act, Said]] = {
        Act.ACCEPT: _said(stand_ins.ID, 1, "PENDING", 26, "PENDING_ACCEPTED"),
        Act.REJECT: _rejected(14, "REJECTED_DESTINATION"),
        Act.DEFER: _rejected(20, "REJECTED_FLOODING_FILTER"),
        Act.ELSEWHERE: _rejected(19, "REJECTED_ROUTE_NOT_AVAILABLE"),
        Act.HALT: _rejected(12, "REJECTED_NOT_ENOUGH_CREDITS"),
        Act.THROTTLE: _old_error(429, "TOO_MANY_REQUESTS"),
    }
    recorded: Sequence[Recorded] = (
        Recorded(says[Act.ACCEPT], OutcomeKind.ACCEPTED, ""),
        Recorded(_rejected(23, "REJECTED_DUPLICATE_MESSAGE_ID"), OutcomeKind.ACCEPTED, ""),
        Recorded(_rejected(13, "REJECTED_SENDER"), OutcomeKind.ELSEWHERE, "REJECTED_SENDER"),
        Recorded(
            _rejected(21, "REJECTED_SYSTEM_ERROR"), OutcomeKind.DEFERRED, "REJECTED_SYSTEM_ERROR"
        ),
        Recorded(_rejected(99, "REJECTED_NEW"), OutcomeKind.REJECTED, "REJECTED_NEW"),
        Recorded(_error(400, "E400"), OutcomeKind.REJECTED, "E400"),
        Recorded(_old_error(400, "BAD_REQUEST"), OutcomeKind.REJECTED, "BAD_REQUEST"),
        Recorded(_error(403, "E403"), OutcomeKind.HALTED, "E403"),
        Recorded(_error(429, "E429"), OutcomeKind.THROTTLED, "E429"),
        Recorded(_error(500, "E500"), OutcomeKind.LOST, ""),
        Recorded(web.json(200, {"messages": []}), OutcomeKind.LOST, ""),
    )

    def settings(self, port: int | None = None, **values: object) -> Mapping[str, object]:
        return {
            **web.DEADLINES,
            "api_url": f"http://127.0.0.1:{port or self.port}",
            "api_key": stand_ins.SECRET,
            "callbacks_url": web.CALLBACKS_URL,
            "callback_auth": "basic",
            "callback_secret": stand_ins.SECRET,
            **values,
        }

    def order(self, submit: bytes) -> stand_ins.Order:
        assert submit.startswith(b"POST /sms/3/messages HTTP/1.1\r\n")
        assert f"Authorization: App {stand_ins.SECRET}\r\n".encode() in submit
        (message,) = msgspec.json.decode(web.body_of(submit))["messages"]
        (destination,) = message["destinations"]
        assert message["webhooks"]["callbackData"] == destination["messageId"]
        content = message["content"]
        if "text" in content:
            return stand_ins.Order(message["sender"], destination["to"], content["text"])
        assert content["esmClass"] == 0x40
        udh, payload = segmentation.detach_udh(bytes.fromhex(content["hex"]))
        assert segmentation.parse_udh(udh)
        alphabet = "gsm7" if content["dataCoding"] == 0 else "ucs2"
        text = encoding.decode(payload, encoding.Encoding(alphabet))
        return stand_ins.Order(message["sender"], destination["to"], text)

    def call(self, report: Report) -> contract.CallbackRequest:
        result = {
            "bulkId": "2034072219640523072",
            "callbackData": report.reference,
            "doneAt": "2026-11-26T10:00:02.000+0000",
            "error": _status(0, "OK", 0, "NO_ERROR"),
            "messageCount": 1,
            "messageId": report.carrier_message_id,
            "price": {"pricePerMessage": 0.01, "currency": "EUR"},
            "sentAt": "2026-11-26T10:00:01.000+0000",
            "status": _status(*_WORDS[report.state]),
            "to": stand_ins.RECIPIENT[1:],
        }
        return self.proved(msgspec.json.encode({"results": [result]}))

    def proved(self, body: bytes) -> contract.CallbackRequest:
        login = base64.b64encode(f"sluice:{stand_ins.SECRET}".encode()).decode()
        headers = {"Authorization": f"Basic {login}"}
        return contract.CallbackRequest("", headers, {}, "application/json", body)

    def phone_sends(self, source: str, recipient: str, text: str) -> contract.CallbackRequest:
        result = {
            "callbackData": "",
            "cleanText": text,
            "from": source[1:],
            "keyword": "",
            "messageId": "817790313235066447",
            "price": {"pricePerMessage": 0, "currency": "EUR"},
            "receivedAt": "2026-11-26T10:00:00.000+0000",
            "smsCount": 1,
            "text": text,
            "to": recipient[1:],
        }
        body = {"messageCount": 1, "pendingMessageCount": 0, "results": [result]}
        return self.proved(msgspec.json.encode(body))


@asynccontextmanager
async def open_stand_in() -> AsyncIterator[stand_ins.StandIn]:
    standing = InfobipStandIn()
    async with standing.listening():
        yield standing
