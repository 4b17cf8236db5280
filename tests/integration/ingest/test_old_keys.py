"""Idempotency keys past their seven days: they answer no more, swept or not, and are swept."""

from __future__ import annotations

import uuid

import pytest

from shared.db import idempotency
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = {"to": "+33612345678", "text": "Your parcel is ready."}
OLD_COUNT = 12_000
"""More than two pages of a sweep."""

_AGE = "UPDATE idempotency_keys SET created_at = created_at - interval '7 days' WHERE key = $1"


async def test_a_key_past_its_time_names_a_new_request_though_it_was_not_swept_yet(
    town: World,
) -> None:
    # Given a key that was used seven days ago
    key = uuid.uuid4().hex
    old = await town.post("alice", "/v1/messages", GOOD, key=key)
    await town.pool.execute(_AGE, key)
    # When another request comes under it
    other = GOOD | {"text": "Another parcel is ready."}
    new = await town.post("alice", "/v1/messages", other, key=key)
    # Then it is accepted as its own, and the key answers for it from now on
    assert new["id"] != old["id"]
    assert await town.post("alice", "/v1/messages", other, key=key) == new
    told = await town.post("alice", "/v1/messages", GOOD, status=422, key=key)
    assert told["code"] == "key_reused"


async def test_a_sweep_leaves_no_key_past_its_time_and_takes_no_other(town: World) -> None:
    # Given many keys past their time, and one within it
    key = uuid.uuid4().hex
    kept = await town.post("alice", "/v1/messages", GOOD, key=key)
    await town.pool.execute(
        "INSERT INTO idempotency_keys"
        " SELECT 1, 'old ' || n, '', 202, '', now() - interval '8 days'"
        " FROM generate_series(1, $1) AS n",
        OLD_COUNT,
    )
    # When they are swept once, Then none of them is left for the next time
    await idempotency.sweep(town.pool)
    left = await town.pool.fetchval("SELECT count(*) FROM idempotency_keys WHERE key LIKE 'old %'")
    assert left == 0
    assert await town.post("alice", "/v1/messages", GOOD, key=key) == kept
