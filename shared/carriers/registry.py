"""Which adapters there are: a file in `adapters` is one, and its name is the key."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import msgspec

from shared.access.keys import Keys
from shared.access.vault import NotReadable, Vault
from shared.carriers import adapters, contract, credentials, findings, secret
from shared.sms import inbound, receipts

_KEY = re.compile(r"[a-z][a-z0-9_]*")


class UnknownAdapter(LookupError):
    """No adapter has this name."""


class InvalidSettings(ValueError):
    """A carrier's settings do not fit its adapter; the sentence names the field, never a value."""


class _Opening:
    """What opens credentials in this process; None: nothing does."""

    vault: Vault | None = None


def use_keys(platform: Keys) -> None:
    """Let `settings` open what is sealed under these keys, from now on, in the whole process."""
    _Opening.vault = Vault(platform)


@dataclass(frozen=True, slots=True)
class Adapter:
    """One way of speaking, as `contract` describes it; what may be None is optional."""

    key: str
    settings_type: type[msgspec.Struct]
    open_link: Callable[
        [str, msgspec.Struct, contract.ReceiptSink, contract.InboundSink], contract.Link
    ]
    read_receipt: Callable[[msgspec.Struct, bytes], receipts.Receipt | receipts.LateAnswer | None]
    admit_callback: (
        Callable[
            [msgspec.Struct, contract.CallbackRequest],
            tuple[bytes, ...] | contract.CallbackRefusal,
        ]
        | None
    )
    admit_inbound: (
        Callable[
            [msgspec.Struct, contract.CallbackRequest],
            tuple[inbound.InboundPart, ...] | contract.CallbackRefusal,
        ]
        | None
    )
    knows_secret: Callable[[msgspec.Struct, str], bool] | None
    review: Callable[[msgspec.Struct], None] | None
    check: (
        Callable[[msgspec.Struct], Coroutine[None, None, tuple[findings.CheckFinding, ...]]] | None
    )


def adapter(key: str) -> Adapter:
    """The adapter of this name. Raises UnknownAdapter."""
    if not _KEY.fullmatch(key):
        raise UnknownAdapter(f"an adapter's name is of a-z, 0-9 and _, not {key[:40]!r}")
    path = f"{adapters.__name__}.{key}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        raise UnknownAdapter(f"there is no adapter named {key!r}") from None
    return _checked(key, module)


def settings(key: str, values: Mapping[str, object]) -> msgspec.Struct:
    """A carrier's settings, opened and decoded strictly. A credential that a file or a variable
    holds is read when it is used. Raises UnknownAdapter and InvalidSettings."""
    chosen = adapter(key)
    try:
        plain = credentials.placed(chosen.settings_type, credentials.opened(values, _Opening.vault))
        return msgspec.convert(plain, chosen.settings_type, dec_hook=_conceal)
    except NotReadable:
        raise InvalidSettings(f"{key}: no key of SLUICE_SECRET_KEY opens its credentials") from None
    except ValueError as error:
        raise InvalidSettings(f"{key}: {error}") from None


def alike(first: Mapping[str, object], second: Mapping[str, object]) -> bool:
    """Whether two stored settings say the same, under whichever keys they are sealed."""
    try:
        return first == second or credentials.opened(first, _Opening.vault) == credentials.opened(
            second, _Opening.vault
        )
    except NotReadable:
        return False


def reviewed(key: str, values: Mapping[str, object]) -> msgspec.Struct:
    """`settings`, for a carrier that is being set up: what only older carriers may still have is
    refused too. Raises UnknownAdapter and InvalidSettings."""
    decoded = settings(key, values)
    review = adapter(key).review
    try:
        if review is not None:
            review(decoded)
    except ValueError as error:
        raise InvalidSettings(f"{key}: {error}") from None
    return decoded


def _checked(key: str, module: ModuleType) -> Adapter:
    return Adapter(
        key=key,
        settings_type=module.Settings,
        open_link=partial(_opened, module),
        read_receipt=module.read_receipt,
        admit_callback=getattr(module, "admit_callback", None),
        admit_inbound=getattr(module, "admit_inbound", None),
        knows_secret=getattr(module, "knows_secret", None),
        review=getattr(module, "review", None),
        check=getattr(module, "check", None),
    )


def _opened(
    module: ModuleType,
    carrier: str,
    settings: msgspec.Struct,
    on_receipt: contract.ReceiptSink,
    on_inbound: contract.InboundSink,
) -> contract.Link:
    """A link all of whose credentials are at hand. Raises secret.NotThere, and what the adapter
    does."""
    credentials.reveal_all(settings)
    link: contract.Link = module.open_link(carrier, settings, on_receipt, on_inbound)
    return link


def _conceal(wanted: type, value: object) -> object:
    if wanted is object:  # Part of a template, which may be anything.
        return value
    if wanted is secret.Secret:
        return credentials.read(value)
    raise ValueError(f"a {wanted.__name__} is nothing that settings hold")
