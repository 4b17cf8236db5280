"""What ingest counts; no label names an account, a number, or what varies in a path."""

from __future__ import annotations

import prometheus_client

ANSWER_SECONDS = prometheus_client.Histogram(
    "sluice_ingest_answer_seconds",
    "From a request's head to its answer, by route and class of status, without what it wanted to"
    " wait.",
    ["route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ACCEPTED = prometheus_client.Counter(
    "sluice_ingest_accepted_messages", "Messages stored and paid for."
)
REFUSED = prometheus_client.Counter(
    "sluice_ingest_refused",
    "Requests, and messages of batches, that were refused, by the problem's code: unauthorized and"
    " too_many_failures at the door, too_many_requests by the limit of requests, and all others.",
    ["code"],
)
BACKLOG = prometheus_client.Gauge(
    "sluice_ingest_backlog_messages", "Stored messages that wait to be published, of all processes."
)
WAITING = prometheus_client.Gauge(
    "sluice_ingest_waiting_requests", "Requests that wait for something new, in this process."
)
DEPOSITS_CREDITED = prometheus_client.Counter(
    "sluice_ingest_credited_deposits", "Deposits whose card was charged and credited.", ["currency"]
)
PAYMENT_EVENTS = prometheus_client.Counter(
    "sluice_ingest_payment_events",
    "Calls of the provider of card payments, by what was made of them: kept, not_ours, forged.",
    ["outcome"],
)
PAYMENT_DISPUTES = prometheus_client.Counter(
    "sluice_ingest_payment_disputes", "Payments whose payer's bank has begun to take them back."
)
PAYMENT_FAULTS = prometheus_client.Counter(
    "sluice_ingest_payment_faults", "Deposits that could not be settled at one look, and wait."
)
OPEN_SUPPORT_REQUESTS = prometheus_client.Gauge(
    "sluice_ingest_open_support_requests",
    "Requests of accounts that wait for the operator's answer: see `sluice support list`.",
)
