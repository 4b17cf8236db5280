"""Profiles: each makes settings that its adapter takes, and what is given goes over it."""

from __future__ import annotations

import re

import pytest

from shared.carriers import profiles, registry, smpp_settings
from tests.unit.architecture import tree

OF_THE_ACCOUNT = {
    "host": "smsc.example",
    "port": 2775,
    "system_id": "acme",
    "password": "secret",
}


@pytest.mark.parametrize("name", profiles.names())
def test_a_profile_and_what_only_the_account_knows_make_a_carrier(name: str) -> None:
    found = profiles.profile(name)
    assert found.sources
    assert not set(found.needs) & set(found.settings)
    own = {key: OF_THE_ACCOUNT[key] for key in found.needs}
    merged = profiles.settings(found.adapter, name, own)
    decoded = registry.reviewed(found.adapter, merged)
    assert isinstance(decoded, smpp_settings.Settings)
    assert decoded.system_id == "acme"
    for missing in own:
        without = {key: each for key, each in own.items() if key != missing}
        lacking = profiles.settings(found.adapter, name, without)
        with pytest.raises(registry.InvalidSettings, match=missing):
            registry.reviewed(found.adapter, lacking)


def test_what_is_given_goes_over_a_profile_entry_by_entry() -> None:
    given = {"port": 9000, "receipt_causes": {"2": "roaming", "77": "flood"}}
    merged = profiles.settings("smpp", "vonage", given)
    causes = merged["receipt_causes"]
    assert isinstance(causes, dict)
    assert (merged["port"], merged["id_base"]) == (9000, "dec_to_hex")
    assert (causes["2"], causes["3"], causes["77"]) == ("roaming", "unknown_number", "flood")
    # And the profile is as it was
    again = profiles.profile("vonage").settings["receipt_causes"]
    assert isinstance(again, dict)
    assert again["2"] == "unreachable"
    assert profiles.settings("smpp", None, given) is given


@pytest.mark.parametrize(
    ("adapter", "name", "sentence"),
    [
        ("smpp", "vonnage", "there is no profile 'vonnage'; there are 8x8, clicksend, infobip,"),
        ("smpp", "../vonage", "there is no profile '../vonage'"),
        ("http", "vonage", "profile 'vonage' is of the adapter 'smpp', not of 'http'"),
    ],
)
def test_a_wrong_name_is_told_and_what_there_is(adapter: str, name: str, sentence: str) -> None:
    with pytest.raises(profiles.UnknownProfile, match=re.escape(sentence)):
        profiles.settings(adapter, name, {})


def test_the_page_has_each_profile_with_what_it_needs() -> None:
    page = (tree.ROOT / "docs/carriers.md").read_text("utf-8")
    for name in profiles.names():
        found = profiles.profile(name)
        needs = ", ".join(f"`{each}`" for each in found.needs)
        assert f"| `{name}` | {found.carrier} | {needs} |" in page
