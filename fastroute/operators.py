"""The endpoints for operators, --metrics, --health and --admin: their sockets, and what they serve.

/metrics is served from the main loop, the others from threads of their own.
"""

import logging
import socket
import time
from typing import NamedTuple

import trio

from fastroute.admin.api import Access, admin_app
from fastroute.admin.endpoint import bind_endpoint, serve_apart, serve_endpoint
from fastroute.admin.health import health_app, metrics_app
from fastroute.admin.pulse import Pulse
from fastroute.descriptors import Shortages
from fastroute.errors import SettingError
from fastroute.metrics import Metrics
from fastroute.reconcile import Pass, Source, StatusWriter, reconcile
from fastroute.settings import GraphSettings, ServeSettings
from fastroute.supervisor import Supervisor
from fastroute.view.state import State

_log = logging.getLogger(__name__)


class Gateway:
    """The data plane of this process, and what it serves."""

    def __init__(self, supervisor: Supervisor, metrics: Metrics, slots: int) -> None:
        self.supervisor, self.metrics = supervisor, metrics
        self._slots = slots
        self._last: Pass | None = None

    async def reconcile(self, source: Source, writer: StatusWriter, settings: GraphSettings) -> None:
        """Serves the configuration of `source`; never returns."""
        await reconcile(source, self.supervisor, writer, settings, self.metrics, served=self._take)

    def _take(self, last: Pass) -> None:
        self._last = last

    def ready(self) -> bool:
        """Any thread may call this."""
        return self.supervisor.ready

    def see(self) -> State | None:
        """What it serves now; None: nothing yet. Any thread may call this."""
        last = self._last
        if last is None or last.statuses is None or last.outcome is None:
            return None
        return State(
            graph=last.graph,
            snapshot=last.compiled.snapshot,
            outcome=last.outcome,
            statuses=last.statuses.patches,
            now=time.time(),
            ready=self.supervisor.ready,
            slots=self._slots,
            workers=self.supervisor.standing(),
            traffic=self.supervisor.history.traffic(),
            failed=self.supervisor.failures.seen(),
            avoided=self.metrics.endpoints.avoided(),
        )


class Endpoints(NamedTuple):
    """The listening sockets; None: off."""

    metrics: socket.socket | None
    health: socket.socket | None
    admin: socket.socket | None


def bind_endpoints(settings: ServeSettings) -> Endpoints:
    """Raises SettingError, except if a default address is in use: another fastroute on this machine may have it."""
    metrics = bind_endpoint(*settings.metrics, "--metrics") if settings.metrics else None
    lost = "/healthz and /readyz are now served only at the address of --metrics"
    health = _bind(settings.health, "--health", settings.health_required, lost)
    lost = "There is no admin API; choose another address for it, or `off`"
    return Endpoints(metrics, health, _bind(settings.admin, "--admin", settings.admin_required, lost))


def _bind(address: tuple[str, int] | None, option: str, required: bool, lost: str) -> socket.socket | None:
    if address is None:
        return None
    try:
        return bind_endpoint(*address, option)
    except SettingError as error:
        if required:
            raise
        _log.warning("%s. %s", error, lost)
        return None


async def serve_endpoints(endpoints: Endpoints, gateway: Gateway, settings: ServeSettings) -> None:
    """Serves until it is cancelled."""
    pulse, metrics = Pulse(), gateway.metrics
    shortages = Shortages(lambda use: metrics.shortages.labels(use).inc())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pulse.run)
        if endpoints.metrics is not None:
            _log.info("metrics: %s/metrics; also /healthz and /readyz", _url(endpoints.metrics))
            site = metrics_app(metrics.registry, pulse, gateway.ready, settings.installation)
            nursery.start_soon(serve_endpoint, site, endpoints.metrics, shortages)
        if endpoints.health is not None:
            _log.info("health: %s/healthz and /readyz", _url(endpoints.health))
            site = health_app(pulse, gateway.ready)
            nursery.start_soon(serve_apart, site, endpoints.health, shortages, "health")
        if endpoints.admin is not None:
            _log.info("admin: %s/ (the dashboard) and %s/api/v1/status", *[_url(endpoints.admin)] * 2)
            nursery.start_soon(gateway.supervisor.history.run)
            site = admin_app(gateway.see, Access(settings.admin_hosts, settings.installation))
            nursery.start_soon(serve_apart, site, endpoints.admin, shortages, "admin")


def _url(one: socket.socket) -> str:
    host, port = one.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
