"""Who reads a carrier's words: its adapter with its settings, as the configuration now stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import structlog

from shared.carriers import contract, registry, secret
from shared.db import watch
from shared.rules import snapshot
from shared.sms import inbound, receipts

_log = structlog.get_logger()

_Brought = TypeVar("_Brought")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One carrier's adapter, ready to read."""

    carrier_id: int
    name: str
    adapter: registry.Adapter
    settings: msgspec.Struct = field(repr=False)

    def read(self, body: bytes) -> receipts.Receipt | receipts.LateAnswer | None:
        """The receipt, or the answer that came late, in our words; None for garbage."""
        return self.adapter.read_receipt(self.settings, body)

    def admit(
        self, request: contract.CallbackRequest
    ) -> tuple[bytes, ...] | contract.CallbackRefusal | None:
        """The receipts in a call; None when this way of speaking knows no calls."""
        return self._admitted(self.adapter.admit_callback, request)

    def admit_inbound(
        self, request: contract.CallbackRequest
    ) -> tuple[inbound.InboundPart, ...] | contract.CallbackRefusal | None:
        """What phones have sent, in a call; None when this way of speaking knows no calls."""
        return self._admitted(self.adapter.admit_inbound, request)

    def knows_secret(self, path_secret: str) -> bool:
        """Whether a call with this secret in its path is this carrier's."""
        knows = self.adapter.knows_secret
        try:
            return knows is not None and knows(self.settings, path_secret)
        except secret.NotThere as error:
            _log.error("credential_not_there", carrier=self.name, error=str(error))
            return False

    def _admitted(
        self,
        admit: Callable[[msgspec.Struct, contract.CallbackRequest], _Brought] | None,
        request: contract.CallbackRequest,
    ) -> _Brought | contract.CallbackRefusal | None:
        """What a call brings; the carrier is asked to come again where its proof cannot be judged,
        for the secret is not where it should be."""
        try:
            return None if admit is None else admit(self.settings, request)
        except secret.NotThere as error:
            _log.error("credential_not_there", carrier=self.name, error=str(error))
            return contract.CallbackRefusal(503, "calls cannot be judged now")


class Interpreters:
    """All carriers' interpreters; a carrier whose settings do not fit its adapter has none."""

    def __init__(self, configured: watch.Watch) -> None:
        self._configured = configured
        self._adopt(configured.current)

    def of_carrier(self, carrier_id: int) -> Interpreter | None:
        """By number, as receipts name their carrier."""
        self._follow()
        return self._by_id.get(carrier_id)

    def named(self, name: str) -> Interpreter | None:
        """By name, as callbacks do."""
        self._follow()
        return self._by_name.get(name)

    async def learn(self, carrier_ids: Iterable[int]) -> None:
        """Look for carriers that are newer than the configuration at hand: a dispatcher may have
        sent through them already. Raises what an unreachable database raises."""
        self._follow()
        if any(carrier_id not in self._by_id for carrier_id in carrier_ids):
            await self._configured.refresh()

    def _follow(self) -> None:
        if self._configured.current is not self._adopted:
            self._adopt(self._configured.current)

    def _adopt(self, current: snapshot.Configuration) -> None:
        self._adopted = current
        self._by_id: dict[int, Interpreter] = {}
        self._by_name: dict[str, Interpreter] = {}
        for carrier in current.carriers.values():
            try:
                settings = registry.settings(carrier.adapter, carrier.settings)
            except (registry.UnknownAdapter, registry.InvalidSettings) as error:
                _log.error("carrier_not_understood", carrier=carrier.name, error=str(error))
                continue
            interpreter = Interpreter(
                carrier.carrier_id, carrier.name, registry.adapter(carrier.adapter), settings
            )
            self._by_id[carrier.carrier_id] = interpreter
            self._by_name[carrier.name] = interpreter
