"""Adapters by name, and their settings."""

from __future__ import annotations

import pytest

from shared.carriers import registry
from shared.carriers.adapters import http, smpp

SMPP = {"host": "smsc.example", "port": 2775, "system_id": "me", "password": "hunter2-canary"}
CALLBACK = {
    "auth": "hmac",
    "secret": "hunter2-canary-of-16",
    "id_field": "id",
    "state_field": "status",
    "states": {"ok": "delivered"},
}
HTTP = {
    "url": "https://api.example/{secret.path}",
    "secrets": {"path": "hunter2-canary"},
    "callback": CALLBACK,
}


def test_both_adapters_are_found_by_their_file_names() -> None:
    assert registry.adapter("smpp").settings_type is smpp.Settings
    assert registry.adapter("smpp").admit_callback is None
    assert registry.adapter("http").admit_callback is http.admit_callback


@pytest.mark.parametrize(
    "key",
    [
        "",
        "SMPP",
        "smpp.Settings",
        "../smpp",
        "smpp\n",
        "nowhere",
        "contract",
        "outcomes",
        "registry",
        "secret",
        "answers",
        "templates",
        "smpp_receipts",
        "__init__",
    ],
)
def test_a_name_is_refused_when_no_adapter_has_it(key: str) -> None:
    with pytest.raises(registry.UnknownAdapter):
        registry.adapter(key)


@pytest.mark.parametrize(("key", "values"), [("smpp", SMPP), ("http", HTTP)])
def test_good_settings_are_taken_and_never_show_their_secrets(
    key: str, values: dict[str, object]
) -> None:
    settings = registry.settings(key, values)
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)
    assert registry.reviewed(key, values) == settings


def test_a_weak_secret_still_runs_where_it_was_applied_before_it_was_refused() -> None:
    values = HTTP | {"callback": {**CALLBACK, "secret": "short"}}
    registry.settings("http", values)
    with pytest.raises(registry.InvalidSettings):
        registry.reviewed("http", values)


@pytest.mark.parametrize(
    ("key", "change", "named"),
    [
        ("smpp", {"port": "2775"}, "port"),
        ("smpp", {"port": 0}, "port"),
        ("smpp", {"port": 65_536}, "port"),
        ("smpp", {"host": ""}, "host"),
        ("smpp", {"host": None}, "host"),
        ("smpp", {"binds": 0}, "binds"),
        ("smpp", {"window": -1}, "window"),
        ("smpp", {"window": 1.5}, "window"),
        ("smpp", {"password": ""}, "password"),
        ("smpp", {"password": 5}, "password"),
        ("smpp", {"password": None}, "password"),
        ("smpp", {"password_file": "/run/secrets/x"}, "password"),
        ("smpp", {"pasword": "hunter2-canary"}, "pasword"),
        ("smpp", {"id_base": "octal"}, "id_base"),
        ("smpp", {"dest_ton": 256}, "dest_ton"),
        ("smpp", {"response_seconds": 0}, "response_seconds"),
        ("smpp", {"temporary_statuses": ["0x58"]}, "temporary_statuses"),
        ("smpp", {"temporary_statuses": [-1]}, "temporary_statuses"),
        ("smpp", {"temporary_statuses": [0]}, "temporary_statuses"),
        ("smpp", {"temporary_statuses": [2**32]}, "temporary_statuses"),
        ("smpp", {"password": "hunter2-canary" * 5}, "password"),
        ("smpp", {"password": "hunter2-пароль"}, "password"),
        ("smpp", {"password": "hunter2\0"}, "password"),
        ("smpp", {"password": None, "password_file": ""}, "password_file"),
        ("smpp", {"system_id": ""}, "system_id"),
        ("smpp", {"system_id": "m" * 65}, "system_id"),
        ("smpp", {"system_id": "мы"}, "system_id"),
        ("smpp", {"system_type": "a\0b"}, "system_type"),
        ("smpp", {"host": "smsc example"}, "host"),
        ("smpp", {"bind": "both"}, "bind"),
        ("smpp", {"receiver": {"port": 1}}, "receiver"),
        ("smpp", {"bind": "transmitter+receiver", "receiver": {"port": 0}}, "receiver.port"),
        ("smpp", {"bind": "transmitter+receiver", "receiver": {"host": "a b"}}, "receiver.host"),
        ("smpp", {"fallback_hosts": ["a b"]}, "fallback_hosts"),
        ("smpp", {"fallback_hosts": ["b:99999"]}, "fallback_hosts"),
        ("smpp", {"fallback_hosts": ["b"] * 9}, "fallback_hosts"),
        ("smpp", {"tls": {"ca_file": ""}}, "tls.ca_file"),
        ("smpp", {"tls": {"key_file": "k.pem"}}, "tls.key_file"),
        ("smpp", {"tls": {"verify": False, "ca_file": "c.pem"}}, "tls.verify"),
        ("smpp", {"tls": {"verfy": True}}, "verfy"),
        ("smpp", {"interface_version": "5.0"}, "interface_version"),
        ("smpp", {"interface_version": "3.3", "concatenation": "sar"}, "concatenation"),
        ("smpp", {"interface_version": "3.3", "concatenation": "payload"}, "concatenation"),
        ("smpp", {"interface_version": "3.3", "tlvs": [{"tag": 9, "value": "x"}]}, "tlvs"),
        ("smpp", {"interface_version": "3.3", "submit_with": "data_sm"}, "submit_with"),
        ("smpp", {"bind_ton": 256}, "bind_ton"),
        ("smpp", {"address_range": "é"}, "address_range"),
        ("smpp", {"ton": {"number": -1}}, "ton.number"),
        ("smpp", {"npi": {"mobile": 1}}, "mobile"),
        ("smpp", {"service_type": "VMAVMA"}, "service_type"),
        ("smpp", {"protocol_id": 256}, "protocol_id"),
        ("smpp", {"priority": {"urgent": 256}}, "priority.urgent"),
        ("smpp", {"priority": {"slow": 1}}, "priority"),
        ("smpp", {"validity": "short"}, "validity"),
        ("smpp", {"alphabet": "utf-8"}, "alphabet"),
        ("smpp", {"data_coding_ucs2": -1}, "data_coding_ucs2"),
        ("smpp", {"tlvs": [{"tag": 0, "value": "x"}]}, "tlvs.tag"),
        ("smpp", {"tlvs": [{"tag": 0x0204, "value": "x"}]}, "tlvs.tag"),
        ("smpp", {"tlvs": [{"tag": 9}]}, "tlvs.value"),
        ("smpp", {"tlvs": [{"tag": 9, "value": "x"}, {"tag": 9, "value": "y"}]}, "tlvs.tag"),
        ("smpp", {"tlvs": [{"tag": 9, "kind": "hex", "value": "hunter2"}]}, "tlvs.value"),
        ("smpp", {"tlvs": [{"tag": 9, "kind": "int8", "value": 256}]}, "tlvs.value"),
        ("smpp", {"tlvs": [{"tag": 9, "kind": "int8", "value": "1"}]}, "tlvs.value"),
        ("smpp", {"tlvs": [{"tag": 9, "by_sender": {"A": "é"}}]}, "tlvs.value"),
        ("smpp", {"receipt_states": {"not ok": "rejected"}}, "receipt_states"),
        ("smpp", {"receipt_states": {"NOK": "lost"}}, "receipt_states"),
        ("smpp", {"receipt_causes": {"1": "gone"}}, "receipt_causes"),
        ("smpp", {"receipt_causes": {"": "flood"}}, "receipt_causes"),
        ("smpp", {"statuses": {"0x0": "halted"}}, "statuses"),
        ("smpp", {"statuses": {"0x14": "later"}}, "statuses"),
        ("smpp", {"host": "smpp://smsc.example"}, "host"),
        ("http", {"url": "ftp://example"}, "url"),
        ("http", {"url": "https://"}, "url"),
        ("http", {"url": "https:///send"}, "url"),
        ("http", {"url": "https://example:70000/"}, "url"),
        ("http", {"url": "https://example:0/"}, "url"),
        ("http", {"url": "https://example:port/"}, "url"),
        ("http", {"url": "https://[::1/"}, "url"),
        ("http", {"headers": {"X Y": "z"}}, "headers.X Y"),
        ("http", {"headers": {"X": "hunter2\r\nY: z"}}, "headers.X"),
        ("http", {"secrets": {"path": "hunter2\n"}, "headers": {"X": "{secret.path}"}}, "headers"),
        ("http", {"connect_seconds": 0}, "connect_seconds"),
        ("http", {"connect_seconds": 3}, "connect_seconds"),
        ("http", {"success_statuses": [99]}, "success_statuses"),
        ("http", {"success_statuses": []}, "success_statuses"),
        ("http", {"callback": {**CALLBACK, "secret": "hunter2"}}, "callback.secret"),
        ("http", {"callback": {**CALLBACK, "states": {}}}, "callback.states"),
        ("http", {"callback": {**CALLBACK, "id_field": ""}}, "id_field"),
        ("http", {"callback": {**CALLBACK, "hmac_header": "a:b"}}, "hmac_header"),
        ("http", {"url": "https://x/{secret.nope}"}, "url"),
        ("http", {"url": "https://x/{nonsense}"}, "url"),
        ("http", {"method": "DELETE"}, "method"),
        ("http", {"headers": {"X-Text": "{text}"}}, "headers.X-Text"),
        ("http", {"body": {"a": [{"b": "{recipent}"}]}}, "body.a.b"),
        ("http", {"body_kind": "form", "body": {"a": {"b": "c"}}}, "body"),
        ("http", {"timeout_seconds": 0}, "timeout_seconds"),
        ("http", {"window": 0}, "window"),
        ("http", {"secrets": {"path": ""}}, "secrets"),
        ("http", {"retries": 3}, "retries"),
        ("http", {"callback": {"auth": "none"}}, "callback"),
    ],
)
def test_settings_are_refused_and_the_field_named_when_wrong(
    key: str, change: dict[str, object], named: str
) -> None:
    good = SMPP if key == "smpp" else HTTP
    values = {name: value for name, value in (good | change).items() if value is not None}
    with pytest.raises(registry.InvalidSettings) as refusal:
        registry.reviewed(key, values)
    assert named in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
