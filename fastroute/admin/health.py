"""/metrics, /healthz (the process runs) and /readyz (it can receive traffic)."""

from collections.abc import Callable, Iterable

import prometheus_client
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


class _Collected:
    """Collected families in the form that prometheus-client renders."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def health_app(registry: CollectorRegistry, ready: Callable[[], bool]) -> Starlette:
    """`ready`: every worker serves a complete configuration, and no drain has started."""

    async def metrics(request: Request) -> Response:
        # Collecting must happen in the main thread. Rendering takes longest, so a thread does it.
        collected = _Collected(registry.collect())
        text = await trio.to_thread.run_sync(prometheus_client.generate_latest, collected)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(request: Request) -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not ready\n", status_code=503)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)])
