"""Batches: from bytes of the pipe to what the collectors get."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from fastroute import __version__
from fastroute.snapshot import GatewayTracing
from fastroute.traces.encoding import export_request, spans_of
from fastroute.traces.record import Reader, Traced
from fastroute.traces.room import Parcel

SCOPE = ("fastroute", __version__)
NAME = "service.name"  # of the resource
BATCH_LARGEST = 256 * 1024  # bytes of the spans of one request for a collector, if it has more than one span


class Batch(NamedTuple):
    """An ExportTraceServiceRequest for the collector of --otlp, and the number of its spans."""

    data: bytes
    spans: int


class Sorted(NamedTuple):
    """What some lines give. `lost`: spans whose policy has changed since, or has no collector any more."""

    usual: Batch
    parcels: tuple[Parcel, ...]
    lost: int


class Batches:
    """The state between two pieces of the pipe. `resource`: the attributes of the process; `note` is called with each
    request that is not sampled by a policy."""

    def __init__(self, resource: Mapping[str, Any], note: Callable[[Traced], None] = lambda _: None) -> None:
        self._resource = dict(resource)
        self._note = note
        self._reader = Reader()

    def of(self, data: bytes, tracing: Mapping[str, GatewayTracing] | None = None) -> Sorted:
        """The spans of all lines that these bytes complete. `tracing`: of the policies, by Gateway."""
        usual: list[bytes] = []
        parcels: dict[str, tuple[GatewayTracing, list[bytes]]] = {}
        lost = 0
        for request in self._reader.read(data):
            own = (tracing or {}).get(request.gateway or "") if request.policy else None
            if request.policy and (own is None or own.number != request.policy):
                lost += 1 + len(request.attempts)
                continue
            try:
                spans = spans_of(request, own)
            except ValueError:  # see Reader
                continue
            if own is None:
                usual += spans
                self._note(request)
            else:
                parcels.setdefault(request.gateway or "", (own, []))[1].extend(spans)
        batch = Batch(export_request(self._resource, SCOPE, usual), len(usual))
        return Sorted(batch, tuple(one for own, spans in parcels.values() for one in self._parcels(own, spans)), lost)

    def _parcels(self, tracing: GatewayTracing, spans: list[bytes]) -> Iterator[Parcel]:
        resource = self._resource if tracing.service_name is None else {**self._resource, NAME: tracing.service_name}
        for some in split(spans, BATCH_LARGEST):
            yield Parcel(tracing.policy, tracing.collector, export_request(resource, SCOPE, some), len(some))


def split(spans: list[bytes], most: int) -> Iterator[list[bytes]]:
    """
    >>> list(split([b"aa", b"b", b"cccc"], 3))
    [[b'aa', b'b'], [b'cccc']]
    """
    some: list[bytes] = []
    size = 0
    for span in spans:
        if some and size + len(span) > most:
            yield some
            some, size = [], 0
        some.append(span)
        size += len(span)
    if some:
        yield some


def own_attributes() -> dict[str, str]:
    """What the process says about itself, unless the variables of OpenTelemetry say it."""
    own = {"service.version": __version__, "service.instance.id": f"{os.uname().nodename}-{os.getpid()}"}
    named = f"{NAME}=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "") or os.environ.get("OTEL_SERVICE_NAME")
    return own if named else {NAME: "fastroute", **own}
