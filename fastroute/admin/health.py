"""/healthz (the main loop runs), /readyz (the process can receive traffic) and /metrics, as ASGI applications.

Each format of /metrics is rendered at most once at a time and kept for KEPT seconds, however many clients ask for it.
"""

import math
from collections.abc import Callable

import trio
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fastroute.admin.loop import came_through
from fastroute.admin.probe import MOST_HEALTH, MOST_METRICS, Probes, Site
from fastroute.admin.pulse import SILENT, Pulse
from fastroute.exposition import CONTENT_TYPES, is_openmetrics, render

KEPT = 1.0  # seconds


class Page:
    """The text of /metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._rendering = trio.Lock()
        self._kept = dict.fromkeys(CONTENT_TYPES, (-math.inf, b""))  # until when

    async def text(self, openmetrics: bool = False) -> bytes:
        async with self._rendering:
            until, text = self._kept[openmetrics]
            if trio.current_time() >= until:
                # Collecting must happen in the main thread. Rendering takes longest, so a thread does it.
                collected = list(self._registry.collect())
                text = await trio.to_thread.run_sync(render, collected, openmetrics)
                self._kept[openmetrics] = trio.current_time() + KEPT, text
            return text


def health_app(pulse: Pulse, ready: Callable[[], bool]) -> Site:
    """`ready`: every worker serves a complete configuration, and no drain has started. Any thread may call it.

    Readiness does not depend on the pulse: the workers serve while the main loop is busy, and a configuration that
    keeps the loops of all replicas busy must not make all of them unready at once.
    """
    probes = _probes(pulse, ready)
    return Site(Starlette(routes=_routes(probes)), probes, MOST_HEALTH)


def metrics_app(registry: CollectorRegistry, pulse: Pulse, ready: Callable[[], bool], installation: str = "") -> Site:
    """The same, and /metrics, but not for requests that this installation forwarded."""
    page = Page(registry)

    async def metrics(request: Request) -> Response:
        if came_through(request, installation):
            return PlainTextResponse("metrics are not available through this gateway\n", status_code=403)
        openmetrics = is_openmetrics(", ".join(request.headers.getlist("accept")))
        return Response(await page.text(openmetrics), headers={"content-type": CONTENT_TYPES[openmetrics]})

    probes = _probes(pulse, ready)
    return Site(Starlette(routes=[Route("/metrics", metrics), *_routes(probes)]), probes, MOST_METRICS)


def _probes(pulse: Pulse, ready: Callable[[], bool]) -> Probes:
    def healthz() -> tuple[int, str]:
        age = pulse.age
        return (503, f"the main loop has not run for {age:.0f} s\n") if age > SILENT else (200, "alive\n")

    def readyz() -> tuple[int, str]:
        return (200, "ready\n") if ready() else (503, "not ready\n")

    return {"/healthz": healthz, "/readyz": readyz}


def _routes(probes: Probes) -> list[Route]:
    """For the requests that Hypercorn answers: HTTP/2, and other methods than GET."""

    def route(path: str, probe: Callable[[], tuple[int, str]]) -> Route:
        async def answer(request: Request) -> Response:
            status, text = probe()
            return PlainTextResponse(text, status_code=status)

        return Route(path, answer)

    return [route(path, probe) for path, probe in probes.items()]
