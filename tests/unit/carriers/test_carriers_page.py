"""The page on SMPP carriers and the settings it describes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest

from shared.carriers import profiles, registry, smpp_receipts, smpp_settings, smpp_tlvs
from shared.sms import causes, inbound, repertoires
from tests.unit.architecture import tree

PAGE = (tree.ROOT / "docs/carriers.md").read_text("utf-8")


def fields() -> Iterator[str]:
    for each in (
        smpp_settings.Settings,
        smpp_settings.Tls,
        smpp_settings.ReceiverAccount,
        smpp_settings.PerSender,
        smpp_tlvs.OwnTlv,
    ):
        yield from each.__struct_fields__


@pytest.mark.parametrize("field", sorted(set(fields())))
def test_each_setting_is_on_the_page(field: str) -> None:
    assert re.search(rf"`(tls\.)?{field}\b", PAGE)


@pytest.mark.parametrize(
    "words",
    [
        smpp_settings.Binds,
        smpp_settings.InterfaceVersion,
        repertoires.Alphabet,
        smpp_settings.Concatenation,
        smpp_settings.Validity,
        smpp_settings.SubmitWith,
        smpp_tlvs.TlvKind,
        smpp_receipts.IdBase,
        inbound.DefaultAlphabet,
    ],
)
def test_each_word_a_setting_takes_is_on_the_page(words: object) -> None:
    assert [word for word in get_args(words) if f'"{word}"' not in PAGE] == []


def test_each_cause_is_on_the_page_with_its_sentence() -> None:
    for cause, sentence in causes.SENTENCES.items():
        assert f"| `{cause.value}` | {sentence} |" in PAGE


def test_the_defaults_in_the_tables_are_those_of_the_settings() -> None:
    usual = {
        each.encode_name: each.default
        for each in msgspec.structs.fields(smpp_settings.Settings)
        if each.default is not msgspec.NODEFAULT
    }
    rows = re.findall(r"^\| `(\w+)` \| `?([^`|]+?)`? \| [^|]+ \|$", PAGE, re.MULTILINE)
    told = {name: said for name, said in rows if name in usual and said != "none"}
    assert len(told) >= 15
    spelt = {True: "true", False: "false"}
    for name, said in told.items():
        value = usual[name]
        if isinstance(value, bool):
            assert said == spelt[value], name
        elif isinstance(value, str):
            assert said == f'"{value}"', name
        elif isinstance(value, int | float):
            assert float(said) == value, name


def test_each_example_on_the_page_is_taken() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    whole = {"host": "smsc.example", "port": 2775, "system_id": "acme", "password": "secret"}
    for block in blocks:
        # What is shown alone stands in a carrier's table.
        read = tomllib.loads(block if "[[carrier" in block else "[[carrier]]\n" + block)
        entry = read["carrier"]
        [said] = entry if isinstance(entry, list) else [entry]
        for common in ("name", "adapter"):
            said.pop(common, None)
        said.pop("password_file", None)
        own = profiles.settings("smpp", said.pop("profile", None), said)
        registry.reviewed("smpp", {**whole, **own})
