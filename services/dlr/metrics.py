"""What dlr counts; no label names an account, a carrier or a number."""

from __future__ import annotations

import prometheus_client

RECEIPTS = prometheus_client.Counter(
    "sluice_dlr_receipts",
    "Receipts stored, by what was made of them: matched, unmatched, unreadable.",
    ["outcome"],
)
BATCH_SECONDS = prometheus_client.Histogram(
    "sluice_dlr_batch_seconds",
    "From taking a batch of receipts to its commit, retries included.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
STATUS_CHANGES = prometheus_client.Counter(
    "sluice_dlr_status_changes", "Messages whose status changed through dlr."
)
LATE_MATCHES = prometheus_client.Counter(
    "sluice_dlr_late_matches", "Receipts that found their segment only later."
)
INBOUND = prometheus_client.Counter(
    "sluice_dlr_inbound", "Inbound messages of several parts: whole, incomplete.", ["outcome"]
)
OVERDUE = prometheus_client.Counter(
    "sluice_dlr_overdue_segments", "Segments whose receipt did not come within the deadline."
)
BURIED = prometheus_client.Counter(
    "sluice_dlr_buried_deliveries", "Deliveries moved to the dead-letter queue."
)
CALLBACKS = prometheus_client.Counter(
    "sluice_dlr_callbacks", "Calls of carriers, by the HTTP status they got.", ["status"]
)
