"""`sluice carrier` beside a running platform: a check takes nothing from it, a probe goes through
the carrier that it names."""

from __future__ import annotations

import asyncio
import json

from tests import fleet

TO_WEB, TO_SMPP = "+33612345771", "+447400123772"


async def test_a_probe_goes_through_its_carrier_whatever_routes_say(platform: fleet.Fleet) -> None:
    # Given that France goes by SMPP and Great Britain by HTTP, When each is probed to the other's
    for carrier, to in (("web", TO_WEB), ("practice", TO_SMPP)):
        probed = await asyncio.to_thread(
            platform.sluice, "carrier", "probe", carrier, "--to", to, "--account", "shop", "--json"
        )
        # Then it is delivered by the carrier that was named
        trace = json.loads(probed.stdout)
        assert trace["route"]["carrier"] == carrier
        assert trace["message"]["status"] == "delivered"
        (submit,) = [entry for entry in platform.journal() if entry["recipient"] == to]
        assert submit["whole"].startswith(f"Test of the carrier {carrier} at ")


async def test_a_probe_that_is_not_delivered_says_so(platform: fleet.Fleet) -> None:
    refused = await asyncio.to_thread(
        platform.sluice, "carrier", "probe", "web", "--to", "+33", "--account", "shop", check=False
    )
    unnamed = await asyncio.to_thread(
        platform.sluice, "carrier", "probe", "web", "--to", TO_WEB, check=False
    )
    nobody = await asyncio.to_thread(
        platform.sluice,
        *("carrier", "probe", "none", "--to", TO_WEB, "--account", "shop"),
        check=False,
    )
    assert (refused.returncode, unnamed.returncode, nobody.returncode) == (1, 2, 2)
    assert "refused: invalid_recipient" in refused.stderr
    assert "--account" in unnamed.stderr
    assert "there is no carrier 'none'" in nobody.stderr


async def test_carriers_in_use_can_be_checked(platform: fleet.Fleet) -> None:
    for carrier in ("web", "practice"):
        checked = await asyncio.to_thread(platform.sluice, "carrier", "check", carrier)
        assert checked.stdout.startswith("ok")
    listed = await asyncio.to_thread(platform.sluice, "carrier", "list", "--json")
    assert {row["credentials"] for row in json.loads(listed.stdout)} == {"sealed"}
