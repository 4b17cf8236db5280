"""What pushing tells operators."""

from __future__ import annotations

import prometheus_client

PUSH_SECONDS = prometheus_client.Histogram(
    "sluice_webhooks_push_seconds",
    "From the beginning of a request to a webhook to its answer, or its end without one.",
    ["outcome"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
LATE_SECONDS = prometheus_client.Histogram(
    "sluice_webhooks_late_seconds",
    "From an event to the first request that told of it.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_600, 86_400),
)
CALLBACKS = prometheus_client.Counter(
    "sluice_webhooks_callbacks_total",
    "Callbacks about lines in API mode, by what came of the one try; not_made: none.",
    ["outcome"],
)
CALLBACK_SECONDS = prometheus_client.Histogram(
    "sluice_webhooks_callback_seconds",
    "From the beginning of such a request to its answer, or its end without one.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
COURSES = prometheus_client.Gauge(
    "sluice_webhooks_courses",
    "Webhooks, and logs of lines in API mode, that this process is at just now.",
)
DISABLED = prometheus_client.Counter(
    "sluice_webhooks_disabled_total", "Webhooks that were disabled, by reason.", ["reason"]
)
GIVEN_UP = prometheus_client.Counter(
    "sluice_webhooks_given_up_total", "Events that a webhook was told of in vain for days."
)
