"""Which settings are credentials: found wherever they stand, masked, sealed, and opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.access.keys import Keys
from shared.access.vault import NotReadable, Vault
from shared.carriers import adapters, credentials, registry, secret
from shared.carriers.adapters import http, smpp

ADAPTERS = [
    each.stem
    for each in sorted(Path(str(adapters.__file__)).parent.glob("*.py"))
    if each.stem != "__init__"
]
OLD = "an old key of the platform that is long enough"
NEW = "a new key of the platform that is long enough"
SMPP = {"host": "smsc.example", "port": 2775, "system_id": "me", "password": "hunter2-one"}
HTTP: dict[str, object] = {
    "url": "https://me:hunter2-two@api.example/send?api_key=hunter2-three&to={recipient}&dlr=1",
    "headers": {
        "Authorization": "Basic hunter2-four",
        "X-Api-Key": "{secret.api}",
        "X-Trace": "nothing to hide",
    },
    "secrets": {"api": "hunter2-five"},
    "body": {"auth": {"password": "hunter2-six", "user": "me"}, "text": "{text}"},
    "callback": {
        "auth": "hmac",
        "secret": "hunter2-seven-is-long-enough",
        "id_field": "id",
        "state_field": "status",
        "states": {"token expired": "expired"},
    },
}
CASES = pytest.mark.parametrize(
    ("kind", "values", "count"), [(smpp.Settings, SMPP, 1), (http.Settings, HTTP, 5)]
)


@CASES
def test_no_credential_is_left_in_what_is_shown_or_stored(
    kind: type[msgspec.Struct], values: dict[str, object], count: int
) -> None:
    vault = Vault(Keys.read(NEW))
    shown = credentials.masked(kind, values)
    stored = credentials.sealed(kind, values, vault)
    assert "hunter2" not in repr(shown)
    assert "hunter2" not in repr(stored)
    assert len(credentials.literals(kind, values)) == count
    assert credentials.literals(kind, stored) == []
    assert credentials.opened(stored, vault) == msgspec.to_builtins(values)
    # and sealed settings are shown as they were
    assert credentials.masked(kind, stored).keys() == shown.keys()
    assert "gAAAA" not in repr(credentials.masked(kind, stored))


def test_what_is_no_credential_is_shown_as_it_is() -> None:
    shown: dict[str, Any] = credentials.masked(http.Settings, HTTP)
    assert shown["url"] == "https://***@api.example/send?api_key=***&to={recipient}&dlr=***"
    assert shown["headers"] == {
        "Authorization": "***",
        "X-Api-Key": "{secret.api}",
        "X-Trace": "nothing to hide",
    }
    assert shown["body"] == {"auth": {"password": "***", "user": "me"}, "text": "{text}"}
    assert shown["callback"]["states"] == {"token expired": "expired"}


@CASES
def test_a_key_can_go_once_everything_is_sealed_again_under_the_one_that_follows(
    kind: type[msgspec.Struct], values: dict[str, object], count: int
) -> None:
    # Given settings sealed under a key, and the key after it put in front
    del count
    stored = credentials.sealed(kind, values, Vault(Keys.read(OLD)))
    both = Vault(Keys.read(f"{NEW},{OLD}"))

    # When they are sealed again
    renewed = credentials.sealed(kind, stored, both)

    # Then the key after it opens them alone, and sealing once more changes nothing
    after = Vault(Keys.read(NEW))
    with pytest.raises(NotReadable):
        credentials.opened(stored, after)
    assert credentials.opened(renewed, after) == credentials.opened(stored, both)
    assert credentials.sealed(kind, renewed, both) == renewed


def test_an_adapter_never_notices_that_its_settings_are_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry._Opening, "vault", None)
    stored = credentials.sealed(http.Settings, HTTP, Vault(Keys.read(NEW)))
    again = credentials.sealed(http.Settings, HTTP, Vault(Keys.read(NEW)))
    with pytest.raises(registry.InvalidSettings, match="SLUICE_SECRET_KEY"):
        registry.settings("http", stored)
    registry.use_keys(Keys.read(NEW))
    assert registry.settings("http", stored) == registry.settings("http", HTTP)
    assert stored != again
    assert registry.alike(stored, again)
    assert not registry.alike(stored, {**again, "window": 3})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"secrets": {"api": {"file": "FILE"}}}, "from a file"),
        ({"secrets": {"api": {"env": "ACME_KEY"}}}, "from outside"),
    ],
)
def test_a_credential_may_be_kept_in_a_file_or_a_variable(
    given: dict[str, Any], wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "key"
    kept.write_text("from a file\n")
    monkeypatch.setenv("ACME_KEY", "from outside")
    place = {k: str(kept) if v == "FILE" else v for k, v in given["secrets"]["api"].items()}
    values = {"url": "https://api.example/", "secrets": {"api": place}}
    decoded = registry.settings("http", values)
    assert isinstance(decoded, http.Settings)
    assert decoded.secrets["api"].reveal() == wanted
    assert credentials.masked(http.Settings, values) == values
    assert credentials.literals(http.Settings, values) == []


def test_a_credential_in_two_places_is_refused_and_one_in_a_line_of_its_own_taken() -> None:
    callback: dict[str, object] = {
        "auth": "hmac",
        "id_field": "id",
        "state_field": "status",
        "states": {"ok": "delivered"},
    }
    one = {"url": "https://api.example/", "callback": callback | {"secret_env": "ACME"}}
    decoded = registry.settings("http", one)
    assert isinstance(decoded, http.Settings)
    assert decoded.callback is not None
    assert decoded.callback.secret == secret.Secret("", variable="ACME")
    two = {**one, "callback": callback | {"secret_env": "ACME", "secret": "hunter2"}}
    with pytest.raises(registry.InvalidSettings, match=r"callback\.secret: expected one of"):
        registry.settings("http", two)


@pytest.mark.parametrize("place", [{}, {"file": ""}, {"file": "a", "env": "b"}, {"fil": "a"}, [1]])
def test_a_place_that_is_none_is_refused(place: object) -> None:
    with pytest.raises(registry.InvalidSettings, match="secrets"):
        registry.settings("http", {"url": "https://api.example/", "secrets": {"api": place}})


def test_what_is_not_there_is_told_by_its_place(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for kept, words in (
        (secret.Secret("", file=str(tmp_path / "none")), "cannot be read"),
        (secret.Secret("", file=str(empty)), "is empty"),
        (secret.Secret("", variable="SLUICE_TEST_NO_SUCH"), "is not set"),
    ):
        with pytest.raises(secret.NotThere, match=words):
            kept.reveal()
        assert repr(kept) == "***"


@pytest.mark.parametrize("key", ADAPTERS)
def test_every_credential_of_every_adapter_is_found(key: str) -> None:
    # Given an adapter's settings with a word in each place where it takes a credential itself
    kind = registry.adapter(key).settings_type
    named = [
        field.encode_name for field in msgspec.structs.fields(kind) if "Secret" in str(field.type)
    ]
    assert named
    values: dict[str, object] = {
        name: {"api": "hunter2"} if name == "secrets" else "hunter2" for name in named
    }
    # Then none is shown or stored, and each may be kept in a file instead
    stored = credentials.sealed(kind, values, Vault(Keys.read(NEW)))
    assert "hunter2" not in repr(credentials.masked(kind, values)) + repr(stored)
    assert len(credentials.literals(kind, values)) == len(named)
    for name in named:
        if name != "secrets":
            assert [*credentials.files(kind, {f"{name}_file": "/run/key"})] == [(name, "/run/key")]
