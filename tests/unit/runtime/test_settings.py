"""Settings say everything that is wrong at once, and never the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.runtime import ids, logs, settings


class Wanted(settings.Servers, frozen=True, kw_only=True):
    amqp_url: str
    pool_size: int = 3


def test_values_are_read_by_name_and_type() -> None:
    found = settings.load(
        Wanted,
        {"SLUICE_DATABASE_URL": "postgresql://x", "SLUICE_AMQP_URL": "a", "SLUICE_POOL_SIZE": "7"},
    )
    assert (found.database_url, found.amqp_url, found.pool_size) == ("postgresql://x", "a", 7)


def test_every_fault_is_named_and_no_value_is_shown() -> None:
    with pytest.raises(settings.SettingsError) as caught:
        settings.load(Wanted, {"SLUICE_POOL_SIZE": "hunter2"})
    text = str(caught.value)
    for name in ("SLUICE_DATABASE_URL", "SLUICE_AMQP_URL", "SLUICE_POOL_SIZE"):
        assert name in text
    assert "hunter2" not in text


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("k3y\n")
    found = settings.load(
        Wanted,
        {
            "SLUICE_DATABASE_URL": "d",
            "SLUICE_AMQP_URL": "a",
            "SLUICE_SECRET_KEY_FILE": str(secret),
        },
    )
    assert found.secret_key == "k3y"


def test_a_sourced_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# made by ./run\nexport SLUICE_API_URL='http://x'\nSLUICE_TOKEN=t\nOTHER=1\n")
    assert settings.read_file(file) == {"SLUICE_API_URL": "http://x", "SLUICE_TOKEN": "t"}
    assert settings.read_file(tmp_path / "none") == {}


def test_ids_are_ordered_unique_and_of_version_7() -> None:
    made = [ids.uuid7() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}


def test_numbers_and_texts_do_not_reach_the_log() -> None:
    redacted = logs.redact(
        None, "info", {"event": "sent to +33612345678", "text": "my secret", "token": "slu_x"}
    )
    line = str(redacted)
    assert "345678" not in line
    assert "my secret" not in line
    assert "slu_x" not in line
