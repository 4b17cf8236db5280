"""What we sign, judged by the public library of Standard Webhooks; and how its secrets are kept."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from shared.access import signatures, vault
from shared.access.keys import Keys

OLD, NEW = "the older key of this platform and long", "the newer key of this platform and long"


@given(st.text(min_size=1), st.uuids())
def test_the_public_library_believes_us(text: str, event_id: object) -> None:
    # Given a body that was signed with a new secret
    secret, body = signatures.make_secret(), text.encode()
    signed = signatures.headers([secret], str(event_id), int(time.time()), body)

    # Then the library finds it good, and nothing else
    Webhook(secret).verify(body, signed, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", signed, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(signatures.make_secret()).verify(body, signed, json_parse=False)


def test_either_of_two_secrets_is_enough() -> None:
    old, new = signatures.make_secret(), signatures.make_secret()
    signed = signatures.headers([new, old], "id", int(time.time()), b"{}")
    for secret in (old, new):
        Webhook(secret).verify(b"{}", signed)


def test_a_secret_is_kept_under_the_platforms_keys() -> None:
    # Given a secret that was sealed under the older key
    secret = signatures.make_secret()
    older = vault.Vault(Keys.read(OLD))
    sealed = older.seal(secret)
    assert secret.encode() not in sealed
    assert older.renewed(sealed) is None

    # When a new key comes before it
    both = vault.Vault(Keys.read(f"{NEW},{OLD}"))
    assert both.open(sealed) == secret
    renewed = both.renewed(sealed)

    # Then what is renewed is read when the old key is gone, and what is not, is not
    newer = vault.Vault(Keys.read(NEW))
    assert renewed is not None
    assert newer.open(renewed) == secret
    with pytest.raises(vault.NotReadable):
        newer.open(sealed)
    with pytest.raises(vault.NotReadable):
        newer.renewed(sealed)
