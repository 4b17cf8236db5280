"""Which adapters there are: a file in `adapters` is one, and its name is the provider's."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import cast

from shared.payments import adapters
from shared.payments.contract import Provider, ProviderMeans


def names() -> list[str]:
    """The providers there are."""
    return sorted(module.name for module in pkgutil.iter_modules(adapters.__path__))


def open_provider(name: str, means: ProviderMeans) -> Provider:
    """The adapter of this name; its library is loaded now and not before. Raises ValueError."""
    if name not in names():
        raise ValueError(f"expected one of {', '.join(names())}")
    module = importlib.import_module(f"{adapters.__name__}.{name}")
    make = cast(Callable[[ProviderMeans], Provider], module.OPEN)
    return make(means)
