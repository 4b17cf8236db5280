"""Settings say everything that is wrong at once, and never the value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from shared.runtime import ids, logs, settings

GOOD = {"SLUICE_DATABASE_URL": "postgresql://x", "SLUICE_AMQP_URL": "amqp://a"}


class Wanted(settings.Servers, frozen=True, kw_only=True):
    pool_size: Annotated[int, Meta(ge=2, le=1_000, extra={"unit": "connections"})] = 3
    every_seconds: Annotated[float, Meta(gt=0)] = 1.5
    word: Annotated[Literal["A", "B"], Meta(description="A word.")] = "A"
    loud: bool = False
    peers: tuple[str, ...] = ()
    secret: str = ""

    def __post_init__(self) -> None:
        if self.loud and not self.peers:
            raise ValueError("SLUICE_LOUD: expected SLUICE_PEERS beside it")


def test_values_are_read_by_name_and_type() -> None:
    found = settings.load(
        Wanted,
        GOOD | {"SLUICE_POOL_SIZE": "7", "SLUICE_LOUD": "1", "SLUICE_PEERS": "10.0.0.1, ::1"},
    )
    assert (found.database_url, found.amqp_url) == ("postgresql://x", "amqp://a")
    assert (found.pool_size, found.loud, found.peers) == (7, True, ("10.0.0.1", "::1"))


def test_an_empty_variable_counts_as_not_set() -> None:
    assert settings.load(Wanted, GOOD | {"SLUICE_POOL_SIZE": ""}).pool_size == 3
    with pytest.raises(settings.SettingsError, match=r"^SLUICE_AMQP_URL is not set$"):
        settings.load(Wanted, GOOD | {"SLUICE_AMQP_URL": ""})


def test_every_fault_has_its_sentence_and_no_value_is_shown(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingsError) as caught:
        settings.load(
            Wanted,
            {
                "SLUICE_DATABASE_URL": "mysql://hunter2",
                "SLUICE_POOL_SIZE": "hunter2",
                "SLUICE_EVERY_SECONDS": "-771",
                "SLUICE_METRICS_PORT": "771771",
                "SLUICE_WORD": "hunter2",
                "SLUICE_LOUD": "hunter2",
                "SLUICE_SECRET_FILE": str(tmp_path / "hunter2"),
            },
        )
    assert str(caught.value).splitlines() == [
        "SLUICE_DATABASE_URL: expected text such as "
        "postgresql://sluice:password@127.0.0.1:5432/sluice",
        "SLUICE_METRICS_PORT: expected a whole number from 0 to 65,535 (port)",
        "SLUICE_AMQP_URL is not set",
        "SLUICE_POOL_SIZE: expected a whole number from 2 to 1,000 (connections)",
        "SLUICE_EVERY_SECONDS: expected a number above 0 (seconds)",
        "SLUICE_WORD: expected one of A, B",
        "SLUICE_LOUD: expected 1 or 0",
        "SLUICE_SECRET_FILE: cannot be read (FileNotFoundError)",
    ]


def test_fields_may_be_judged_together() -> None:
    with pytest.raises(settings.SettingsError, match=r"^SLUICE_LOUD: expected SLUICE_PEERS"):
        settings.load(Wanted, GOOD | {"SLUICE_LOUD": "1"})


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("k3y\n")
    found = settings.load(Wanted, GOOD | {"SLUICE_SECRET_FILE": str(secret)})
    assert found.secret == "k3y"


def test_a_sourced_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# made by ./run\nexport SLUICE_API_URL='http://x'\nSLUICE_TOKEN=t\nOTHER=1\n")
    assert settings.read_file(file) == {"SLUICE_API_URL": "http://x", "SLUICE_TOKEN": "t"}
    assert settings.read_file(tmp_path / "none") == {}


def test_a_file_fills_in_what_is_not_set_and_only_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "env"
    file.write_text("export SLUICE_TOKEN='of the file'\nexport SLUICE_API_URL='of the file'\n")
    monkeypatch.setenv("SLUICE_TOKEN", "of the caller")
    monkeypatch.delenv("SLUICE_API_URL", raising=False)
    before = dict(os.environ)
    with settings.completed_from(file):
        assert os.environ["SLUICE_TOKEN"] == "of the caller"
        assert os.environ["SLUICE_API_URL"] == "of the file"
    assert dict(os.environ) == before


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
