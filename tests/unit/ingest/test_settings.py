"""What ingest's settings judge together: cards are taken with all that it needs, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from services.ingest import app

_PLAIN: dict[str, Any] = {
    "database_url": "postgresql://x@127.0.0.1/x",
    "amqp_url": "amqp://x@127.0.0.1/",
    "redis_url": "redis://127.0.0.1/",
    "secret_key": "c0ffee" * 10,
}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"payments_provider": "nobody"}, "expected one of stripe"),
        ({"payments_provider": "stripe"}, "needs SLUICE_PAYMENTS_KEY"),
        ({"payments_provider": "stripe", "payments_key": "sk"}, "SLUICE_PAYMENTS_EVENT_SECRETS"),
    ],
)
def test_cards_are_not_taken_by_halves(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        app.Settings(**(_PLAIN | given))


def test_cards_are_taken_with_a_provider_a_key_and_a_secret() -> None:
    whole = {
        "payments_provider": "stripe",
        "payments_key": "sk_secret",
        "payments_event_secrets": ("whsec",),
    }
    assert app.Settings(**(_PLAIN | whole)).payments_provider == "stripe"
    assert app.Settings(**_PLAIN).payments_provider == ""
