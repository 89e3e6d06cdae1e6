"""/healthz (the main loop runs), /readyz (the process can receive traffic) and /metrics, as ASGI applications.

The page of /metrics is rendered at most once at a time and kept for KEPT seconds, however many clients ask for it.
"""

import math
from collections.abc import Callable, Iterable

import prometheus_client
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fastroute.admin.pulse import SILENT, Pulse

KEPT = 1.0  # seconds


class _Collected:
    """Collected families in the form that prometheus-client renders."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


class Page:
    """The text of /metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._rendering = trio.Lock()
        self._text = b""
        self._until = -math.inf

    async def text(self) -> bytes:
        async with self._rendering:
            if trio.current_time() >= self._until:
                # Collecting must happen in the main thread. Rendering takes longest, so a thread does it.
                collected = _Collected(self._registry.collect())
                self._text = await trio.to_thread.run_sync(prometheus_client.generate_latest, collected)
                self._until = trio.current_time() + KEPT
            return self._text


def health_app(pulse: Pulse, ready: Callable[[], bool]) -> Starlette:
    """`ready`: every worker serves a complete configuration, and no drain has started. Any thread may call it.

    Readiness does not depend on the pulse: the workers serve while the main loop is busy, and a configuration that
    keeps the loops of all replicas busy must not make all of them unready at once.
    """
    return Starlette(routes=_health_routes(pulse, ready))


def metrics_app(
    registry: CollectorRegistry, pulse: Pulse, ready: Callable[[], bool], installation: str = ""
) -> Starlette:
    """The same, and /metrics, but not for requests that this installation forwarded: an EndpointSlice may name the
    address of another replica, or another address of this one, and clients must not read the metrics through it."""
    page = Page(registry)

    async def metrics(request: Request) -> Response:
        marks = [item.strip() for line in request.headers.getlist("fastroute-loop") for item in line.split(",")]
        if installation and installation in marks:
            return PlainTextResponse("metrics are not available through this gateway\n", status_code=403)
        return Response(await page.text(), media_type=prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)

    return Starlette(routes=[Route("/metrics", metrics), *_health_routes(pulse, ready)])


def _health_routes(pulse: Pulse, ready: Callable[[], bool]) -> list[Route]:
    async def healthz(request: Request) -> Response:
        age = pulse.age
        if age > SILENT:
            return PlainTextResponse(f"the main loop has not run for {age:.0f} s\n", status_code=503)
        return PlainTextResponse("alive\n")

    async def readyz(request: Request) -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not ready\n", status_code=503)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
