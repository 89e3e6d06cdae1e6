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
from fastroute.graph.telemetry_conditions import FIELD, not_secured
from fastroute.place import Transport
from fastroute.resources.gateway import EXPERIMENTAL, BackendObjectReference
from fastroute.resources.meta import Key
from fastroute.resources.telemetry import KIND, TracingProvider, XTelemetryPolicy
from fastroute.snapshot import BackendTLS, Collector, Endpoint

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
    tls, problem = _tls(service_of(source, ref), ref.port, memo, reader)
    if problem is not None:
        return None, (problem,)
    service = service_of(source, ref)
    endpoints, refused = _endpoints(service, ref.port, memo, reader)
    known = {one.message for one in verdict.problems}
    problems = (*verdict.problems, *(one for one in refused if one.message not in known))
    headers = tuple((one.name, one.value) for one in provider.headers)
    name = backend_id(service, ref.port, Transport.TCP)
    return Collector(service=name, endpoints=endpoints, tls=tls, headers=headers), problems


def _tls(key: Key, number: int, memo: Memo, reader: Reader) -> tuple[BackendTLS | None, Problem | None]:
    """What a BackendTLSPolicy demands for the port. Spans are never sent in another way than it demands."""
    service = reader.find(SERVICES, key)
    port = find_port(service, number, Transport.TCP) if service else None
    policy = policy_for(key, port, reader) if port else None
    if policy is None:
        return None, None
    tls = memo.policies.tls.get(policy.key)
    if tls is None:
        return None, not_secured(key, number, policy.key, "which cannot be fulfilled: see its status")
    if tls.subject_names or tls.subject_uris:
        return None, not_secured(key, number, policy.key, "whose subjectAltNames are not supported for collectors")
    return tls, None


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
    """Whether the endpoints of its collector, or their TLS, may have changed."""
    provider = provider_of(source)
    if provider is None:
        return False
    key = service_of(source, provider.backend_ref)
    return (
        memo.slices.get(key) is not last.slices.get(key)
        or memo.policies.tls is not last.policies.tls
        or memo.exclusion.forbidden is not last.exclusion.forbidden
        or (key in memo.exclusion.suspects) is not (key in last.exclusion.suspects)
    )
