"""Resolves or refuses backendRefs; Services and their current endpoints.

The order of checks is part of the contract: kind, grant, existence, port, then protocol and policy. A reference that no
grant allows is refused before the existence of its target is checked. Endpoints come only from EndpointSlices: selected
by the label with the Service's name, matched by port *name*, merged over several slices, IPv4 and IPv6 only. The API
server accepts invalid port numbers, and IPv4 addresses with leading zeros; workers do not, and one slice must not break
the configuration of all.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from fastroute.graph import conditions
from fastroute.graph.dependency import POLICIES, REFUSALS, SERVICES, Reader
from fastroute.graph.grant import Reference
from fastroute.graph.node import BackendNode, BackendRefNode, Problem, Refusal, Withheld
from fastroute.graph.permission import refusal
from fastroute.graph.policy import policy_for
from fastroute.graph.protocol import Protocol, protocol_of
from fastroute.resources.core import SERVICE_NAME_LABEL, EndpointSlice, Service, ServicePort, SliceEndpoint
from fastroute.resources.gateway import BackendObjectReference
from fastroute.resources.http_rule import HTTPBackendRef
from fastroute.resources.meta import Key
from fastroute.snapshot import Endpoint

Slices = Mapping[Key, tuple[EndpointSlice, ...]]  # by the Service that they belong to

ADDRESS_TYPES = frozenset({"IPv4", "IPv6"})
PORTS = range(1, 65_536)
ZEROS = re.compile(r"(?<![0-9a-fA-F])0+(?=[0-9]+\.)|(?<=\.)0+(?=[0-9])")  # leading zeros in an IPv4 address
TLS_NOT_SERVED = "backend_tls_policy"  # the reason in logs and metrics (ext/reason)


class Referrer(NamedTuple):
    """The route that refers to a backend."""

    kind: str
    namespace: str
    spoken: frozenset[Protocol]  # protocols that its kind supports to backends


def _concern(service: Key, port: ServicePort, field: str, reader: Reader) -> Problem | None:
    """EndpointRefused; None if no endpoint of the port is refused."""
    ours = (port.name, port.protocol)
    refused = reader.find(REFUSALS, service) or ()
    refused = tuple(one for one in refused if (one.port_name, one.protocol) == ours)
    return conditions.endpoints_refused(service, refused, field) if refused else None


def resolve_backend_ref(referrer: Referrer, ref: HTTPBackendRef, field: str, reader: Reader) -> BackendRefNode:
    """`field`: path of the reference in the route."""
    found = judge(referrer, ref, field, reader)
    return BackendRefNode(id=backend_id(referrer.namespace, ref), weight=ref.weight, **found._asdict())


def backend_id(namespace: str, ref: HTTPBackendRef | BackendObjectReference) -> str:
    port = "" if ref.port is None else f":{ref.port}"
    return f"{ref.namespace or namespace}/{ref.name}{port}"


class Verdict(NamedTuple):
    """What is wrong with a reference, and why it gets no traffic: nothing, a problem of the route, or a reason that no
    condition contains."""

    problem: Problem | None = None
    withheld: Withheld | None = None
    concern: Problem | None = None  # a problem of the route, although it gets traffic

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in (self.problem, self.concern) if problem is not None)


def judge(referrer: Referrer, ref: HTTPBackendRef | BackendObjectReference, field: str, reader: Reader) -> Verdict:
    """`field`: path of the reference in the route."""
    if (ref.group, ref.kind) != ("", "Service"):
        return Verdict(conditions.invalid_kind(ref.group, ref.kind, field))
    key = Key(ref.namespace or referrer.namespace, ref.name)
    reference = Reference(
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
    port = None if ref.port is None else tcp_port(service, ref.port)
    if port is None:
        return Verdict(_port_problem(service, ref.port, field))
    found = _judge_port(referrer, key, port, field, reader)
    return found if found.problem else found._replace(concern=_concern(key, port, field, reader))


def _port_problem(service: Service, number: int | None, field: str) -> Problem:
    """For a Service without a TCP port with that number."""
    for port in service.spec.ports:
        if port.port == number:
            return conditions.unsupported_protocol(service.key, port.port, port.protocol, field)
    known = tuple(port.port for port in service.spec.ports)
    return conditions.port_not_found(service.key, number, known, field)


def _judge_port(referrer: Referrer, service: Key, port: ServicePort, field: str, reader: Reader) -> Verdict:
    """By the protocol of the port; a policy turns any HTTP protocol into TLS."""
    protocol = protocol_of(port)
    policy = policy_for(service, port, reader.find(POLICIES, service) or ())
    if policy is not None and protocol is not Protocol.OTHER:
        message = (
            f"BackendTLSPolicy {policy.key} applies to port {port.port} of Service {service}. TLS to backends is not "
            f"served yet, and nothing is sent in cleartext instead."
        )
        return Verdict(withheld=Withheld(reason=TLS_NOT_SERVED, message=message))
    if protocol not in referrer.spoken:
        return Verdict(conditions.unsupported_app_protocol(service, port, protocol, field))
    return Verdict()


def tcp_port(service: Service, number: int) -> ServicePort | None:
    return next((port for port in service.spec.ports if port.port == number and port.protocol == "TCP"), None)


# --- Endpoints


def index_slices(slices: Mapping[Key, EndpointSlice]) -> Slices:
    """Group by the Service that they belong to."""
    grouped: dict[Key, list[EndpointSlice]] = {}
    for key in sorted(slices):
        if owner := slice_owner(slices[key]):
            grouped.setdefault(owner, []).append(slices[key])
    return {owner: tuple(members) for owner, members in grouped.items()}


def move_slices(
    index: Slices, before: Mapping[Key, EndpointSlice], after: Mapping[Key, EndpointSlice], touched: Iterable[Key]
) -> Slices:
    """The index of `after`: that of `before` with only the touched slices updated."""
    moved = dict(index)
    for key in touched:
        if key in before and (owner := slice_owner(before[key])):
            moved[owner] = tuple(member for member in moved[owner] if member.key != key)
        if key in after and (owner := slice_owner(after[key])):
            moved[owner] = tuple(sorted((*moved.get(owner, ()), after[key]), key=_key))
        for owner in _owners(before.get(key), after.get(key)):
            if not moved.get(owner):
                moved.pop(owner, None)
    return moved


def _key(piece: EndpointSlice) -> Key:
    return piece.key


def _owners(*pieces: EndpointSlice | None) -> set[Key]:
    return {owner for piece in pieces if piece is not None and (owner := slice_owner(piece))}


def slice_owner(piece: EndpointSlice) -> Key | None:
    """The Service that the slice belongs to."""
    name = piece.metadata.labels.get(SERVICE_NAME_LABEL)
    return Key(piece.metadata.namespace, name) if name else None


def build_backend(
    service: Service, port: ServicePort, slices: tuple[EndpointSlice, ...], refused: tuple[Refusal, ...] = ()
) -> BackendNode:
    return BackendNode(
        id=f"{service.key}:{port.port}",
        service=service.key,
        port=port.port,
        endpoints=eligible(port, slices, frozenset(one.endpoint for one in refused)),
        app_protocol=port.app_protocol,
    )


def eligible(
    port: ServicePort, slices: tuple[EndpointSlice, ...], refused: frozenset[Endpoint] = frozenset()
) -> tuple[Endpoint, ...]:
    """Endpoints that may get requests, sorted: ready ones; if none is ready, those that serve while terminating."""
    ready: set[Endpoint] = set()
    draining: set[Endpoint] = set()
    for piece in slices:
        if piece.address_type not in ADDRESS_TYPES:
            continue
        named = [p for p in piece.ports or () if p.name == port.name and p.protocol == port.protocol]
        numbers = [p.port for p in named if p.port is not None and p.port in PORTS]
        for endpoint in piece.endpoints or ():
            chosen = ready if _is_ready(endpoint) else draining if _drains(endpoint) else None
            if chosen is not None:
                usable = filter(None, map(usable_address, endpoint.addresses))
                chosen.update(Endpoint(address, number) for address in usable for number in numbers)
    return tuple(sorted((ready - refused) or (draining - refused)))


@lru_cache(maxsize=16_384)
def usable_address(written: str) -> str | None:
    """The address in a form that every parser accepts, decimal as in Kubernetes; None if it is invalid.

    >>> usable_address("192.168.001.010"), usable_address("fd00::1"), usable_address("10.0.0.256")
    ('192.168.1.10', 'fd00::1', None)
    """
    address = ZEROS.sub("", written)
    try:
        return None if getattr(ip_address(address), "scope_id", None) else address
    except ValueError:
        return None


def _is_ready(endpoint: SliceEndpoint) -> bool:
    return endpoint.conditions.ready is not False


def _drains(endpoint: SliceEndpoint) -> bool:
    return endpoint.conditions.serving is True and endpoint.conditions.terminating is True
