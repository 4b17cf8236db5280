"""Who may import whom: one line a room, no circles, and the pure rooms pure."""

from __future__ import annotations

import ast
import sys
from graphlib import TopologicalSorter

import pytest

from tests.unit.architecture import tree

_FACES = {
    "access",
    "broker",
    "db",
    "ledger",
    "limits",
    "payments",
    "rules",
    "runtime",
    "shapes",
    "sms",
    "web",
}

# What each room may import besides itself, as rooms of shared unless it is written out. A new arrow
# is a decision: is the thing in the right room?
ALLOWED = {
    "services.__main__": {"services.commands", "runtime"},
    "services.commands": {
        "access",
        "carriers",
        "db",
        "invoices",
        "ledger",
        "limits",
        "rules",
        "runtime",
        "shapes",
        "sms",
    },
    "services.ingest": _FACES | {"invoices"},
    "services.dispatcher": {
        "access",
        "broker",
        "carriers",
        "db",
        "limits",
        "rules",
        "runtime",
        "sms",
        "web",
    },
    "services.dlr": {"access", "broker", "carriers", "db", "rules", "runtime", "sms", "web"},
    "services.webhooks": {"access", "db", "rules", "runtime", "shapes", "web"},
    "services.simulator": {"runtime", "smpp", "sms"},
    "shared.carriers": {"access", "runtime", "smpp", "sms"},
    "shared.payments": {"ledger"},
    "shared.shapes": {"db", "ledger", "limits", "rules", "sms"},
    "shared.invoices": {"ledger"},
    "shared.limits": {"shared.broker.envelopes", "db", "rules", "runtime"},
    "shared.db": {"access", "ledger", "rules", "runtime", "sms"},
    "shared.broker": {"runtime", "sms"},
    "shared.smpp": set(),
    "shared.rules": {"ledger", "sms"},
    "shared.sms": set(),
    "shared.ledger": {"sms"},
    "shared.access": set(),
    "shared.web": {"rules", "runtime"},
    "shared.runtime": set(),
    "deploy.local": set(),
}
PURE = ("shared.sms", "shared.ledger", "shared.rules", "shared.access")
PRODUCT = tree.trees("services", "shared")
LAUNCHERS = tree.trees("deploy/local")
TESTS = tree.trees("tests")
# Test files whose helpers other test files use; they wait to be moved into files of their own.
HELPFUL_TESTS = {
    "tests.integration.dlr.test_doubts",
}


def allowed(room: str) -> set[str]:
    return {name if "." in name else f"shared.{name}" for name in ALLOWED[room]} | {room}


def is_below(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    of_room = {
        module: parsed
        for module, parsed in (PRODUCT | LAUNCHERS).items()
        if tree.room_of(module) == room
    }
    assert of_room, f"there is no room {room}"
    outside = [
        f"{module} imports {target}"
        for module, parsed in of_room.items()
        for target in sorted(tree.imported(parsed, PRODUCT | LAUNCHERS | TESTS))
        if not is_below(target, allowed(room))
    ]
    assert outside == []


def test_each_room_has_its_line() -> None:
    rooms = {tree.room_of(module) for module in PRODUCT} - {"services", "shared"}
    assert rooms | {"deploy.local"} == ALLOWED.keys()


def test_arrows_between_rooms_go_down_the_page_only() -> None:
    # Given the rooms in the order of the page, the top floor first
    page = (tree.ROOT / "ARCHITECTURE.md").read_text("utf-8")
    stands_at = {
        room: page.index(f"    {room.replace('.', '/')}" + ("/" if "__" not in room else ".py"))
        for room in ALLOWED
    }

    # Then whatever a room may import stands further down
    for room in ALLOWED:
        for target in {tree.room_of(one) for one in allowed(room)} - {room}:
            assert stands_at[target] > stands_at[room], f"{target} stands above {room}"


def test_nothing_imports_in_circles() -> None:
    every = PRODUCT | LAUNCHERS
    graph = {
        module: tree.imported(parsed, every) - {module, *_packages(module)}
        for module, parsed in every.items()
    }
    TopologicalSorter(graph).prepare()


def _packages(module: str) -> set[str]:
    words = module.split(".")
    return {".".join(words[:length]) for length in range(1, len(words))}


def test_pure_rooms_and_launchers_need_nothing_that_is_installed() -> None:
    standard = set(sys.stdlib_module_names)
    for module, parsed in (PRODUCT | LAUNCHERS).items():
        pure = tree.room_of(module) in PURE
        if pure or module in LAUNCHERS:
            outside = {target.split(".")[0] for target in tree.imports_of(parsed)} - standard
            computing = {"shared", "phonenumbers", "cryptography", "argon2"}
            assert outside <= (computing if pure else {"deploy"}), module
        if pure:
            waits = [node for node in ast.walk(parsed) if isinstance(node, ast.AsyncFunctionDef)]
            assert waits == [], f"{module} is async"


def test_one_room_alone_speaks_amqp() -> None:
    speakers = {
        module
        for module, parsed in PRODUCT.items()
        if {target.split(".")[0] for target in tree.imports_of(parsed)} & {"aio_pika", "aiormq"}
    }
    assert {tree.room_of(module) for module in speakers} == {"shared.broker"}


def test_the_core_of_ingest_knows_no_face() -> None:
    faces = {
        f"services.ingest.{name}" for name in ("native", "aircall", "mailjet", "payments", "web")
    }
    knowing = [
        f"{module} imports {target}"
        for module, parsed in PRODUCT.items()
        if module.startswith("services.ingest.") and not is_below(module, faces)
        for target in tree.imported(parsed, PRODUCT)
        if is_below(target, faces) and module != "services.ingest.app"
    ]
    assert knowing == []


def test_the_faces_of_ingest_do_not_know_each_other() -> None:
    faces = (
        "services.ingest.native",
        "services.ingest.aircall",
        "services.ingest.mailjet",
        "services.ingest.payments",
    )
    knowing = [
        f"{module} imports {target}"
        for module, parsed in PRODUCT.items()
        for face in faces
        if is_below(module, {face})
        for target in tree.imported(parsed, PRODUCT)
        if is_below(target, {*faces} - {face})
    ]
    assert knowing == []


def test_adapters_are_named_nowhere_else() -> None:
    adapters = {module for module in PRODUCT if module.startswith("shared.carriers.adapters.")}
    assert len(adapters) >= 2
    named = [
        f"{module} imports {target}"
        for module, parsed in PRODUCT.items()
        for target in tree.imports_of(parsed)
        if target in adapters and module != target
    ]
    assert named == []


def test_one_file_alone_speaks_to_the_provider_of_card_payments() -> None:
    # Given the files that import its library, or an adapter
    speaking = {
        module
        for module, parsed in PRODUCT.items()
        for target in tree.imports_of(parsed)
        if target.split(".")[0] == "stripe" or target.startswith("shared.payments.adapters.")
    }
    assert speaking == {"shared.payments.adapters.stripe"}


def test_no_test_leans_on_another() -> None:
    leaning = {
        target
        for module, parsed in TESTS.items()
        for target in tree.imported(parsed, TESTS)
        if target != module and target.rpartition(".")[2].startswith("test_")
    }
    assert leaning == HELPFUL_TESTS
