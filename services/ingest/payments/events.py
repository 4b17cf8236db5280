"""What the provider tells: kept once, then its deposit is looked at. Its word moves no money."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

import structlog
from aiohttp import web

from services.ingest import metrics
from services.ingest.settling import Settler
from services.ingest.web.entrance import TRANSACTION_SECONDS, Context
from shared.db import payment_events
from shared.db.payment_events import NewPaymentEvent, StoredDispute
from shared.payments.contract import ForgedEvent, PaymentDispute, PaymentEvent
from shared.web import bodies, problems
from shared.web.problems import Refused

_log = structlog.get_logger()

PATH = "/payments/{provider}/events"
EVENT_SIZE_MAX = 256 * 1024
EVENT_SECONDS = 10.0


class Events:
    """Takes events of the one provider there is."""

    def __init__(self, context: Context, settler: Settler) -> None:
        self._context = context
        self._settler = settler

    async def take(self, request: web.Request) -> web.Response:
        """200 once it is kept, or is none of ours; until then the provider tells it again."""
        provider = self._settler.provider
        if request.match_info["provider"] != provider.name:
            raise web.HTTPNotFound
        if "Content-Encoding" in request.headers:
            raise bodies.encoded()
        body = await bodies.read(request, EVENT_SIZE_MAX, EVENT_SECONDS)
        try:
            event = provider.read_event(request.headers, body)
        except ForgedEvent as forged:
            metrics.PAYMENT_EVENTS.labels("forged").inc()
            _log.warning("payment_event_refused", why=str(forged))
            detail = problems.sentence(f"the event is not believed: {forged}")
            raise Refused(problems.of(400, "forged_event", detail)) from None
        is_ours = event is not None and await self._keep(event, body)
        metrics.PAYMENT_EVENTS.labels("kept" if is_ours else "not_ours").inc()
        if is_ours:
            self._settler.tell()
        return web.json_response({"received": True})

    async def _keep(self, event: PaymentEvent, body: bytes) -> bool:
        name = self._settler.provider.name
        new = NewPaymentEvent(
            name,
            event.event_id,
            event.type,
            event.deposit_id,
            event.payment_id,
            event.made_at,
            hashlib.sha256(body).digest(),
        )
        is_new_dispute = False
        async with (
            self._context.pool.acquire(timeout=TRANSACTION_SECONDS) as opened,
            opened.transaction(),
        ):
            deposit_id = await payment_events.keep(opened, new)
            if deposit_id is not None and event.dispute is not None:
                found = _stored(event.dispute, deposit_id, event.made_at)
                is_new_dispute = await payment_events.dispute(opened, name, found)
        if is_new_dispute:
            metrics.PAYMENT_DISPUTES.inc()
            _log.error("payment_disputed", deposit=str(deposit_id))
        return deposit_id is not None


def _stored(dispute: PaymentDispute, deposit_id: UUID, made_at: datetime) -> StoredDispute:
    return StoredDispute(
        dispute.dispute_id,
        deposit_id,
        dispute.amount_micro,
        dispute.currency,
        dispute.reason,
        dispute.status,
        dispute.is_over,
        made_at,
    )


def add_routes(app: web.Application, context: Context) -> None:
    """Give an application that answers refusals the path of events, if cards are taken."""
    if context.settler is not None:
        app.router.add_post(
            PATH,
            Events(context, context.settler).take,
            expect_handler=bodies.wait_to_continue,
        )
