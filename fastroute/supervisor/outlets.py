"""What the workers write to, apart from sockets: the access log, and the pipe of traces. The main process owns both."""

from collections.abc import Mapping
from functools import partial

from fastroute.exposition import Exemplar
from fastroute.metrics import Exemplars, Metrics
from fastroute.settings import ServeSettings
from fastroute.snapshot import GatewayTracing
from fastroute.supervisor.logfile import LogFile
from fastroute.traces.exporter import Exporter
from fastroute.traces.record import Traced
from fastroute.traces.usual import Counted


class Outlets:
    """The access log is None if it is off. The pipe of traces exists always: a policy may need it at any time."""

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        """Raises OSError."""
        note = partial(note_exemplar, metrics.exemplars)
        counted = Counted(metrics.spans_exported.inc, metrics.spans_failed.inc, note)
        self.log = LogFile(settings.access_log) if settings.access_log else None
        self._traces = Exporter(settings.otlp, counted)

    @property
    def descriptors(self) -> list[int]:
        """Those that a worker gets with Start, in this order."""
        return [one.fd for one in (self.log, self._traces) if one is not None]

    def trace(self, tracing: Mapping[str, GatewayTracing]) -> None:
        """What policies say about traces from now on; by Gateway."""
        self._traces.use(tracing)

    def close(self) -> None:
        """The workers have ended."""
        for one in (self.log, self._traces):
            if one is not None:
                one.close()


def note_exemplar(exemplars: Exemplars, request: Traced) -> None:
    """The request as an example of what http_request_duration_seconds measured."""
    series = (request.gateway or "", request.route or "", request.route_kind or "")
    exemplar = Exemplar(request.trace_id, request.duration / 1e6, (request.started + request.duration) / 1e6)
    exemplars.note(series, exemplar)
