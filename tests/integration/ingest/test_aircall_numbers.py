"""The Aircall-shaped API: who comes in, what it says of numbers, and whom these serve."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.integration.ingest import desk as desks
from tests.integration.ingest.desk import CA, CA_TOLL_FREE, FR, GB, US, Desk
from tests.integration.ingest.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "https://crm.example.com/aircall/cb"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(town: World) -> Desk:
    return await desks.opened(town, "desk")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbour(town: World) -> Desk:
    return await desks.opened(town, "neighbour")


# Who comes in ------------------------------------------------------------------------------------


async def test_id_and_token_come_in_and_nothing_else_does(town: World, desk: Desk) -> None:
    assert (await desk.ask("GET", "/v1/ping")).body == {"ping": "pong"}
    nobody = await desks.call(town, "GET", "/v1/ping")
    assert (nobody.status, nobody.body) == (401, {"message": "Unauthorized"})
    for wrong in (
        desks.basic(desk.token_id, "slu_wrong"),
        desks.basic(desk.token_id + 1, desk.token),
        desks.basic("nobody", desk.token),
        f"Bearer {desk.token}",
        "Basic !!!",
        "Basic YQ==",
    ):
        refused = await desks.call(town, "GET", "/v1/ping", headers={"Authorization": wrong})
        assert (refused.status, refused.body) == (403, {"message": "Forbidden"}), wrong


async def test_the_native_api_takes_no_basic_credentials(town: World, desk: Desk) -> None:
    # Given credentials that have just been believed here
    assert (await desk.ask("GET", "/v1/ping")).status == 200
    headers = {"Authorization": desk.authorization}
    async with town.client.get("/v1/balance", headers=headers) as answer:
        assert answer.status == 401


async def test_a15_sixty_requests_a_minute_over_all_endpoints_and_faces(town: World) -> None:
    # Given an account with the default, which has asked for different things by both APIs
    hasty = await desks.opened(town, "sixty", requests_per_minute=60)
    paths = ("/v1/ping", "/v1/company", "/v1/numbers", "/v1/numbers/0", "/v1/nowhere")
    statuses = [(await hasty.ask("GET", paths[turn % 4])).status for turn in range(59)]
    assert set(statuses) == {200, 404}
    ordinary = await hasty.ask("GET", "/v1/ping")
    assert ordinary.status == 200
    assert not [name for name in ordinary.headers if name.lower().startswith("x-aircallapi")]

    # When it asks for the 61st time, by either of them
    refused = await hasty.ask("GET", "/v1/ping")
    async with town.client.get("/v1/balance", headers=town.bearer("sixty")) as native:
        assert native.status == 429

    # Then it is told when to come back, in the headers that clients know
    assert refused.status == 429
    assert refused.body["key"] == refused.body["error"] == "TooManyRequests"
    wait_seconds = int(refused.headers["Retry-After"])
    assert 1 <= wait_seconds <= 61
    assert refused.headers["X-AircallApi-Limit"] == "60"
    assert refused.headers["X-AircallApi-Remaining"] == "0"
    assert int(refused.headers["X-AircallApi-Reset"]) > 1_700_000_000


async def test_errors_have_a_key_and_words_and_are_counted(town: World, desk: Desk) -> None:
    for method, path, status, key in (
        ("GET", "/v1/nowhere", 404, "NotFound"),
        ("POST", "/v1/ping", 405, "MethodNotAllowed"),
        ("GET", "/v1/numbers?per_page=51", 400, "InvalidPayload"),
        ("GET", "/v1/numbers?page=0", 400, "InvalidPayload"),
    ):
        answer = await desk.ask(method, path)
        assert (answer.status, answer.body["key"], answer.body["error"]) == (status, key, key)
        assert answer.body["message"].endswith(".")
    async with town.client.get(f"http://127.0.0.1:{town.metrics_port}/metrics") as metrics:
        text = await metrics.text()
    assert 'sluice_ingest_refused_total{code="no_such_path"}' in text
    assert "GET /aircall/v1/numbers/{id}" in text or "GET /aircall/v1/numbers" in text


# Numbers -----------------------------------------------------------------------------------------


async def test_numbers_are_listed_page_by_page_with_full_links(town: World, desk: Desk) -> None:
    root = f"http://127.0.0.1:{town.port}{desks.PREFIX}"
    first = (await desk.ask("GET", "/v1/numbers?per_page=5")).body
    assert first["meta"] == {
        "count": 5,
        "total": len(desks.NUMBERS),
        "current_page": 1,
        "per_page": 5,
        "next_page_link": f"{root}/v1/numbers?page=2&per_page=5",
        "previous_page_link": None,
    }
    last = (await desk.ask("GET", "/v1/numbers?page=2&per_page=5")).body
    assert last["meta"]["next_page_link"] is None
    assert last["meta"]["previous_page_link"] == f"{root}/v1/numbers?page=1&per_page=5"
    listed = [each["id"] for each in first["numbers"] + last["numbers"]]
    assert listed == sorted(desk.ids[sender] for sender in desks.NUMBERS)
    assert (await desk.ask("GET", "/v1/company")).body == {
        "company": {"name": "desk", "users_count": 0, "numbers_count": len(desks.NUMBERS)}
    }


async def test_a10_a_configured_number_still_makes_and_takes_calls(town: World, desk: Desk) -> None:
    # Given what is said of a number that serves the application
    path = f"/v1/numbers/{desk.ids[US]}"
    before = (await desk.ask("GET", path)).body
    shown = before["number"]
    assert shown["direct_link"] == f"http://127.0.0.1:{town.port}{desks.PREFIX}{path}"
    assert (shown["name"], shown["digits"]) == ("Desk", "+1 415-555-0100")
    assert (shown["country"], shown["time_zone"]) == ("US", "America/New_York")
    assert shown["open"] is True
    assert (shown["availability_status"], shown["live_recording_activated"]) == ("open", False)

    # When it is configured for the API
    assert (await desk.configure(US)).status == 200

    # Then nothing is different about its calls
    assert (await desk.ask("GET", path)).body == before
    assert (await desk.release(US)).status == 204


async def test_unknown_and_foreign_numbers_are_not_there_alike(desk: Desk, neighbour: Desk) -> None:
    # Given another account's number, one that never was, a line that is no number, and no id
    strangers = (neighbour.ids[US], 2_000_000_000, desk.ids["Sluice"], "x", "%00", 10**30)
    for method, ending, body in (
        ("GET", "", None),
        ("GET", "/registration_status", None),
        ("GET", "/messages/configuration", None),
        ("POST", "/messages/configuration", {}),
        ("DELETE", "/messages/configuration", None),
        ("POST", "/messages/send", {"to": CA, "body": "x"}),
        ("POST", "/messages/native/send", {"to": CA, "body": "x"}),
    ):
        told = [await desk.ask(method, f"/v1/numbers/{each}{ending}", body) for each in strangers]
        assert {each.status for each in told} == {404}
        assert all(each.body == told[0].body for each in told)


async def test_a07_the_declared_use_case_is_on_record(town: World, desk: Desk) -> None:
    lines = (await town.get("desk", "/v1/lines?limit=200"))["lines"]
    assert {each["sender"]: each["use_case"] for each in lines}[FR] == "appointments"


async def test_registration_is_told(desk: Desk) -> None:
    async def status(sender: str) -> tuple[object, ...]:
        answer = await desk.ask("GET", f"/v1/numbers/{desk.ids[sender]}/registration_status")
        told = answer.body["registration_status"]
        return told["type"], told["status"], told["registered"], told["brand"]

    assert await status(US) == ("10dlc", "approved", True, "B1")
    assert await status(CA_TOLL_FREE) == ("toll_free", "rejected", False, None)
    assert await status(FR) == (None, "none", False, None)


# Configurations ----------------------------------------------------------------------------------


async def test_a_number_is_configured_and_its_token_stays_until_it_is_not(desk: Desk) -> None:
    path = f"/v1/numbers/{desk.ids[GB]}/messages/configuration"
    assert (await desk.ask("GET", path)).status == 404
    made = await desk.configure(GB, {"callbackUrl": URL, "type": "Public Api"})
    assert made.status == 200
    assert made.body["callbackUrl"] == URL
    assert made.body["type"] == "Public Api"
    assert (await desk.ask("GET", path)).body == made.body

    # When it is configured again, the token is the same; once it is deleted, another
    again = await desk.configure(GB)
    assert again.body == {**made.body, "callbackUrl": None}
    assert (await desk.release(GB)).status == 204
    assert (await desk.release(GB)).status == 404
    assert (await desk.configure(GB, {})).body["token"] != made.body["token"]
    await desk.release(GB)


async def test_a_callback_url_leads_to_the_public_internet(desk: Desk) -> None:
    for url in ("http://crm.example.com/", "https://127.0.0.1/", "https://10.0.0.1/", "x", ""):
        refused = await desk.configure(GB, {"callbackUrl": url})
        assert (refused.status, refused.body["key"]) == (400, "InvalidPayload"), url
    assert (await desk.configure(GB, {"callbackURL": URL})).status == 400
    assert (
        await desk.ask("GET", f"/v1/numbers/{desk.ids[GB]}/messages/configuration")
    ).status == 404


async def test_a08_a_number_without_messages_cannot_be_configured(desk: Desk) -> None:
    refused = await desk.configure(desks.SILENT)
    assert (refused.status, refused.body["key"]) == (403, "Forbidden")
    assert "SMS" in refused.body["message"]


@pytest.mark.parametrize(
    ("sender", "status"),
    [
        (desks.US_UNREGISTERED, 403),
        (desks.US_TOLL_FREE, 403),
        (CA_TOLL_FREE, 403),
        (US, 200),
        (CA, 200),
        (FR, 200),
    ],
)
async def test_a12_only_a_fully_registered_number_is_configured(
    desk: Desk, sender: str, status: int
) -> None:
    answer = await desk.configure(sender)
    assert answer.status == status
    if status == 200:
        await desk.release(sender)
    else:
        assert "registered" in answer.body["message"]


async def test_a22_other_plans_than_professional_are_refused(town: World) -> None:
    small = await desks.opened(town, "small", plan="essentials")
    for answer in (
        await small.configure(US),
        await small.send(US, CA, "hello"),
        await small.ask(
            "POST", f"/v1/numbers/{small.ids[US]}/messages/native/send", {"to": CA, "body": "x"}
        ),
    ):
        assert (answer.status, answer.body["key"]) == (403, "Forbidden")
        assert "Professional" in answer.body["message"]
    assert (await small.ask("GET", "/v1/numbers")).status == 200
