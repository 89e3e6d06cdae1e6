"""Resolves or refuses backendRefs.

The order of checks is part of the contract: kind, grant, existence, port, then protocol and policy. A reference that no
grant allows is refused before the existence of its target is checked.
"""

from typing import NamedTuple

from fastroute.graph import conditions
from fastroute.graph.backend_id import as_raw, backend_id, find_port, over_http2, parts_of
from fastroute.graph.dependency import CONCERNS, SERVICES, UNFULFILLED, Reader
from fastroute.graph.grant import Reference
from fastroute.graph.node import BackendRefNode, Problem, RouteNode, Withheld
from fastroute.graph.permission import refusal
from fastroute.graph.policy import policy_for
from fastroute.graph.protocol import Protocol, protocol_of
from fastroute.place import Transport
from fastroute.resources.core import Service, ServicePort
from fastroute.resources.gateway import GROUP, BackendObjectReference, BackendRef
from fastroute.resources.meta import Key
from fastroute.resources.proxy_protocol import VERSION, proxy_protocol


class Referrer(NamedTuple):
    """The object that refers to a backend."""

    kind: str
    namespace: str
    spoken: frozenset[Protocol]  # protocols that its kind supports to backends
    transport: Transport = Transport.TCP  # of the ports that its kind may refer to
    group: str = GROUP  # of its kind
    over_http2: bool = False  # HTTP/2 is spoken to them, whatever their appProtocol

    @property
    def is_raw(self) -> bool:
        """Whether bytes or datagrams are passed on, whatever the appProtocol of a port."""
        return Protocol.RAW in self.spoken

    def id_of(self, ref: BackendObjectReference) -> str:
        """The id of the backend that the reference names."""
        named = ref_id(self.namespace, ref, self.transport)
        if ref.port is None:
            return named
        if self.is_raw and self.transport is Transport.TCP:
            return as_raw(named)
        return over_http2(named) if self.over_http2 else named


def resolve_backend_ref(referrer: Referrer, ref: BackendRef, field: str, reader: Reader) -> BackendRefNode:
    """`field`: path of the reference in the route."""
    found = judge(referrer, ref, field, reader)
    return BackendRefNode(id=referrer.id_of(ref), weight=ref.weight, **found._asdict())


def ref_id(namespace: str, ref: BackendObjectReference, transport: Transport = Transport.TCP) -> str:
    """The Service and the port that a reference in this namespace names."""
    return backend_id(f"{ref.namespace or namespace}/{ref.name}", ref.port, transport)


class Verdict(NamedTuple):
    """What is wrong with a reference, and why it gets no traffic: nothing, a problem of the route, or a reason that no
    condition contains."""

    problem: Problem | None = None
    withheld: Withheld | None = None
    concerns: tuple[Problem, ...] = ()  # problems of the route, although it gets traffic

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.concerns if self.problem is None else (self.problem,)


def judge(referrer: Referrer, ref: BackendObjectReference, field: str, reader: Reader) -> Verdict:
    """`field`: path of the reference in the route."""
    if (ref.group, ref.kind) != ("", "Service"):
        return Verdict(conditions.invalid_kind(ref.group, ref.kind, field))
    key = Key(ref.namespace or referrer.namespace, ref.name)
    reference = Reference(
        group=referrer.group,
        kind=referrer.kind,
        namespace=referrer.namespace,
        to_group="",
        to_kind="Service",
        to_namespace=key.namespace,
        to_name=key.name,
    )
    if refused := refusal(reference, field, reader):
        return Verdict(refused)
    service = reader.find(SERVICES, key)
    if service is None:
        return Verdict(conditions.service_not_found(key, field))
    if service.spec.type == "ExternalName":
        return Verdict(conditions.external_name(key, field))
    port = None if ref.port is None else find_port(service, ref.port, referrer.transport)
    if port is None:
        return Verdict(_port_problem(referrer, service, ref.port, field))
    found = _judge_port(referrer, service, port, field, reader)
    if found.problem is not None:
        return found
    concerns = reader.find(CONCERNS, referrer.id_of(ref)) or ()
    own = (one for one in concerns if one.namespaces is None or referrer.namespace in one.namespaces)
    return found._replace(concerns=tuple(conditions.concerned(one, field) for one in own))


def secured_backends(route: RouteNode, reader: Reader) -> frozenset[str]:
    """Ids of its backends to which a BackendTLSPolicy applies that can be fulfilled."""
    served = {one.id for rule in route.rules for one in rule.references if one.served}
    return frozenset(id_ for id_ in served if _is_secured(id_, reader))


def passed_backends(route: RouteNode, reader: Reader) -> frozenset[str]:
    """Ids of its backends to which a BackendTLSPolicy applies: without TLS of the gateway, they are others."""
    resolved = {one.id for rule in route.rules for one in rule.references if one.resolved}
    return frozenset(id_ for id_ in resolved if _is_secured(id_, reader))


def _is_secured(id_: str, reader: Reader) -> bool:
    key, number, transport = parts_of(id_)
    if transport is not Transport.TCP:
        return False
    service = reader.find(SERVICES, key)
    port = find_port(service, number, transport) if service else None
    return port is not None and policy_for(key, port, reader) is not None


def _port_problem(referrer: Referrer, service: Service, number: int | None, field: str) -> Problem:
    """For a Service that has no port with that number and the transport of the route."""
    others = () if number is None else service.spec.by_number.get(number, ())
    if others:
        return conditions.unsupported_protocol(service.key, others[0], referrer.transport, field)
    return conditions.port_not_found(service, number, field)


def _judge_port(referrer: Referrer, service: Service, port: ServicePort, field: str, reader: Reader) -> Verdict:
    """By the protocol of the port; a policy turns any HTTP protocol into TLS."""
    if referrer.is_raw:
        return _judge_raw_port(referrer, service, port, field, reader)
    protocol = protocol_of(port)
    policy = policy_for(service.key, port, reader)
    if policy is not None and protocol is not Protocol.OTHER:
        return Verdict(withheld=reader.find(UNFULFILLED, policy.key))
    if protocol not in referrer.spoken:
        exports = Protocol.HTTP2 not in referrer.spoken
        return Verdict(conditions.unsupported_app_protocol(service.key, port, protocol, field, exports=exports))
    return Verdict()


def _judge_raw_port(referrer: Referrer, service: Service, port: ServicePort, field: str, reader: Reader) -> Verdict:
    """A policy adds TLS to connections; it does not apply to datagrams."""
    if referrer.transport is Transport.UDP:
        return Verdict()
    if (asked := proxy_protocol(service)) not in (None, VERSION):
        return Verdict(conditions.unsupported_proxy_protocol(service.key, asked or "", field))
    policy = policy_for(service.key, port, reader)
    return Verdict() if policy is None else Verdict(withheld=reader.find(UNFULFILLED, policy.key))
