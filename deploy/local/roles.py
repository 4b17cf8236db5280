"""The processes behind ./run, as data: what each is called, told and asked."""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local import checkout, kept, place, processes

_READY_SECONDS = 60.0
_READY_TRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Role:
    """One `sluice NAME` process. `health` is the variable of the port that tells its health."""

    name: str
    health: str
    # The simulator goes last, so that what is in flight still gets its answers.
    stops_last: bool = False


ROLES = (
    Role("simulator", "SLUICE_SIMULATOR_HTTP_PORT", stops_last=True),
    Role("dlr", "SLUICE_DLR_PORT"),
    Role("dispatcher", "SLUICE_METRICS_PORT"),
    Role("ingest", "SLUICE_INGEST_PORT"),
    Role("webhooks", "SLUICE_METRICS_PORT"),
)

_PORTS = {
    "SLUICE_INGEST_PORT": "ingest",
    "SLUICE_DLR_PORT": "dlr",
    "SLUICE_SIMULATOR_HTTP_PORT": "simulator",
    "SLUICE_SIMULATOR_SMPP_PORT": "simulator_smpp",
}


def _eight_characters() -> str:
    """A password; SMPP has no room for more."""
    return secrets.token_urlsafe(6)


def settings(where: place.Place, urls: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that all roles and the `sluice` command share."""
    ports = {variable: str(where.port(name)) for variable, name in _PORTS.items()}
    simulator = f"http://127.0.0.1:{ports['SLUICE_SIMULATOR_HTTP_PORT']}"
    events = f"http://127.0.0.1:{ports['SLUICE_INGEST_PORT']}/payments/stripe/events"
    payments_key = where.password("payments_key")
    event_secret = where.password("payments_event_secret")
    return {
        **urls,
        **ports,
        "SLUICE_API_URL": f"http://127.0.0.1:{ports['SLUICE_INGEST_PORT']}",
        "SLUICE_AIRCALL_URL": f"http://127.0.0.1:{ports['SLUICE_INGEST_PORT']}/aircall",
        "SLUICE_MAILJET_URL": f"http://127.0.0.1:{ports['SLUICE_INGEST_PORT']}",
        "SLUICE_DLR_URL": f"http://127.0.0.1:{ports['SLUICE_DLR_PORT']}",
        "SLUICE_SIMULATOR_URL": simulator,
        "SLUICE_SIMULATOR_PASSWORD": where.passwords.get("simulator_password", _eight_characters),
        "SLUICE_SIMULATOR_TOKEN": where.password("simulator_token"),
        "SLUICE_SIMULATOR_JOURNAL_PATH": str(where.folder / "simulator.jsonl"),
        "SLUICE_PAYMENTS_PROVIDER": "stripe",
        "SLUICE_PAYMENTS_URL": f"{simulator}/payments",
        "SLUICE_PAYMENTS_KEY": payments_key,
        "SLUICE_PAYMENTS_EVENT_SECRETS": event_secret,
        "SLUICE_SIMULATOR_PAYMENTS_KEY": payments_key,
        "SLUICE_SIMULATOR_PAYMENTS_EVENT_URL": events,
        "SLUICE_SIMULATOR_PAYMENTS_EVENT_SECRET": event_secret,
        "SLUICE_SECRET_KEY": where.passwords.get("secret_key", lambda: secrets.token_hex(32)),
    }


class Worker:
    """One running role."""

    def __init__(self, role: Role, where: place.Place, environ: Mapping[str, str]) -> None:
        self.role = role
        self.process = processes.Process(role.name, where.folder)
        metrics = kept.claim_port(where.ports, f"{role.name}_metrics")
        self._environ = {**environ, "SLUICE_METRICS_PORT": str(metrics)}

    def start(self) -> None:
        """Start it; it is not ready yet."""
        self.process.start([checkout.SLUICE, self.role.name], self._environ, cwd=checkout.ROOT)

    def await_ready(self) -> None:
        """Wait until it says that it can work."""
        self.process.await_ready(self._is_ready, _READY_SECONDS)

    def _is_ready(self) -> bool:
        port = int(self._environ[self.role.health])
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_TRY_SECONDS)
        try:
            link.request("GET", "/health/ready")
            return link.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()
