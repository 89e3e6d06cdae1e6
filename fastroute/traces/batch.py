"""Batches: from bytes of the pipe to what the collector gets."""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastroute import __version__
from fastroute.traces.encoding import export_request, spans_of
from fastroute.traces.record import Reader, Traced

SCOPE = ("fastroute", __version__)


class Batch(NamedTuple):
    """An ExportTraceServiceRequest, and the number of its spans."""

    data: bytes
    spans: int


class Batches:
    """The state between two pieces of the pipe. `resource`: the attributes of the process; `note` is called with each
    request."""

    def __init__(self, resource: Mapping[str, Any], note: Callable[[Traced], None] = lambda _: None) -> None:
        self._resource = dict(resource)
        self._note = note
        self._reader = Reader()

    def of(self, data: bytes) -> Batch:
        """The spans of all lines that these bytes complete."""
        spans: list[bytes] = []
        for request in self._reader.read(data):
            try:
                spans += spans_of(request)
            except ValueError:  # see Reader
                continue
            self._note(request)
        return Batch(export_request(self._resource, SCOPE, spans), len(spans))


def own_attributes() -> dict[str, str]:
    """What the process says about itself, unless the variables of OpenTelemetry say it."""
    own = {"service.version": __version__, "service.instance.id": f"{os.uname().nodename}-{os.getpid()}"}
    named = "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "") or os.environ.get("OTEL_SERVICE_NAME")
    return own if named else {"service.name": "fastroute", **own}
