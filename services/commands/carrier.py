"""`sluice carrier`: what carriers are set to, what they say when asked, and a test through one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import cyclopts
import msgspec
import rich.console
import rich.markup
import rich.table
from msgspec import NODEFAULT, Meta

from services.commands import billed, database, probe
from services.commands.arguments import Json
from services.commands.tokens import Key
from shared.access.keys import Keys
from shared.access.vault import NotReadable, Vault
from shared.carriers import credentials, findings, registry, secret
from shared.carriers.findings import CheckFinding, FindingWeight
from shared.db import carrier_settings
from shared.db.carrier_settings import StoredSettings
from shared.runtime import exits, settings

app = cyclopts.App(
    name="carrier", help="Carriers: what they are set to, what they answer, a test through one."
)
app.command(probe.run, name="probe")
app.command(billed.run, name="billed")

_SIGNS: Final = {FindingWeight.GOOD: "ok", FindingWeight.NOTE: "note", FindingWeight.BAD: "WRONG"}


class OpeningKey(settings.Variables, frozen=True, kw_only=True):
    """What a command reads that may open carriers' credentials."""

    secret_key: Annotated[
        str,
        Meta(description="Opens credentials; if not set, those that are sealed stay closed."),
    ] = ""

    def __post_init__(self) -> None:
        if self.secret_key:
            Keys.read(self.secret_key)


@app.command(name="list")
async def show_all(*, as_json: Json = False) -> int:
    """List the carriers, and how the credentials of each are kept.

    sealed: under the first key of SLUICE_SECRET_KEY. old key: under another of its keys, which is
    still needed. closed: under none of its keys, or it is not set. clear: as they are, until dlr or
    `sluice apply` seals them. outside: in a file or a variable.

    Example: sluice carrier list
    """
    async with database.connected() as connection:
        stored = await carrier_settings.read(connection)
    vault = _vault()
    shown = [
        {"name": each.name, "adapter": each.adapter, "credentials": _kept(each, vault)}
        for each in stored
    ]
    if as_json:
        print(json.dumps(shown))
        return exits.OK
    table = rich.table.Table("name", "adapter", "credentials", box=None)
    for row in shown:
        table.add_row(row["name"], row["adapter"], row["credentials"])
    rich.console.Console(highlight=False).print(table)
    return exits.OK


@app.command
async def show(name: str, /, *, as_json: Json = False) -> int:
    """Show the settings of a carrier as they are in force; credentials are hidden.

    What the file of `sluice apply` did not say is marked as a default.

    Example: sluice carrier show acme

    Parameters
    ----------
    name
        The carrier's name.
    as_json
        Print {"name", "adapter", "credentials", "settings", "defaults"}.
    """
    stored = await _stored(name)
    kind = _adapter(stored).settings_type
    given, defaults = credentials.masked(kind, stored.settings), _defaults(kind, stored.settings)
    head = {"name": name, "adapter": stored.adapter, "credentials": _kept(stored, _vault())}
    if as_json:
        print(json.dumps({**head, "settings": given, "defaults": defaults}))
        return exits.OK
    table = rich.table.Table("setting", "value", "", box=None)
    for setting, value in {**head, **given}.items():
        table.add_row(setting, rich.markup.escape(_told(value)), "")
    for setting, value in defaults.items():
        table.add_row(setting, rich.markup.escape(_told(value)), "default")
    rich.console.Console(highlight=False).print(table)
    return exits.OK


@app.command
async def check(name: str, /, *, as_json: Json = False) -> int:
    """Ask a carrier whether it lets us in, and say what it answers; nothing is sent.

    SMPP: binds as the settings say and leaves again, which takes one of the account's binds for a
    moment: where dispatchers hold all of them, the carrier may refuse it. HTTP: connects, and makes
    a harmless request where the settings name one. Run it where the dispatcher runs: carriers know
    addresses. Exit status 1: something is wrong, and which settings look so.

    Example: sluice carrier check acme

    Parameters
    ----------
    name
        The carrier's name.
    as_json
        Print {"name", "adapter", "ok", "seconds", "findings": [{"weight", "said", "settings"}]}.
    """
    stored = await _stored(name)
    began = time.monotonic()
    found = await _found(stored)
    seconds = round(time.monotonic() - began, 3)
    is_ok = all(each.weight is not FindingWeight.BAD for each in found)
    if as_json:
        told = {"name": name, "adapter": stored.adapter, "ok": is_ok, "seconds": seconds}
        print(json.dumps({**told, "findings": msgspec.to_builtins(found)}))
    else:
        for each in found:
            which = f"  (look at {', '.join(each.settings)})" if each.settings else ""
            print(f"{_SIGNS[each.weight]:<5} {each.said}{which}")
    return exits.OK if is_ok else exits.FAILED


async def _found(stored: StoredSettings) -> tuple[CheckFinding, ...]:
    adapter = _adapter(stored)
    if credentials.has_sealed(stored.settings):
        registry.use_keys(Keys.read(settings.load(Key).secret_key))
    try:
        decoded = registry.reviewed(stored.adapter, stored.settings)
        if adapter.check is None:
            return (findings.note(f"there is no way to ask a carrier of adapter {adapter.key}"),)
        async with asyncio.timeout(findings.CHECK_SECONDS):
            return await adapter.check(decoded)
    except registry.InvalidSettings as error:
        return (findings.bad(f"the settings do not fit: {error}"),)
    except secret.NotThere as error:
        return (findings.bad(f"a credential is missing here: {error}"),)
    except FileNotFoundError as error:
        return (findings.bad(f"a file of the settings is missing here: {error.filename}"),)
    except TimeoutError:
        return (findings.bad(f"the carrier was not done within {findings.CHECK_SECONDS:.0f} s"),)


async def _stored(name: str) -> StoredSettings:
    async with database.connected() as connection:
        every = await carrier_settings.read(connection)
    for each in every:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in every) or "none"
    raise exits.NotDone(exits.BAD_INPUT, f"there is no carrier {name!r}, but {known}")


def _adapter(stored: StoredSettings) -> registry.Adapter:
    try:
        return registry.adapter(stored.adapter)
    except registry.UnknownAdapter as error:
        raise exits.NotDone(exits.FAILED, str(error)) from None


def _vault() -> Vault | None:
    written = settings.load(OpeningKey).secret_key
    return Vault(Keys.read(written)) if written else None


def _kept(stored: StoredSettings, vault: Vault | None) -> str:
    """How a carrier's credentials are kept, the worst first."""
    try:
        kind = registry.adapter(stored.adapter).settings_type
    except registry.UnknownAdapter:
        return "unknown"
    if credentials.literals(kind, stored.settings):
        return "clear"
    if credentials.has_sealed(stored.settings):
        if vault is None:
            return "closed"
        try:
            is_first = credentials.sealed(kind, stored.settings, vault) == stored.settings
        except NotReadable:
            return "closed"
        return "sealed" if is_first else "old key"
    return "outside" if credentials.has_places(kind, stored.settings) else "none"


def _defaults(kind: type[msgspec.Struct], given: Mapping[str, object]) -> dict[str, Any]:
    """The settings that are not given and have a value all the same."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        made = field.default_factory() if field.default_factory is not NODEFAULT else field.default
        if field.encode_name not in given and made not in (NODEFAULT, None):
            values[field.encode_name] = made
    told: dict[str, Any] = msgspec.to_builtins(values)
    return told


def _told(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
