"""The collector of an XTelemetryPolicy: the endpoints of the port of a Service to which spans are sent (GEP-4768)."""

from fastroute.graph import conditions
from fastroute.graph.backend_id import backend_id, find_port
from fastroute.graph.backend_ref import Referrer, judge
from fastroute.graph.dependency import SERVICES, Reader
from fastroute.graph.endpoint import eligible, offers_of
from fastroute.graph.forbidden import refused_of
from fastroute.graph.memo import Memo
from fastroute.graph.node import Problem
from fastroute.graph.policy import policy_for
from fastroute.graph.protocol import Protocol
from fastroute.graph.telemetry_conditions import FIELD, secured
from fastroute.place import Transport
from fastroute.resources.gateway import EXPERIMENTAL, BackendObjectReference
from fastroute.resources.meta import Key
from fastroute.resources.telemetry import KIND, TracingProvider, XTelemetryPolicy
from fastroute.snapshot import Collector, Endpoint

SPOKEN = frozenset({Protocol.HTTP1})  # OTLP over HTTP


def provider_of(source: XTelemetryPolicy) -> TracingProvider | None:
    return source.spec.tracing.provider if source.spec.tracing else None


def service_of(source: XTelemetryPolicy, ref: BackendObjectReference) -> Key:
    return Key(ref.namespace or source.metadata.namespace, ref.name)


def find_collector(
    source: XTelemetryPolicy, memo: Memo, reader: Reader
) -> tuple[Collector | None, tuple[Problem, ...]]:
    """None: it has no provider, or nothing may be sent to it; and what is wrong with the reference."""
    provider = provider_of(source)
    if provider is None:
        return None, ()
    ref = provider.backend_ref
    referrer = Referrer(KIND, source.metadata.namespace, SPOKEN, group=EXPERIMENTAL)
    verdict = judge(referrer, ref, FIELD, reader)
    if verdict.problem is not None or ref.port is None:
        return None, verdict.problems
    if problem := _secured(source, ref, ref.port, reader):
        return None, (problem,)
    service = service_of(source, ref)
    endpoints, refused = _endpoints(service, ref.port, memo, reader)
    known = {one.message for one in verdict.problems}
    problems = (*verdict.problems, *(one for one in refused if one.message not in known))
    headers = tuple((one.name, one.value) for one in provider.headers)
    return Collector(
        service=backend_id(service, ref.port, Transport.TCP), endpoints=endpoints, headers=headers
    ), problems


def _secured(source: XTelemetryPolicy, ref: BackendObjectReference, number: int, reader: Reader) -> Problem | None:
    """Spans are never sent in cleartext to a port for which a BackendTLSPolicy demands TLS."""
    key = service_of(source, ref)
    service = reader.find(SERVICES, key)
    port = find_port(service, number, Transport.TCP) if service else None
    policy = policy_for(key, port, reader) if port else None
    return secured(key, number, policy.key) if policy else None


def _endpoints(key: Key, number: int, memo: Memo, reader: Reader) -> tuple[tuple[Endpoint, ...], tuple[Problem, ...]]:
    service = reader.find(SERVICES, key)
    port = find_port(service, number, Transport.TCP) if service else None
    if port is None:
        return (), ()
    offers = tuple(offers_of(memo.slices.get(key, ())).get((port.name, port.protocol), ()))
    suspect = key in memo.exclusion.suspects
    refused = refused_of(offers, Transport.TCP, memo.exclusion.forbidden) if suspect else ()
    problems = (conditions.concerned(conditions.endpoints_refused(key, refused), FIELD),) if refused else ()
    return eligible(offers, frozenset(one.endpoint for one in refused)), problems


def has_moved(source: XTelemetryPolicy, memo: Memo, last: Memo) -> bool:
    """Whether the endpoints of its collector may have changed."""
    provider = provider_of(source)
    if provider is None:
        return False
    key = service_of(source, provider.backend_ref)
    return (
        memo.slices.get(key) is not last.slices.get(key)
        or memo.exclusion.forbidden is not last.exclusion.forbidden
        or (key in memo.exclusion.suspects) is not (key in last.exclusion.suspects)
    )
