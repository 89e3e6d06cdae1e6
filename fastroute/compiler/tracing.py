"""XTelemetryPolicies as what the data plane does: for listeners, and for the main process that sends spans (GEP-4768).

A policy has an effect on the Gateways for which it is accepted, if its mode is Enabled or Disabled. A Gateway whose
collector gets nothing, because its reference is not resolved, is not traced.
"""

from collections.abc import Iterator, Mapping
from zlib import crc32

from fastroute.graph.node import TelemetryNode
from fastroute.resources.meta import Key
from fastroute.resources.telemetry import (
    DISABLED,
    ENABLED,
    KEYS,
    MOST_HEADERS,
    Fraction,
    ParentBasedSampling,
    TelemetryTracing,
    TracingAttribute,
)
from fastroute.snapshot import Collector, GatewayTracing, ListenerTracing


def listener_tracing(nodes: Mapping[Key, TelemetryNode]) -> Mapping[Key, ListenerTracing]:
    """By Gateway."""
    return {gateway: _of_listeners(node, tracing) for gateway, node, tracing in _applied(nodes)}


def gateway_tracing(nodes: Mapping[Key, TelemetryNode]) -> Mapping[str, GatewayTracing]:
    """By Gateway: those for which spans are sent to the collector of a policy."""
    return {
        str(gateway): _of_gateway(node, tracing, node.collector)
        for gateway, node, tracing in _applied(nodes)
        if tracing.mode == ENABLED and node.collector is not None
    }


def _applied(nodes: Mapping[Key, TelemetryNode]) -> Iterator[tuple[Key, TelemetryNode, TelemetryTracing]]:
    for node in nodes.values():
        tracing = node.source.spec.tracing
        if tracing is not None and tracing.mode in (ENABLED, DISABLED):
            yield from ((one.gateway, node, tracing) for one in node.ancestors if not one.problems)


def _of_listeners(node: TelemetryNode, tracing: TelemetryTracing) -> ListenerTracing:
    number = _number(node, tracing)
    if tracing.mode == DISABLED or node.collector is None:
        return ListenerTracing(number=number, traced=False)
    return ListenerTracing(
        number=number,
        sampling=_ratio(tracing.sampling_rate),
        parent_sampling=_of_parents(tracing.parent_based_sampling),
        headers=tuple((one.header_name or "").lower() for one in _headers(tracing)),
    )


def _of_parents(based: ParentBasedSampling | None) -> float | None:
    """As without a policy, the decision of the sender is respected by default."""
    if based is not None and based.mode == DISABLED:
        return None
    ratio = _ratio(based.sampling_rate) if based is not None and based.mode == ENABLED else None
    return 1.0 if ratio is None else ratio


def _of_gateway(node: TelemetryNode, tracing: TelemetryTracing, collector: Collector) -> GatewayTracing:
    attributes = tracing.attributes or ()
    return GatewayTracing(
        number=_number(node, tracing),
        policy=str(node.source.key),
        collector=collector,
        service_name=tracing.service_name,
        span_name=tracing.span_name,
        literals=tuple((one.name, one.literal_value) for one in attributes if one.literal_value is not None),
        keys=tuple((one.name, one.attribute_key) for one in attributes if one.attribute_key in KEYS),
        headers=tuple(one.name for one in _headers(tracing)),
    )


def _headers(tracing: TelemetryTracing) -> tuple[TracingAttribute, ...]:
    """Those that are read from fields of the request; at most as many as workers keep."""
    return tuple(one for one in tracing.attributes or () if one.header_name is not None)[:MOST_HEADERS]


def _ratio(fraction: Fraction | None) -> float | None:
    return None if fraction is None else fraction.numerator / fraction.denominator


def _number(node: TelemetryNode, tracing: TelemetryTracing) -> int:
    """Another one if spans go elsewhere, or if other fields are read."""
    service = node.collector.service if node.collector else ""
    names = [f"{one.name}={one.header_name}" for one in _headers(tracing)]
    return crc32("|".join((str(node.source.key), service, *names)).encode()) or 1
